"""torchmoji.filter_utils: one rule each; tests/test_golden_text.py has the recorded calls."""

import pytest

from torchmoji.filter_utils import (
    VARIATION_SELECTORS,
    convert_linebreaks,
    convert_nonbreaking_space,
    correct_length,
    detect_special_tokens,
    extract_emojis,
    mostly_english,
    non_english_user,
    process_word,
    remove_control_chars,
    remove_variation_selectors,
    separate_emojis_and_text,
    shorten_word,
)

ENGLISH = {"i", "love", "this", "day"}


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        (["love", "xx"], (True, 2, 1)),  # one half is enough for two to four words
        (["love", "xx", "yy"], (False, 3, 1)),
        (["love", "this", "day", "xx", "yy"], (True, 5, 3)),  # six tenths are enough for five
        (["love", "this", "xx", "yy", "zz"], (False, 5, 2)),
        (["xx"], (True, 1, 0)),  # one word says nothing
        (["i", "!!", "CUSTOM_AT", "love"], (True, 1, 1)),  # short words, signs, special tokens do not count
    ],
)
def test_mostly_english(words, verdict):
    assert mostly_english(words, ENGLISH) == verdict


def test_mostly_english_options():
    words = ["i", "CUSTOM_AT", "xx"]
    assert mostly_english(words, ENGLISH, ignore_special_tokens=False) == (False, 2, 0)
    assert mostly_english(words, ENGLISH, min_length=1) == (True, 2, 1)
    assert mostly_english(words, ENGLISH, min_length=1, pct_eng_short=0.6) == (False, 2, 1)
    assert mostly_english(["love"] * 4 + ["xx"], ENGLISH, pct_eng_long=0.9) == (False, 5, 4)


@pytest.mark.parametrize(
    ("bounds", "accepted"),
    [((2, None), True), ((3, None), False), ((None, 2), True), ((None, 1), False), ((None, None), True)],
)
def test_correct_length_counts_words_only(bounds, accepted):
    assert correct_length(["hello", "!!", "CUSTOM_AT", "you"], *bounds) is accepted


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a😂b❤\ufe0f", ("😂❤", "ab\ufe0f")),
        ("👩\u200d💻 🇺🇸", ("👩💻", "\u200d 🇺🇸")),  # single characters only; letters of flags are none
        ("♾🥰", ("♾🥰", "")),  # newer than emoji 0.4.5
        ("1#*", ("", "1#*")),  # keycaps need more than the digit
        ("", ("", "")),
    ],
)
def test_separate_emojis_and_text(text, parts):
    assert separate_emojis_and_text(text) == parts


@pytest.mark.parametrize(
    ("word", "shortened"),
    [
        ("sooooo", "soo"),
        ("noooo!!!", "noo!!"),
        ("...", ".."),
        ("aab", "aab"),
        ("zz", "zz"),
        ("wooohooooo", "woohoooo"),  # the first run is cut inside the second one too
        ("ééé", "ééé"),
        ("soooé", "soooé"),
        ("", ""),
    ],
)
def test_shorten_word(word, shortened):
    assert shorten_word(word) == shortened


@pytest.mark.parametrize(
    ("word", "token"),
    [
        ("12", "CUSTOM_NUMBER"),
        ("-5", "CUSTOM_NUMBER"),
        (" +7 ", "CUSTOM_NUMBER"),
        ("٣", "CUSTOM_NUMBER"),
        ("1_000", "1_000"),
        ("1.5", "1.5"),
        ("½", "½"),
        ("@me", "CUSTOM_AT"),
        ("me@home.org", "CUSTOM_AT"),
        ("http://a.b/@me", "CUSTOM_AT"),  # mention before URL
        ("www.a.b", "CUSTOM_URL"),
        ("https://", "https://"),
        ("hello", "hello"),
        ("", ""),
    ],
)
def test_detect_special_tokens(word, token):
    assert detect_special_tokens(word) == token


@pytest.mark.parametrize("space", ["\xa0", "\xc2", "\\xa0", "\\\\xc2"])
def test_convert_nonbreaking_space(space):
    assert convert_nonbreaking_space(f"a{space}b") == "a b"


@pytest.mark.parametrize("linebreak", ["\n", "\r", "\\n", "\\r", "\\\\n", "\\\\r", "<br>"])
def test_convert_linebreaks(linebreak):
    assert convert_linebreaks(f"a{linebreak}b") == "a CUSTOM_BREAK b"


def test_small_functions():
    assert len(VARIATION_SELECTORS) == 16
    assert remove_variation_selectors("a" + "".join(VARIATION_SELECTORS) + "\ufdff\ufe10") == "a\ufdff\ufe10"
    assert extract_emojis("😂❤\ufe0f😂👍", ["❤", "😂"]) == ["😂", "❤", "😂"]
    assert remove_control_chars("a\x00\x1f \x7f\x9fb\xa0") == "a b\xa0"
    assert [process_word(word) for word in ("www.a.b", "11111")] == ["ww.a.b", "CUSTOM_NUMBER"]
    assert [non_english_user(user, {99}) for user in ("99", 99, "7")] == [True, True, False]
    with pytest.raises(ValueError, match="'bob'"):
        non_english_user("bob", {99})
