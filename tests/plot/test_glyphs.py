"""torchmoji.plot.glyphs: the packaged pictures, and what there is none of."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

from support.programs import run

from torchmoji.emojis import EMOJIS
from torchmoji.plot import glyphs
from torchmoji.plot.glyphs import emoji_image, has_image, is_emoji


def test_all_64_have_different_pictures():
    pictures = [emoji_image(emoji) for emoji in EMOJIS]
    assert {(picture.shape, picture.dtype) for picture in pictures} == {((72, 72, 4), np.dtype(np.uint8))}
    assert len({picture.tobytes() for picture in pictures}) == 64
    assert min((picture[..., 3] > 127).mean() for picture in pictures) > 0.1


@pytest.mark.parametrize(("emoji", "channel"), [("❤", 0), ("💙", 2), ("😡", 0), ("♡", 0)])
def test_pictures_have_the_colour_of_their_emoji(emoji, channel):
    picture = emoji_image(emoji)
    red_green_blue = picture[picture[..., 3] == 255][:, :3].mean(axis=0)
    assert red_green_blue.argmax() == channel
    assert red_green_blue[channel] > 1.5 * np.delete(red_green_blue, channel).max()


def test_the_white_heart_is_hollow():
    assert emoji_image("♡")[36, 36, 3] == 0
    assert emoji_image("♥")[36, 36, 3] == 255


@pytest.mark.parametrize("size", [1, 300])
def test_any_size(size):
    picture = emoji_image("😂", size)
    assert picture.shape == (size, size, 4)
    assert picture[..., 3].max() > 150


def test_a_variation_selector_changes_nothing():
    np.testing.assert_array_equal(emoji_image("❤\ufe0f"), emoji_image("❤"))


def test_changing_a_picture_changes_no_other():
    emoji_image("😂")[:] = 0
    assert emoji_image("😂").any()


def test_the_licence_is_there():
    licence = files("torchmoji.plot").joinpath("emojis.OFL.txt").read_text("utf-8")
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence
    assert "Google" in licence


def test_other_emojis_are_refused_by_name():
    assert is_emoji("🍕")
    assert not has_image("🍕")
    with pytest.raises(ValueError, match=r"there is no picture of '🍕' \(pizza\): use one of torchmoji"):
        emoji_image("🍕")


@pytest.mark.parametrize("text", ["", "joy", "1", "😂😂", "😂 "])
def test_what_is_not_one_emoji_is_refused(text):
    with pytest.raises(ValueError, match="is not one emoji: give one such as '😂'"):
        emoji_image(text)
    assert not has_image(text)


def test_wrong_types_and_sizes_are_refused():
    with pytest.raises(TypeError, match="expected an emoji, got int"):
        emoji_image(3)
    with pytest.raises(ValueError, match="size must be at least 1 pixel, got 0"):
        emoji_image("😂", 0)


def test_pictures_need_no_matplotlib_and_their_module_no_pillow():
    code = (
        "import sys, torchmoji.plot.glyphs as g; assert not {'PIL', 'matplotlib', 'torch'} & set(sys.modules)"
    )
    code += "; sys.modules['matplotlib'] = None; g.emoji_image('😂')"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_pillow_the_message_names_the_extra(monkeypatch):
    glyphs._scaled.cache_clear()
    glyphs._sheet.cache_clear()
    for name in ("PIL", "PIL.Image"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "torchmoji\[plot\]"'):
        emoji_image("😂")


@pytest.mark.nightly
def test_the_program_draws_what_is_packaged(repository, tmp_path, capsys):
    from PIL import Image

    font = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
    if not font.is_file():
        pytest.skip(f"the font {font} is not installed")
    program = repository / "docs" / "tools" / "make_glyphs.py"
    run(program, "--font", font, "--out", tmp_path / "new.png")
    assert "64 glyphs" in capsys.readouterr().out
    new, packaged = (
        np.asarray(Image.open(path).convert("RGBA"), dtype=float)
        for path in (tmp_path / "new.png", repository / "torchmoji" / "plot" / glyphs.SHEET_NAME)
    )
    assert new.shape == packaged.shape
    assert np.abs(new - packaged)[packaged[..., 3] > 127].mean() < 10  # other versions of the font differ
