from collections import Counter

import pytest

from torchmoji.corpus.emoticons import EMOTICONS, EmoticonFinder
from torchmoji.emojis import EMOJIS


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
