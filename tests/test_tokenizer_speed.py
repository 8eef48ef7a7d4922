"""A million hostile characters take seconds at most, from text to ids and in `tokenize`."""

import time

import pytest

from torchmoji.filter_utils import process_word
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.tokenizer import tokenize
from torchmoji.word_generator import WordGenerator

REPEATED = {
    "abbreviations": "a.",
    "hearts": "<3",
    "brackets": "(",
    "at signs": "@",
    "www": "www.",
    "one long word": "a",
    "one combining mark": "\u0301",
    "combining marks of two classes": "\u0301\u0316",
    "marks that NFKC makes": "\uff9e\u0301",
    "marks made of two": "\u0344\u0316",
    "digits and dots": "1.",
    "digits and plus signs": "1+",
    "halves of addresses": "a@",
    "addresses without an end": "a@b.",
    "addresses that end in signs": "a@b.-",
    "addresses": "me@home.org",
    "links": "http://",
    "hyphens": "a-",
    "underscores": "a_",
    "apostrophes": "a'",
    "titles": "mr.",
    "emoticons": ":-)",
    "halves of emoticons": ">:",
    "halves of hearts": "</",
    "hashtags": "##a",
    "mentions": "@@a",
    "number and word": "12a",
    "line breaks": "\\n",
    "html breaks": "<br>",
    "runs": "aaabbb",
    "no runs": "ab",
    "letters outside ASCII": "é",
    "letters and others by turns": "aé",
    "emojis": "😂",
    "emojis with selectors": "❤\ufe0f",
    "punctuation to convert": "…",
    "lone surrogates": "\ud83d",
    "Hangul": "\u1100\u1161\u11a8",
    "final sigma": "Σ",
    "dotted capital i": "İ",
    "long s": "ſ",
    "NFKC gives a blank": "\u00a8",
    "NUL": "\0",
    "blanks": " ",
    "pounds": "£",
    "euros": "€",
}
FUNCTIONS = {
    "words": WordGenerator(None, allow_unicode_text=True, ignore_emojis=False).get_words,
    "tokenize": tokenize,
    "process_word": process_word,
}
SECONDS_A_MILLION = 5  # measured: below one


def assert_linear(function, unit, start=""):
    """Quadratic time fails at the first length already, within a few seconds."""
    for length in (50_000, 1_000_000):
        text = start + (unit * length)[:length]
        started = time.process_time()
        function(text)
        assert time.process_time() - started < 0.2 + SECONDS_A_MILLION * length / 1_000_000, length


@pytest.mark.nightly
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", REPEATED)
def test_a_million_characters(name, function):
    assert_linear(FUNCTIONS[function], REPEATED[name])


def test_a_million_characters_of_every_kind():
    text = "".join((unit * 25_000)[:25_000] for unit in REPEATED.values())
    started = time.process_time()
    FUNCTIONS["words"](text)
    assert time.process_time() - started < SECONDS_A_MILLION * len(text) / 1_000_000


@pytest.mark.parametrize("name", ["one combining mark", "combining marks of two classes", "abbreviations"])
def test_a_million_characters_after_a_letter(name):
    assert_linear(FUNCTIONS["words"], REPEATED[name], start="x")


def test_a_million_characters_as_one_row():
    tokenizer = SentenceTokenizer({"a": 5, ".": 6}, 3)
    assert_linear(lambda text: tokenizer.tokenize_sentences([text]), "a. ")
    assert tokenizer.tokenize_sentences(["a. " * 300_000])[0].tolist() == [[5, 6, 5]]


def test_many_different_parts():
    text = " ".join(map(str, range(150_000)))
    started = time.process_time()
    assert FUNCTIONS["words"](text) == ["CUSTOM_NUMBER"] * 150_000
    assert time.process_time() - started < SECONDS_A_MILLION
