"""torchmoji.plot.glyphs: the packaged pictures, fonts of the system, and what no font has."""

import os
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest

pytest.importorskip("PIL")

from support.programs import refusal, run

from torchmoji.emojis import EMOJIS
from torchmoji.plot import glyphs
from torchmoji.plot.glyphs import CELL, draw_with, emoji_image, fitted, font_files, has_image

PIZZA = "🍕"


@pytest.fixture
def without_fonts(monkeypatch):
    """A machine without emoji fonts."""
    monkeypatch.setattr(glyphs, "font_files", tuple)
    glyphs._picture.cache_clear()
    yield
    glyphs._picture.cache_clear()


@pytest.fixture(scope="module")
def plain_font():
    """A font without colours, of matplotlib's own; it has 😂 as an outline."""
    matplotlib = pytest.importorskip("matplotlib")
    return os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


def colour(emoji):
    """The mean colour of its opaque pixels."""
    picture = emoji_image(emoji)
    return picture[picture[..., 3] == 255][:, :3].mean(axis=0)


# --- packaged pictures ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_fonts")
def test_all_64_have_different_pictures_without_any_font():
    pictures = [emoji_image(emoji) for emoji in EMOJIS]
    assert {(picture.shape, picture.dtype) for picture in pictures} == {((72, 72, 4), np.dtype(np.uint8))}
    assert len({picture.tobytes() for picture in pictures}) == 64
    assert min((picture[..., 3] > 127).mean() for picture in pictures) > 0.1


@pytest.mark.parametrize(("emoji", "channel"), [("❤", 0), ("💙", 2), ("😡", 0), ("♥", 0), ("♡", 0)])
def test_pictures_have_the_colour_of_their_emoji(emoji, channel):
    red_green_blue = colour(emoji)
    assert red_green_blue.argmax() == channel
    assert red_green_blue[channel] > 1.5 * np.delete(red_green_blue, channel).max()


def test_the_white_heart_is_hollow():
    assert emoji_image("♡")[36, 36, 3] == 0
    assert emoji_image("♥")[36, 36, 3] == 255


def test_packaged_pictures_are_those_of_the_font():
    font = glyphs._FONT_FILES[0]
    if not os.path.isfile(font):
        pytest.skip(f"the font {font} is not installed")
    for emoji in EMOJIS:
        if emoji == "♡":
            continue
        drawn = draw_with(font, emoji)
        assert drawn is not None
        opacity = np.asarray(fitted(drawn, CELL))[..., 3].astype(int)
        assert np.abs(opacity - emoji_image(emoji, CELL)[..., 3]).mean() < 12, emoji


@pytest.mark.parametrize("size", [1, 20, 96, 300])
def test_any_size(size):
    picture = emoji_image("😂", size)
    assert picture.shape == (size, size, 4)
    assert picture[..., 3].max() > 150


def test_a_variation_selector_changes_nothing():
    np.testing.assert_array_equal(emoji_image("❤\ufe0f"), emoji_image("❤"))


def test_changing_a_picture_changes_no_other():
    emoji_image("😂")[:] = 0
    assert emoji_image("😂").any()


def test_the_sheet_is_small_and_has_its_licence():
    package = files("torchmoji.plot")
    assert len(package.joinpath(glyphs.SHEET_NAME).read_bytes()) < 250_000
    licence = package.joinpath("emojis.OFL.txt").read_text("utf-8")
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence
    assert "Google" in licence


# --- fonts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("emoji", ["👍🏽", "👩‍🚀", "❤️‍🔥", "🇩🇪", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🍕"])
def test_other_emojis_come_from_a_font_of_the_system(emoji):
    from PIL import features

    if not font_files() or not features.check("raqm"):
        pytest.skip("there is no emoji font, or Pillow cannot join characters (libraqm)")
    assert has_image(emoji)
    picture = emoji_image(emoji)
    assert (picture[..., 3] > 127).mean() > 0.2
    assert np.ptp(picture[picture[..., 3] == 255][:, :3].astype(int), axis=1).max() > 60  # not grey


def test_skin_tones_differ():
    if not has_image("👍🏿"):
        pytest.skip("there is no emoji font, or Pillow cannot join characters (libraqm)")
    assert colour("👍🏿").sum() < colour("👍").sum() - 100


