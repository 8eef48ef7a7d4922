"""torchmoji.plot.lettering: texts without boxes for what matplotlib's font lacks."""

import io
import subprocess
import sys

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage, TextArea

from torchmoji.plot import lettering
from torchmoji.plot.lettering import pieces, plain, readable, shortened, text_box, text_width

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
    [("a  b\nc", 5, "a b c"), ("too long", 5, "too…"), ("ab👩‍🚀cd", 5, "ab…"), ("abcde\u0301fg", 6, "abcd…")],
)
def test_long_texts_are_cut_between_characters(text, limit, expected):
    assert shortened(text, limit) == expected


def test_without_matplotlib_the_message_names_the_extra():
    code = "import sys; sys.modules['matplotlib'] = None; import torchmoji.plot.plot"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "ModuleNotFoundError: a picture needs matplotlib" in run.stderr
    assert 'pip install "torchmoji[plot]"' in run.stderr
