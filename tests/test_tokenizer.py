"""torchmoji.tokenizer: every alternative of the expression, their order, and long texts."""

import json
import random
import re
from pathlib import Path

import pytest

from torchmoji.tokenizer import IGNORED, RE_PATTERN, TOKENS, tokenize

OWN_TEXTS = [
    json.loads(line)["text"]
    for line in Path(__file__).with_name("data").joinpath("tokens.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("see http://t.co/a?b=c%20d now", ["see", "http://t.co/a?b=c%20d", "now"]),
        ("mail me@home.org now", ["mail", "me@home.org", "now"]),
        ("red-haired snake_case", ["red-haired", "snake_case"]),
        ("a-b-c", ["a-b", "-", "c"]),
        ("##tag #", ["#", "#tag", "#"]),
        ("@@you @", ["@", "@you", "@"]),
        ("<3 </3 <3<33 <<3", ["<3", "</3", "<3<33", "<<3"]),
        (":-))) :'( >:d x_x (:", [":-)))", ":'(", ">:d", "x_x", "(:"]),
        ("don't rock'n'roll", ["don't", "rock'n", "'", "roll"]),
        ("mr. Mrs. PROF. mister.", ["mr.", "Mrs.", "PROF.", "mister", "."]),
        ("a.m. U.S.A. a.b", ["a.m.", "U.S.A.", "a", ".", "b"]),
        ("2nite 10,000", ["2", "nite", "10", ",", "000"]),
        ("!!!??", ["!!!", "??"]),
        ("££ €€", ["£", "£", "€€"]),
        ("😂😂❤", ["😂", "😂", "❤"]),
        ("é\x00한", ["é", "\x00", "한"]),
    ],
)
def test_alternatives(text, words):
    assert tokenize(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("www.a@b.c", ["www.a@b.c"]),  # URL before e-mail, which would match as well
        ("http://x-y", ["http://x-y"]),  # URL before two joined words
        ("a_b@c.d", ["a_b@c.d"]),  # e-mail before two joined words
        ("x_x", ["x_x"]),  # two joined words before emoticon: the same word
        ("x_xy", ["x_xy"]),  # ... and here not
        ("#a-b", ["#a", "-", "b"]),  # hashtag takes no hyphen
        ("=3", ["=3"]),  # emoticon before symbol and digit
        ("dr.d.", ["dr.", "d", "."]),  # title before abbreviation
    ],
)
def test_order_of_alternatives(text, words):
    assert tokenize(text) == words


def test_white_space_and_nothing_else_is_dropped():
    text = "a\u00a0b\u2003c\td\x1ce\u180ef\x0bg\u200bh"
    assert tokenize(text) == ["a", "b", "c", "d", "e", "f", "g", "\u200b", "h"]


def test_tokens_and_ignored_are_the_whole_expression():
    assert len(TOKENS) == 15
    assert re.compile("|".join(IGNORED) + "|(" + "|".join(TOKENS) + ")", re.IGNORECASE) == RE_PATTERN


def test_the_public_expression_gives_the_same_words():
    """`tokenize` finds them in another way, see `test_long_texts_take_no_more_than_linear_time`."""
    rng = random.Random(1)
    texts = ["".join(rng.choices("ab1._+-@@ é#:/w<3)", k=rng.randint(1, 25))) for _ in range(3000)]
    addresses = [text.replace(" ", "@a.b ") for text in texts]
    for text in OWN_TEXTS + texts + addresses:
        assert tokenize(text) == [word for word in RE_PATTERN.findall(text) if word], ascii(text)


@pytest.mark.parametrize(
    ("text", "number_of_words"),
    [
        ("1." * 50_000, 100_000),
        ("1." * 50_000 + "@", 100_001),
        ("a@b.c " + "1+" * 50_000, 100_001),
        ("1+" * 50_000 + " a@b.c", 100_001),
        ("a@" + ".-" * 50_000, 100_002),
        ("<" * 100_000 + "3", 1),
        ("#" * 100_000, 1),
        (":" * 100_000 + ")", 2),
        ("a-" * 50_000, 50_000),
    ],
)
def test_long_texts_take_no_more_than_linear_time(text, number_of_words):
    """Seconds at most; quadratic time would be minutes."""
    assert len(tokenize(text)) == number_of_words


@pytest.mark.parametrize("value", [None, 3, b"bytes", ["a list"]])
def test_refuses_what_is_no_string(value):
    with pytest.raises(TypeError, match=f"tokenize takes one string, got {type(value).__name__}"):
        tokenize(value)


@pytest.mark.parametrize(
    ("first", "end"), [(0, 0x20000), pytest.param(0x20000, 0x110000, marks=pytest.mark.nightly)]
)
def test_every_character_within_others(first, end):
    """`tokenize` takes most of Unicode in runs, the public expression one character after the other."""
    for start in range(first, end, 1 << 16):
        block = [chr(code) for code in range(start, start + (1 << 16))]
        for text in ("".join(block), "@#a." + "#a.".join(block)):
            assert tokenize(text) == [word for word in RE_PATTERN.findall(text) if word], hex(start)