@pytest.mark.usefixtures("without_fonts")
def test_without_a_font_other_emojis_are_refused_by_name():
    assert not has_image(PIZZA)
    with pytest.raises(ValueError, match=r"no font here has '🍕' \(pizza\): install one"):
        emoji_image(PIZZA)


def test_a_font_draws_what_it_has_and_no_box_for_what_it_lacks(plain_font):
    assert draw_with(plain_font, "😂") is not None
    assert draw_with(plain_font, PIZZA) is None


@pytest.mark.parametrize("emoji", ["😂🏽", "😂‍😂", "😂\U000e0067\U000e007f"])
def test_a_sequence_that_a_font_would_draw_in_parts_or_in_part_is_not_drawn(plain_font, emoji):
    assert draw_with(plain_font, emoji) is None


def test_a_font_without_colours_is_drawn_dark(plain_font):
    pixels = np.asarray(draw_with(plain_font, "😂"))
    assert pixels[pixels[..., 3] > 0][:, :3].max() <= 64


def test_a_file_that_is_no_font_has_nothing(tmp_path):
    (tmp_path / "emoji.ttf").write_bytes(b"no font")
    assert draw_with(tmp_path / "emoji.ttf", "😂") is None


# --- the script -------------------------------------------------------------------------------------------


def test_the_script_draws_what_is_packaged(repository, tmp_path, capsys):
    if not os.path.isfile(glyphs._FONT_FILES[0]):
        pytest.skip(f"the font {glyphs._FONT_FILES[0]} is not installed")
    from PIL import Image

    run(repository / "docs" / "tools" / "make_glyphs.py", "--out", tmp_path / "new.png")
    assert "64 glyphs" in capsys.readouterr().out
    new, packaged = (
        np.asarray(Image.open(path).convert("RGBA"), dtype=float)
        for path in (tmp_path / "new.png", repository / "torchmoji" / glyphs.SHEET_NAME)
    )
    assert new.shape == packaged.shape
    seen = packaged[..., 3] > 127
    assert np.abs(new - packaged)[seen].mean() < 10  # other versions of the font differ a little


def test_the_script_refuses_a_font_that_is_not_there(repository, tmp_path, capsys):
    message = refusal(repository / "docs" / "tools" / "make_glyphs.py", capsys, "--font", tmp_path / "no.ttf")
    assert "no.ttf: install Noto Color Emoji, or name it with --font" in message


def test_the_script_refuses_a_font_of_letters(repository, plain_font, tmp_path):
    with pytest.raises(SystemExit, match=r"has no .*: give a Noto Color Emoji of bitmaps"):
        run(
            repository / "docs" / "tools" / "make_glyphs.py",
            "--font",
            plain_font,
            "--out",
            tmp_path / "new.png",
        )
    assert not list(tmp_path.iterdir())


# --- errors and imports -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "joy", "1", "😂😂", "😂 ", "©x"])
def test_what_is_not_one_emoji_is_refused(text):
    with pytest.raises(ValueError, match="is not one emoji: give one such as '😂'"):
        emoji_image(text)
    assert not has_image(text)


def test_wrong_types_and_sizes_are_refused():
    with pytest.raises(TypeError, match="expected an emoji, got int"):
        emoji_image(3)
    with pytest.raises(ValueError, match="size must be at least 1 pixel, got 0"):
        emoji_image("😂", 0)


@pytest.mark.parametrize(
    "code",
    [
        "import torchmoji.plot.glyphs; assert not {'PIL', 'matplotlib', 'torch'} & set(sys.modules)",
        "sys.modules['matplotlib'] = None\nfrom torchmoji.plot.glyphs import emoji_image\nemoji_image('😂')",
    ],
)
def test_matplotlib_is_needed_by_fonts_alone(code):
    subprocess.run([sys.executable, "-c", f"import sys\n{code}"], check=True, timeout=60)


def test_without_pillow_the_message_names_the_extra(monkeypatch):
    glyphs._picture.cache_clear()
    glyphs._sheet.cache_clear()
    for name in ("PIL", "PIL.Image", "PIL.ImageDraw", "PIL.ImageFont"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "torchmoji\[plot\]"'):
        emoji_image("😂")
