"""torchmoji.pipeline.spans: the words are those of the tokenizer, the places are where they come from."""

import pytest

from torchmoji.emoticons import fold_signs
from torchmoji.pipeline.spans import placed_words
from torchmoji.word_generator import WordGenerator


def generator():
    return WordGenerator(None, allow_unicode_text=True, ignore_emojis=False)


def pieces(text):
    return [(placed.word, text[placed.start : placed.end]) for placed in placed_words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n ", []),
        ("Hello  WORLD", [("hello", "Hello"), ("world", "WORLD")]),
        ("so loooove it!!!!", [("so", "so"), ("loove", "loooove"), ("it", "it"), ("!!", "!!!!")]),
        ("one\ntwo", [("one", "one"), ("CUSTOM_BREAK", "\n"), ("two", "two")]),
        ("one<br>two", [("one", "one"), ("CUSTOM_BREAK", "<br>"), ("two", "two")]),
        ("@You 12", [("CUSTOM_AT", "@You"), ("CUSTOM_NUMBER", "12")]),
        ("ﬁne ❤\ufe0f", [("fine", "ﬁne"), ("❤", "❤")]),
        ("cafe\u0301!", [("caf", "caf"), ("é", "e\u0301"), ("!", "!")]),
        ("wait…", [("wait", "wait"), ("..", "…")]),
        ("İstanbul", [("istanbul", "İstanbul")]),
        ("ok 👍🏽!", [("ok", "ok"), ("👍", "👍🏽"), ("!", "!")]),
        ("🤷🏽\u200d♀\ufe0f", [("🤷", "🤷🏽\u200d♀\ufe0f")]),
        ("❤\ufe0f\u200d🔥", [("❤", "❤\ufe0f\u200d"), ("🔥", "🔥")]),
        ("क्\u200dष 🏽", [("क", "क"), ("\u094d", "\u094d"), ("\u200d", "\u200d"), ("ष", "ष"), ("🏽", "🏽")]),
        ("Oh :-[, no", [("oh", "Oh"), (":(", ":-["), (",", ","), ("no", "no")]),
        ("👍🏽 T.T", [("👍", "👍🏽"), (":'(", "T.T")]),
        ("the the", [("the", "the"), ("the", "the")]),
    ],
)
def test_words_have_their_places(text, expected):
    assert pieces(text) == expected
    assert [word for word, _ in expected] == generator().get_words(fold_signs(text))


def test_what_cannot_be_followed_has_the_place_of_its_part():
    text = "x \u1112\u1161\u11ab\u1100\u1173\u11af"  # Hangul in its letters, which NFKC puts together
    placed = placed_words(text)
    assert [word.word for word in placed] == generator().get_words(text)
    assert {(word.start, word.end) for word in placed[1:]} == {(2, 8)}


def test_repeated_words_have_places_of_their_own():
    assert [placed.start for placed in placed_words("no no\nno")] == [0, 3, 5, 6]
