"""Pictures of the 64 emojis that DeepMoji predicts, the same on every machine.

They come with the package, in `emojis.png`: made from the font Noto Color Emoji (Copyright 2022 Google Inc.,
SIL Open Font License 1.1, see `emojis.OFL.txt`) by `docs/tools/make_glyphs.py`, eight in a row, in the order
of `torchmoji.emojis.EMOJIS`. Needs Pillow, which comes with the extra `plot`.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import emoji as emoji_names
import numpy as np
import numpy.typing as npt

from torchmoji.emojis import EMOJIS, alias
from torchmoji.runtime.machine import require

SHEET_NAME = "emojis.png"
CELL = 96
"""Width and height of a glyph in `emojis.png`, in pixels."""
ROW = 8
"""Glyphs in a row of it."""

_SELECTOR = "\ufe0f"


def emoji_image(emoji: str, size: int = 72) -> npt.NDArray[np.uint8]:
    """Give the picture of an emoji, on a transparent ground.

    Args:
        emoji: One of the 64, with or without variation selector.
        size: Width and height in pixels.

    Returns:
        RGBA, not premultiplied, uint8 (size, size, 4).

    Raises:
        TypeError: `emoji` is not a string.
        ValueError: It is not an emoji, there is no picture of it, or `size` is below 1.
        ModuleNotFoundError: Pillow is missing.
    """
    if not isinstance(emoji, str):
        raise TypeError(f"expected an emoji, got {type(emoji).__name__}")
    if not is_emoji(emoji):
        raise ValueError(f"{emoji!r} is not one emoji: give one such as {EMOJIS[0]!r}")
    if not has_image(emoji):
        raise ValueError(
            f"there is no picture of {emoji!r} ({alias(emoji)}): use one of torchmoji.emojis.EMOJIS"
        )
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")
    image = require("PIL.Image", "plot", "a picture of an emoji")
    top, left = divmod(EMOJIS.index(emoji.removesuffix(_SELECTOR)), ROW)
    glyph = _sheet().crop((left * CELL, top * CELL, (left + 1) * CELL, (top + 1) * CELL))
    return np.array(glyph.resize((size, size), image.Resampling.LANCZOS))


def is_emoji(text: str) -> bool:
    """Whether a text is one emoji by Unicode, or one of the 64 (♡ is none by Unicode)."""
    return has_image(text) or emoji_names.is_emoji(text)


def has_image(emoji: str) -> bool:
    """Whether `emoji_image` has a picture."""
    return emoji.removesuffix(_SELECTOR) in EMOJIS


@cache
def _sheet() -> Any:
    image = require("PIL.Image", "plot", "a picture of an emoji")
    with files("torchmoji.plot").joinpath(SHEET_NAME).open("rb") as file:
        return image.open(file).convert("RGBA")
