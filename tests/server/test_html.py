"""The HTML of the demo page: escaped, with every number as text, for emojis and for other classes."""

import re
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


def test_emojis_are_hidden_where_their_name_stands_and_words_have_none(reader):
    shown = html.reading(reader.read("good"), "your text")
    for element in re.findall(r'<span class="(?:sign|big|track)"[^>]*>', shown):
        assert 'aria-hidden="true"' in element
    shown = html.reading(Reader(small(2, ["very_bad", "fine"])).read("good"), "your text")
    assert 'class="sign"' not in shown
    assert 'class="big"' not in shown
    assert "very bad" in shown
    assert "Emotions" not in shown


def test_notes():
    found = Reader(small(3, ["a", "b", "c"], multi_label=True, max_length=2)).read("good day bad")
    shown = html.reading(found, "your text", several=True)
    assert "judged on its own" in shown
    assert "The model read the first 2 words." in shown
    shown = html.reading(Reader(small(2)).read("good"), "your text")
    assert "judged on its own" not in shown
    assert "The model read" not in shown


def test_shades_are_relative_to_the_highest_weight():
    words = [
        {"word": "good", "weight": 0.6, "start": 0, "end": 4},
        {"word": "day", "weight": 0.3, "start": 5, "end": 8},
    ]
    assert html.shaded("Good day!", words) == (
        '<mark style="--shade:1.00" title="Good: 60%">Good</mark> '
        '<mark style="--shade:0.50" title="day: 30%">day</mark>!'
    )


def test_words_made_of_one_character_are_shaded_once():
    words = [{"word": word, "weight": 0.5, "start": 0, "end": 1} for word in "ab"]
    assert html.shaded("½ day", words).count("<mark") == 1


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0%"), (0.001, "<1%"), (0.0099, "<1%"), (0.01, "1%"), (0.374, "37%"), (1, "100%")],
)
def test_percent(share, shown):
    assert html.percent(share) == shown


def test_similarity_is_a_number_and_a_share(reader):
    found = reader.compare("good", "bad") | {"similarity": -0.25, "closer_than": 0.5}
    shown = html.similarity(found)
    assert "-0.25" in shown
    assert "closer than 50% of pairs" in shown
    assert "width:0.0%" in shown
    assert html.similarity(None) == ""


def test_a_preview_has_a_header_and_short_cells():
    shown = Elements(html.file_preview(["text", "emoji_1"], [["long " * 50, "😋"], ["short", "😂"]], 1200))
    assert (shown.count("th"), shown.count("td")) == (2, 4)
    assert "Done: 1,200 rows." in shown.text
    assert "The first 2 rows" in shown.text
    assert "long " * 13 not in shown.text
    assert "Done: 1 row." in html.file_preview(["text"], [["a"]], 1)
    assert "<table" not in html.file_preview(["text"], [], 0)
