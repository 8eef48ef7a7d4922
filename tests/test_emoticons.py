"""What emoticons mean, where they are found, and how they are spelled."""

import re
from collections import Counter
from itertools import product
from operator import ne

import pytest

from torchmoji import emoticons
from torchmoji.corpus.emoji_finder import EmoticonFinder
from torchmoji.emojis import EMOJIS
from torchmoji.emoticons import EMOTICONS, fold_signs


@pytest.fixture(scope="module")
def finder():
    return EmoticonFinder(EMOJIS)


def emojis(finder, text):
    classes, rest = finder.take_out(text)
    return {EMOJIS[number] for number in classes}, rest


@pytest.mark.parametrize(("meaning", "spellings", "_"), EMOTICONS)
def test_emoticons_are_the_emojis_that_mean_the_same(finder, meaning, spellings, _):
    for spelling in spellings.split():
        assert emojis(finder, f"so it is {spelling}") == (set(meaning.split()), "so it is  ")
        assert emojis(finder, f"{spelling} {spelling.lower()}! yes")[0] == set(meaning.split())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("good day:))) bye", "☺ 😊"),
        ("my dog is ill :-((", "😔 😞 😢"),
        ("love you<33😂", "❤ ♥ 💕"),
        ("XDDD :PP", "😂 😜"),
        (">:[ :’( ;-]", "😡 😠 😭 😢 😉"),
        ("http://a.b c:/d 10:30 (see: d) fixdate note:(x) 3:3 a:b", ""),
        ("items 1) 2) 8)x and:Dave", ""),
        ("a) foo b) bar, 7) x 8) y (plan B) (he is only 8)", ""),
        ("*EDIT:* typo **Edit:** x", ""),
        ("vitamin D: good, grade D; sorry d: x", ""),
        ("rated 0.0 stars", ""),
        ("http:// foo C:\\ drive a:/ b", ""),
        ("nice🎉:( bye “:(”", "😔 😞 😢"),
        ("T__T", "😭 😢"),
        ("D: what", "😣 😖"),
    ],
)
def test_emoticons_are_found_where_no_word_goes_on(finder, text, found):
    assert emojis(finder, text)[0] == set(found.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("good day :] bye", "good day :) bye"),
        ("ill :-[ and :'-( and:[", "ill :( and :'( and:("),
        ("(-: hi )-:", ":) hi :("),
        ("-.- T.T ^.^ </33 <\\3 ;-]", "-_- :'( ^^ </3 </3 ;)"),
        ("usual :-) =( :P xD ^_^ ;-; >.< :0 stay", "usual :-) =( :P xD ^_^ ;-; >.< :0 stay"),
        ("f(x)= a[1:] http://a.b/[c] {x:[1], y: 0}", "f(x)= a[1:] http://a.b/[c] {x:[1], y: 0}"),
        ("👍🏽 :]", "👍 :)"),
    ],
)
def test_unusual_spellings_are_read_as_usual_ones(text, expected):
    assert fold_signs(text) == expected
    assert fold_signs(expected) == expected


def test_the_quick_search_misses_no_emoticon_that_is_read_as_another(monkeypatch):
    noses, mouths = ("", "-", "^", "o", *"'’,", "'-"), (*"()[]/\\|@", "((", "]]")
    faces = list(map("".join, product(("", ">"), ":=;", noses, mouths)))
    faces += map("".join, product(("(", "))"), ("", "-"), ":=;"))
    folded = [fold_signs(face) for face in faces]
    monkeypatch.setattr(emoticons, "_MAY_FOLD", re.compile(""))
    assert [fold_signs(face) for face in faces] == folded
    assert sum(map(ne, faces, folded)) > 100


def test_an_emoticon_of_other_emojis_stays():
    assert EmoticonFinder(["😂", "😡"]).take_out("oh :( xD") == ([0], "oh :(  ")


def test_one_of_the_emojis_is_put_into_a_share_of_the_texts(finder):
    classes = [EMOJIS.index("😢"), EMOJIS.index("🎧")]
    texts = [f"text {number}" for number in range(4000)]
    put_in = [finder.mark_for(text, classes, 0.25) for text in texts]
    added = Counter(put_in)
    assert 2850 < added.pop("") < 3150
    assert set(added) == {"😢", "🎧", *":'( :'-( T_T ;_; ;-; :( :-( ): =(".split()}
    assert added["🎧"] > 400 > added["😢"] > 200
    assert put_in == [finder.mark_for(text, classes, 0.25) for text in texts]
    assert finder.mark_for("text", [], 1) == finder.mark_for("text", classes, 0) == ""
