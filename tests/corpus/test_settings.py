import numpy as np
import pytest

from torchmoji.corpus.settings import (
    Rules,
    counts_for_language,
    is_mostly_in,
    is_word,
    language_words,
    text_filter,
    unescape,
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("RT @me: so good", "retweet"),
        (" rt so good", "retweet"),
        ("rtx cards are out", None),
        ("please RT this", None),
        ("see https://a.b", "link"),
        ("see www.a.b", "link"),
        ("@me so good", None),
        ("so good", None),
    ],
)
def test_retweets_and_links_are_left_out(text, reason):
    assert text_filter(Rules())(text) == reason


def test_each_filter_can_be_turned():
    keep = text_filter(Rules(keep_retweets=True, keep_links=True))
    assert keep("RT see www.a.b") is None
    assert text_filter(Rules(keep_mentions=False))("so good, @me") == "mention"


def test_entities_become_characters_once():
    assert unescape("&lt;3 you &amp; me, &amp;lt;") == "<3 you & me, &lt;"


@pytest.mark.parametrize(("token", "expected"), [("day", True), ("1st", True), ("é", True), ("!!", False)])
def test_words_have_a_letter_or_digit(token, expected):
    assert is_word(token) == expected
    assert not is_word("CUSTOM_NUMBER")


@pytest.mark.parametrize(
    ("token", "expected"), [("day", True), ("don't", True), ("a", False), ("ж", True), ("1st", False)]
)
def test_what_says_something_about_the_language(token, expected):
    assert counts_for_language(token) == expected


def test_half_of_a_short_text_and_three_fifths_of_a_longer_one_must_be_known():
    counted = np.array([0, 1, 2, 2, 4, 5, 5, 10])
    known = np.array([0, 0, 1, 0, 2, 2, 3, 5])
    assert is_mostly_in(counted, known).tolist() == [True, True, True, False, True, False, True, False]


def test_english_words_are_those_that_are_frequent():
    words = language_words("en")
    assert len(words) == 5000
    assert {"the", "love", "don't"} <= words
    assert "quiero" not in words


def test_a_file_can_hold_the_words_of_a_language(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("Hola\nmundo\n", encoding="utf-8")
    assert language_words(str(path)) == {"hola", "mundo"}
    assert Rules(language=str(path)).language == str(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_words": 0}, "min_words must be at least 1, got 0"),
        ({"max_tokens": 0}, "max_tokens must be at least 1, got 0"),
        ({"language": "xx"}, "language is 'xx': give 'en', or a file"),
        ({"emojis": ("x",)}, "'x' is not an emoji"),
    ],
)
def test_wrong_rules_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Rules(**changes)
