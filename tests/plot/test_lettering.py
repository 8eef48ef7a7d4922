"""torchmoji.plot.lettering: texts without boxes for what matplotlib's font lacks."""

import io
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import matplotlib
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage, TextArea

from torchmoji.plot import lettering
from torchmoji.plot.lettering import ink_on, pieces, plain, readable, shortened, text_box, text_width, wrapped

NASTY = "日本語 😂 مرحبا हिन्दी 🫠👍🏽👩‍🚀 a\x00b\udc80 \U0010ffff $5 and $6 \U0001faea"


@pytest.fixture
def only_own_fonts(monkeypatch):
    """Only the fonts that come with matplotlib."""
    manager = lettering.fontManager
    own = [entry for entry in manager.ttflist if entry.fname.startswith(matplotlib.get_data_path())]
    monkeypatch.setattr(manager, "ttflist", own)
    lettering._fonts_for.cache_clear()
    yield
    lettering._fonts_for.cache_clear()


def drawn(text):
    """Draw a text; a character that is missing in the font is a warning, which fails."""
    figure = Figure()
    figure.add_artist(AnnotationBbox(text_box(text, 10), (0.5, 0.5), xycoords="figure fraction"))
    figure.savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "so  happy 😂😂 ❤\ufe0f!",
            [("so happy ", False), ("😂", True), ("😂", True), (" ", False), ("❤\ufe0f", True), ("!", False)],
        ),
        ("♡ © 5 # * ", [("♡", True), (" © 5 # *", False)]),
        ("so 🫠 hot", [("so :melting_face: hot", False)]),
        ("👍🏽😂", [(":thumbs_up_medium_skin_tone:", False), ("😂", True)]),
        (" ", []),
    ],
)
def test_the_64_emojis_become_pictures_and_others_their_names(text, expected):
    assert pieces(text) == expected


@pytest.mark.usefixtures("only_own_fonts")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ünï — привет", "ünï — привет"),
        ("日本", "Ri Ben "),
        ("\U00012000", ":cuneiform_sign_a:"),
        ("\U0010ffff", "?"),
        ("a\u200bb\x07\udc80c\ufe0f", "abc"),
    ],
)
def test_what_no_font_has_is_written_in_latin_letters_or_by_name(text, expected):
    assert readable(text) == expected


@pytest.mark.parametrize("fonts", ["only_own_fonts", None])
def test_nothing_is_missing_when_it_is_drawn(fonts, request):
    figure = Figure()
    figure.text(0, 0, "\U0010ffff")
    with pytest.warns(UserWarning, match="missing from"):  # else this test proves nothing
        figure.savefig(io.BytesIO(), format="png")
    if fonts:
        request.getfixturevalue(fonts)
    drawn(NASTY)
    drawn("")


def test_a_font_of_the_system_that_has_a_character_is_used(monkeypatch):
    """Georgian, which one font that comes with matplotlib has and another lacks."""
    monkeypatch.setitem(matplotlib.rcParams, "font.family", ["STIXGeneral"])
    assert "DejaVu Sans" in lettering.text_options("ა", 10)["fontfamily"]
    assert readable("ა") == "ა"
    drawn("ა")


def test_dollars_are_no_formulas():
    area = text_box("$5 and $6", 10)
    assert area.get_text() == "$5 and $6"
    assert not area._text.get_parse_math()


def test_a_box_has_a_picture_for_each_emoji_and_the_width_that_is_drawn():
    text = "ha 😂 really 😂"
    box, figure = text_box(text, 10), Figure(dpi=72)
    assert [type(child) for child in box.get_children()] == [TextArea, OffsetImage, TextArea, OffsetImage]
    figure.add_artist(AnnotationBbox(box, (0.5, 0.5), xycoords="figure fraction"))
    figure.draw_without_rendering()
    assert text_width(text, 10) == pytest.approx(box.get_window_extent().width, rel=0.05)
    assert plain(text) == "ha :face_with_tears_of_joy: really :face_with_tears_of_joy:"


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("a  b\nc", 5, "a b c"),
        ("too long", 5, "too…"),
        ("ab👩‍🚀cd", 5, "ab…"),
        ("abcde\u0301fg", 6, "abcd…"),
    ],
)
def test_long_texts_are_cut_between_characters(text, limit, expected):
    assert shortened(text, limit) == expected


def test_lines_are_as_wide_as_is_allowed_and_no_more_than_are():
    text = "the quick brown fox jumps over the lazy dog again and again " * 3
    lines = wrapped(text, 10, 150, most=2)
    assert len(lines) == 2
    assert max(text_width(line, 10) for line in lines) <= 150
    assert lines[0].startswith("the quick brown fox")
    assert lines[1].endswith("…")
    assert wrapped("two words", 10, 150, most=2) == ["two words"]
    assert text_width(*(wrapped("x" * 500, 10, 150, most=2)), 10) <= 150


@pytest.mark.parametrize("colour", ["white", "black", "#777777", "#E69F00"])
def test_writing_can_be_read_on_any_colour(colour):
    def luminance(name):
        parts = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(name)
        ]
        return np.dot(parts, [0.2126, 0.7152, 0.0722])

    dark, light = sorted([luminance(colour), luminance(ink_on(colour))])
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_without_matplotlib_the_message_names_the_extra():
    code = "import sys; sys.modules['matplotlib'] = None; import torchmoji.plot.plot"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "ModuleNotFoundError: pictures need matplotlib" in run.stderr
    assert 'pip install "torchmoji[plot]"' in run.stderr
