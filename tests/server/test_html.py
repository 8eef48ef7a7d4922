"""The HTML of the demo page: escaped, with every number as text, for emojis and for other classes."""

from html.parser import HTMLParser

import pytest
from support.small_pipeline import small

from torchmoji.server import html
from torchmoji.server.reading import Reader


class Elements(HTMLParser):
    """The elements of some HTML, and its text."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def count(self, tag):
        return sum(name == tag for name, _ in self.found)


@pytest.fixture(scope="module")
def reader():
    return Reader(small())


def test_markup_stays_text(reader):
    text = '<script>alert(1)</script> <img src=x onerror="alert(1)"> a & b'
    shown = Elements(html.reading(reader.read(text), "your text"))
    assert shown.count("script") == shown.count("img") == 0
    assert text in shown.text
    evil = "<i>"
    found = Reader(small(2, [evil, "b"]), [evil, "good day", "bad train"]).read("good day")
    assert Elements(html.reading(found, evil)).count("i") == 0
    assert Elements(html.file_preview([evil], [[evil]], 1)).count("i") == 0
    assert Elements(html.file_error(evil) + html.empty(evil)).count("i") == 0


def test_a_reading_has_all_numbers_as_text(reader):
    found = reader.read("good train")
    shown = Elements(html.reading(found, "your text"))
    for score in found["emojis"]:
        assert score["alias"].replace("_", " ") in shown.text
        assert html.percent(score["probability"]) in shown.text
    for near in found["nearest"]:
        assert near["text"] in shown.text
        assert f"{near['similarity']:.2f}" in shown.text
    good, train = (html.percent(word["weight"]) for word in found["words"])
    assert f"Weights: good {good}, train {train}." in shown.text
    assert "Emotions" in shown.text


def test_notes():
    found = Reader(small(3, ["a", "b", "c"], multi_label=True, max_length=2)).read("good day bad")
    shown = html.reading(found, "your text", several=True)
    assert "judged on its own" in shown
    assert "The model read the first 2 words." in shown
    shown = html.reading(Reader(small(2)).read("good"), "your text")
    assert "judged on its own" not in shown
    assert "The model read" not in shown


def test_a_text_without_words_and_one_without_a_class_say_so():
    assert "no words" in html.reading(Reader(small()).read("\ufe0f"), "your text")
    strict = Reader(small(3, ["a", "b", "c"], multi_label=True, thresholds=[1, 1, 1]))
    shown = html.reading(strict.read("good"), "your text")
    assert "No class reaches its threshold" in shown
    assert "Words by attention" in shown


def test_hearts_are_shown_in_colour():
    found = Reader(small(2, ["❤", "😂"])).read("good", 2)
    assert "❤" in [score["emoji"] for score in found["emojis"]]
    assert "❤\ufe0f" in html.reading(found, "your text")
