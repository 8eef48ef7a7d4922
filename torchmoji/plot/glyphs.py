"""Pictures of emojis, the same on every machine for the 64 that DeepMoji predicts.

Those come with the package, in `emojis.png`: made from the font Noto Color Emoji (Copyright 2022 Google Inc.,
SIL Open Font License 1.1, see `emojis.OFL.txt`) by `scripts/make_glyphs.py`, eight in a row, in the order of
`torchmoji.emojis.EMOJIS`. Any other emoji is drawn with an emoji font of the system, where one has it. Needs
Pillow, which draws colour fonts and comes with the extra `plot`.
"""

import os
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import emoji as emoji_names
import numpy as np
import numpy.typing as npt

from torchmoji.emojis import EMOJIS, alias

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

SHEET_NAME = "emojis.png"
CELL = 96
"""Width and height of a glyph in `emojis.png`, in pixels."""
ROW = 8
"""Glyphs in a row of it."""

_FONT_FILES = (
    "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",  # Debian, Ubuntu
    "/usr/share/fonts/noto/NotoColorEmoji.ttf",  # Arch
    "/usr/share/fonts/google-noto-color-emoji-fonts/NotoColorEmoji.ttf",  # Fedora
    "/System/Library/Fonts/Apple Color Emoji.ttc",
    "C:/Windows/Fonts/seguiemj.ttf",
)
_STRIKES = (109, 160, 136, 128, 96, 72, 64)
"""Sizes to ask for, in pixels: a font of bitmaps has but one or a few; Noto's is 109, Apple's largest 160."""
_NO_CHARACTER = "\U0010ffff"
"""Never in a font: drawn as the font draws what it lacks."""
_SELECTOR = "\ufe0f"
_INK = (64, 64, 64, 255)
"""Of fonts without colours."""


def emoji_image(emoji: str, size: int = 72) -> npt.NDArray[np.uint8]:
    """Give the picture of an emoji, on a transparent ground.

    Args:
        emoji: One emoji, also with a skin tone or joined of several, with or without variation selector.
        size: Width and height in pixels.

    Returns:
        RGBA, not premultiplied, uint8 (size, size, 4).

    Raises:
        TypeError: `emoji` is not a string.
        ValueError: It is not an emoji, no font on this machine has it, or `size` is below 1.
        ModuleNotFoundError: Pillow is missing.
    """
    if not isinstance(emoji, str):
        raise TypeError(f"expected an emoji, got {type(emoji).__name__}")
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")
    if not is_emoji(emoji):
        raise ValueError(f"{emoji!r} is not one emoji: give one such as {EMOJIS[0]!r}")
    picture = _picture(emoji, size)
    if picture is None:
        raise ValueError(
            f"no font here has {emoji!r} ({alias(emoji)}): install one that does, such as Noto Color Emoji "
            "(Debian: fonts-noto-color-emoji), or use one of torchmoji.emojis.EMOJIS"
        )
    return picture.copy()


def is_emoji(text: str) -> bool:
    """Whether a text is one emoji by Unicode, or one of the 64 (♡ is none by Unicode)."""
    return _plain(text) in EMOJIS or emoji_names.is_emoji(text)


def has_image(emoji: str) -> bool:
    """Whether `emoji_image` has a picture."""
    return is_emoji(emoji) and _picture(emoji, CELL) is not None


@lru_cache(maxsize=256)
def _picture(emoji: str, size: int) -> npt.NDArray[np.uint8] | None:
    image = _bundled(emoji) or _drawn_by_system(emoji)
    return None if image is None else np.asarray(fitted(image, size))


def _bundled(emoji: str) -> "Image | None":
    if (name := _plain(emoji)) not in EMOJIS:
        return None
    top, left = divmod(EMOJIS.index(name), ROW)
    return _sheet().crop((left * CELL, top * CELL, (left + 1) * CELL, (top + 1) * CELL))


@lru_cache(maxsize=1)
def _sheet() -> "Image":
    with files("torchmoji.plot").joinpath(SHEET_NAME).open("rb") as file:
        return pillow().Image.open(file).convert("RGBA")


def _plain(emoji: str) -> str:
    return emoji.removesuffix(_SELECTOR)


def fitted(image: "Image", size: int) -> "Image":
    """Scale an RGBA image to fill a square, in its middle."""
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    PIL = pillow()
    square: Image = PIL.Image.new("RGBA", (size, size))
    scaled = image.resize((width, height), PIL.Image.Resampling.LANCZOS)
    square.paste(scaled, ((size - width) // 2, (size - height) // 2))
    return square


def pillow() -> Any:
    """Pillow's package, with its modules for images, drawing and fonts.

    Raises:
        ModuleNotFoundError: It is missing.
    """
    try:
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'pictures of emojis need Pillow, which is not installed: pip install "torchmoji[plot]"',
            name="PIL",
        ) from error
    return PIL


# --- fonts of the system ----------------------------------------------------------------------------------


def _drawn_by_system(emoji: str) -> "Image | None":
    for path in font_files():
        image = draw_with(path, emoji)
        if image is not None:
            return image
    return None


@lru_cache(maxsize=1)
def font_files() -> tuple[Path, ...]:
    """The emoji fonts of this machine, those with colours first."""
    known = [Path(path) for path in _FONT_FILES if os.path.isfile(path)]
    if find_spec("matplotlib"):
        from matplotlib.font_manager import findSystemFonts

        found = (Path(path) for path in findSystemFonts())
        other = (path for path in found if "emoji" in path.stem.lower() or path.stem == "seguiemj")
        known += sorted(other, key=lambda path: ("color" not in path.stem.lower(), str(path)))
    return tuple(dict.fromkeys(known))


def draw_with(path: str | os.PathLike[str], emoji: str) -> "Image | None":
    """Draw an emoji with a font.

    Args:
        path: The font.
        emoji: One emoji.

    Returns:
        RGBA, cropped to the ink; None where the font lacks the emoji or would draw it as several.
    """
    font = _font(os.fspath(path))
    if font is None:
        return None
    others = [_ink(font, _NO_CHARACTER)]
    if len(emoji.replace(_SELECTOR, "")) > 1:  # a flag of England without its letters is a black flag
        others.append(_ink(font, emoji[0]))
    for text in dict.fromkeys((emoji, emoji.replace(_SELECTOR, ""))):
        # what the font does not join, or Pillow cannot join without libraqm, is drawn in parts
        if font.getlength(text) > 1.5 * font.getlength(text[0]):
            continue
        image = _ink(font, text)
        if image is not None and image not in others:
            return image
    return None


@lru_cache(maxsize=8)
def _font(path: str) -> "FreeTypeFont | None":
    """The font at a size that it has; None where Pillow cannot read it."""
    for size in _STRIKES:
        try:
            font: FreeTypeFont = pillow().ImageFont.truetype(path, size)
        except OSError:
            continue
        return font
    return None


def _ink(font: "FreeTypeFont", text: str) -> "Image | None":
    """What a font draws for a text, RGBA, cropped; None for nothing."""
    PIL = pillow()
    left, top, right, bottom = font.getbbox(text)
    margin = 8
    size = (int(right - left) + 2 * margin, int(bottom - top) + 2 * margin)
    image = PIL.Image.new("RGBA", size)
    place = (margin - left, margin - top)
    PIL.ImageDraw.Draw(image).text(place, text, font=font, fill=_INK, embedded_color=True)
    box = image.getbbox()
    return image.crop(box) if box else None
