import numpy as np
import pytest

from torchmoji.corpus.reading import Columns
from torchmoji.corpus.settings import (
    CorpusSettings,
    Rules,
    counts_for_language,
    is_in_language,
    is_word,
    language_words,
    text_filter,
    unescape,
    whole_words,
)


def test_retweets_links_and_mentions_are_left_out():
    reason = text_filter(Rules())
    for text in ("RT @me: so good", " rt so good"):
        assert reason(text) == "retweet"
    for text in ("see https://a.b", "see www.a.b"):
        assert reason(text) == "link"
    for text in ("rtx cards are out", "please RT this", "@me so good", "so good"):
        assert reason(text) is None
    assert text_filter(Rules(keep_retweets=True, keep_links=True))("RT see www.a.b") is None
    assert text_filter(Rules(keep_mentions=False))("so good, @me") == "mention"


def test_entities_become_characters_once():
    assert unescape("&lt;3 you &amp; me, &amp;lt;") == "<3 you & me, &lt;"


def test_which_tokens_are_words_and_say_something_about_the_language():
    tokens = ["day", "don't", "a", "1st", "é", "!!", "CUSTOM_NUMBER"]
    assert [token for token in tokens if is_word(token)] == ["day", "don't", "a", "1st", "é"]
    assert [token for token in tokens if counts_for_language(token)] == ["day", "don't", "é"]


def test_half_of_a_short_text_and_three_fifths_of_a_longer_one_must_be_known():
    counted, known = [0, 1, 2, 2, 4, 5, 5, 10], [0, 0, 1, 0, 2, 2, 3, 5]
    found = [
        is_in_language(["yes"] * right + ["no"] * (count - right), {"yes"})
        for count, right in zip(counted, known, strict=True)
    ]
    assert found == [True, True, True, False, True, False, True, False]


def test_words_with_letters_beyond_ascii_are_whole():
    for text, words in (
        ("Für Köln-Süd: „don’t“ @me 12!", ["für", "köln", "süd", "don't", "CUSTOM_AT", "CUSTOM_NUMBER"]),
        ("l’été à Orléans… ☺️", ["l", "été", "à", "orléans"]),
        ("Привет, мир", ["привет", "мир"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("我很高兴！", ["我", "很", "高", "兴"]),
    ):
        assert [word for word in whole_words(text) if any(map(str.isalpha, word))] == words


def test_the_words_of_a_language_are_frequent_english_ones_or_those_of_a_file(tmp_path):
    words = language_words("en")
    assert len(words) == 5000
    assert {"the", "love", "don't"} <= words
    assert "quiero" not in words
    (tmp_path / "words.txt").write_text("Hola\nmundo\n", encoding="utf-8")
    assert language_words(str(tmp_path / "words.txt")) == {"hola", "mundo"}
    (tmp_path / "words.txt").write_text("Fu\u0308r\nrock'n'roll\nl'été\n", encoding="utf-8")
    assert language_words(str(tmp_path / "words.txt")) == {"für", "rock'n'roll", "l", "été"}
    (tmp_path / "words.txt").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"cannot read .*words\.txt .*: save it as UTF-8"):
        language_words(str(tmp_path / "words.txt"))


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (Rules, {"min_words": 0}, "min_words must be at least 1, got 0"),
        (Rules, {"max_tokens": 0}, "max_tokens must be from 1 to 32767, got 0"),
        (Rules, {"max_tokens": 70_000}, "max_tokens must be from 1 to 32767, got 70000"),
        (Rules, {"language": "xx"}, "language is 'xx': give 'en', or a file"),
        (Rules, {"min_words": True}, "min_words must be a whole number, got True"),
        (Rules, {"put_in": "1"}, "put_in must be a number, got '1'"),
        (Rules, {"emojis": ("x",)}, "'x' is not an emoji"),
        (Rules, {"emojis": [1]}, r"emojis must be a list of at least one emoji, got \[1\]"),
        (CorpusSettings, {"min_count": "2"}, "min_count must be a whole number, got '2'"),
        (CorpusSettings, {"nb_tokens": 2e4}, "nb_tokens must be a whole number, got 20000.0"),
        (CorpusSettings, {"nb_tokens": 10}, "nb_tokens must be more than the 10 special tokens, got 10"),
        (CorpusSettings, {"min_count": 0}, "min_count must be at least 1, got 0"),
        (CorpusSettings, {"hashtags": -1}, "hashtags must be 0 or more, got -1"),
        (CorpusSettings, {"validation": 1.0}, "validation must be a share from 0 to below 1, got 1.0"),
    ],
)
def test_what_is_out_of_range_is_refused(make, changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_a_list_of_emojis_numbers_of_columns_and_those_of_numpy_are_taken():
    assert hash(Rules(emojis=["😂", "😭"])) == hash(Rules(emojis=("😂", "😭")))
    assert Columns(2, 1, header=False) == Columns("2", "1", header=False)
    settings = CorpusSettings(min_count=np.int64(3), validation=np.float32(0.5))
    assert (type(settings.min_count), type(settings.validation)) == (int, float)
    with pytest.raises(ValueError, match="columns have numbers, from 1 on, got '0'"):
        Columns(0, header=False)
