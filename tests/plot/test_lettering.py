"""torchmoji.plot.lettering: texts without boxes for what matplotlib's font lacks."""

import io
import subprocess
import sys

import pytest

pytest.importorskip("matplotlib")

import matplotlib
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage, TextArea

from torchmoji.plot import glyphs, lettering
from torchmoji.plot.lettering import pieces, plain, readable, shortened, text_box, text_width, wrapped

NASTY = [
    "日本語 😂",
    "مرحبا שלום",
    "हिन्दी",
    "🫠👍🏽👩‍🚀",
    "a\x00b\udc80",
    "\U0010ffff",
    "",
    " ",
    "$5 and $6",
    "\U0001faea",
]


@pytest.fixture
def only_own_fonts(monkeypatch):
    """Only the fonts that come with matplotlib, and none of emojis."""
    manager = lettering.fontManager
    own = [entry for entry in manager.ttflist if entry.fname.startswith(matplotlib.get_data_path())]
    monkeypatch.setattr(manager, "ttflist", own)
    monkeypatch.setattr(glyphs, "font_files", tuple)
    for cached in (glyphs._picture, lettering._fonts_for):
        cached.cache_clear()
    yield
    for cached in (glyphs._picture, lettering._fonts_for):
        cached.cache_clear()


def drawn(text):
    """Draw a text; a character that is missing in the font is a warning, which fails."""
    figure = Figure()
    figure.add_artist(AnnotationBbox(text_box(text, 10), (0.5, 0.5), xycoords="figure fraction"))
    figure.savefig(io.BytesIO(), format="png")


def test_emojis_of_a_text_become_pictures():
    assert pieces("so  happy 😂😂 ❤\ufe0f!") == [
        ("so happy ", False),
        ("😂", True),
        ("😂", True),
        (" ", False),
        ("❤\ufe0f", True),
        ("!", False),
    ]


def test_the_white_heart_is_an_emoji_and_symbols_are_text():
    assert pieces("♡ © 5 # *") == [("♡", True), (" © 5 # *", False)]


@pytest.mark.usefixtures("only_own_fonts")
def test_an_emoji_without_a_picture_is_written_by_name():
    assert pieces("so 🫠 hot") == [("so :melting_face: hot", False)]
    assert pieces("👍🏽") == [(":thumbs_up_medium_skin_tone:", False)]


@pytest.mark.usefixtures("only_own_fonts")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ünï — naïve", "ünï — naïve"),
        ("日本", "Ri Ben "),
        ("привет", "привет"),
        ("\U00012000", ":cuneiform_sign_a:"),
        ("\U0010ffff", "?"),
        ("a\u200bb\x07\udc80c\ufe0f", "abc"),
    ],
)
def test_what_no_font_has_is_written_in_latin_letters_or_by_name(text, expected):
    assert readable(text) == expected


def test_matplotlib_warns_of_a_character_that_it_lacks():
    """What the other tests rely on."""
    figure = Figure()
    figure.text(0, 0, "\U0010ffff")
    with pytest.warns(UserWarning, match="missing from"):
        figure.savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize("fonts", ["only_own_fonts", "all_fonts"])
@pytest.mark.parametrize("text", NASTY)
def test_nothing_is_missing_when_it_is_drawn(text, fonts, request):
    if fonts == "only_own_fonts":
        request.getfixturevalue(fonts)
    drawn(text)


def test_a_font_of_the_system_that_has_a_character_is_used(monkeypatch):
    """Georgian, which one font that comes with matplotlib has and another lacks."""
    monkeypatch.setitem(matplotlib.rcParams, "font.family", ["STIXGeneral"])
    assert lettering._lacking("ა") == {"ა"}
    assert "DejaVu Sans" in lettering.text_options("ა", 10)["fontfamily"]
    assert readable("ა") == "ა"
    drawn("ა")


def test_dollars_are_no_formulas():
    (area,) = [box for box in [text_box("$5 and $6", 10)] if isinstance(box, TextArea)]
    assert area.get_text() == "$5 and $6"
    assert not area._text.get_parse_math()


def test_a_box_has_a_picture_for_each_emoji():
    children = text_box("ha 😂 😂", 10).get_children()
    assert [type(child) for child in children] == [TextArea, OffsetImage, TextArea, OffsetImage]


def test_widths_are_those_that_are_drawn():
    figure = Figure(dpi=72)
    for text in ("I love mom's cooking", "so happy 😂😂 really"):
        box = text_box(text, 10)
        figure.add_artist(AnnotationBbox(box, (0.5, 0.5), xycoords="figure fraction"))
        figure.draw_without_rendering()
        assert text_width(text, 10) == pytest.approx(box.get_window_extent().width, rel=0.05)
    assert text_width("", 10) == 0


def test_emojis_by_name_where_there_is_no_room():
    assert plain("so 😂") == "so :face_with_tears_of_joy:"


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("short", 5, "short"),
        ("a  b\nc", 5, "a b c"),
        ("too long", 5, "too…"),
        ("abcdefgh", 5, "abcd…"),
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


def test_without_matplotlib_the_message_names_the_extra():
    code = "import sys; sys.modules['matplotlib'] = None; import torchmoji.plot.plot"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "ModuleNotFoundError: pictures need matplotlib" in run.stderr
    assert 'pip install "torchmoji[plot]"' in run.stderr
