"""torchmoji.plot.glyphs: the packaged pictures, and what there is none of."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.programs import run

from torchmoji.emojis import EMOJIS
from torchmoji.plot import glyphs
from torchmoji.plot.glyphs import emoji_image


def test_all_64_have_different_pictures():
    pictures = [emoji_image(emoji) for emoji in EMOJIS]
    assert {(picture.shape, picture.dtype) for picture in pictures} == {((72, 72, 4), np.dtype(np.uint8))}
    assert len({picture.tobytes() for picture in pictures}) == 64
    np.testing.assert_array_equal(emoji_image("❤\ufe0f"), emoji_image("❤"))
    assert emoji_image("😂", 300).shape == (300, 300, 4)
    assert min((picture[..., 3] > 127).mean() for picture in pictures) > 0.1


@pytest.mark.parametrize(("emoji", "channel"), [("❤", 0), ("💙", 2), ("😡", 0), ("♡", 0)])
def test_pictures_have_the_colour_of_their_emoji(emoji, channel):
    picture = emoji_image(emoji)
    red_green_blue = picture[picture[..., 3] == 255][:, :3].mean(axis=0)
    assert red_green_blue.argmax() == channel
    assert red_green_blue[channel] > 1.5 * np.delete(red_green_blue, channel).max()


def test_pictures_need_no_matplotlib_and_their_module_no_pillow():
    code = (
        "import sys, torchmoji.plot.glyphs as g; assert not {'PIL', 'matplotlib', 'torch'} & {*sys.modules}"
    )
    code += "; sys.modules['matplotlib'] = None; g.emoji_image('😂')"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_pillow_the_message_names_the_extra(monkeypatch):
    glyphs._sheet.cache_clear()
    for name in ("PIL", "PIL.Image"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "torchmoji\[plot\]"'):
        emoji_image("😂")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("🍕",), ValueError, r"there is no picture of '🍕' \(pizza\): use one of torchmoji"),
        (("joy",), ValueError, "is not one emoji: give one such as '😂'"),
        (("😂😂",), ValueError, "is not one emoji: give one such as '😂'"),
        ((3,), TypeError, "expected an emoji, got int"),
        (("😂", 0), ValueError, "size must be at least 1 pixel, got 0"),
    ],
)
def test_what_there_is_no_picture_of_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        emoji_image(*arguments)


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
