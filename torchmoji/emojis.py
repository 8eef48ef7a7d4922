"""The 64 emojis that DeepMoji predicts, in the order of its output classes.

Source: the output layer of the original weights (Felbo et al., 2017). Variation selectors are not part of
the entries: "❤" is U+2764 alone.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import emoji
import numpy as np
import numpy.typing as npt

EMOJIS: tuple[str, ...] = tuple(
    "😂 😒 😩 😭 😍 😔 👌 😊 ❤ 😏 😁 🎶 😳 💯 😴 😌 "
    "☺ 🙌 💕 😑 😅 🙏 😕 😘 ♥ 😐 💁 😞 🙈 😫 ✌ 😎 "
    "😡 👍 😢 😪 😋 😤 ✋ 😷 👏 👀 🔫 😣 😈 😓 💔 ♡ "
    "🎧 🙊 😉 💀 😖 😄 😜 😠 🙅 💪 👊 💜 💖 💙 😬 ✨".split()
)
"""Class index -> emoji; `EMOJIS[0]` is 😂."""

EXAMPLE_TEXTS = (
    "I love mom's cooking",
    "I love how you never reply back..",
    "I love cruising with my homies",
    "I love messing with yo mind!!",
    "I love you and now you're just gone..",
    "This is shit",
    "This is the shit",
)
"""The sentences of DeepMoji's own examples."""


@lru_cache(maxsize=1 << 12)
def unnamed_classes(nb_classes: int | None) -> tuple[str, ...] | None:
    """The classes of a model that does not name them: the 64 emojis where there are so many, else None.

    Args:
        nb_classes: Of the model; None where it gives features.
    """
    return EMOJIS if nb_classes == len(EMOJIS) else None


def alias(name: str) -> str:
    """The name of an emoji, such as `face_with_tears_of_joy`; of anything else, itself."""
    described = emoji.demojize(name)
    if described != name:
        return described.strip(":")
    if name in EMOJIS:  # ♡ is a symbol, no emoji by Unicode
        return unicodedata.name(name).lower().replace(" ", "_")
    return name


class Guess(NamedTuple):
    """An emoji and its probability, from 0 to 1."""

    emoji: str
    probability: float


def top_emojis(
    probabilities: npt.NDArray[Any], top_k: int = 5, emojis: Sequence[str] = EMOJIS
) -> list[list[Guess]]:
    """The likeliest emojis of each text, best first; equal ones in the order of the classes.

    Args:
        probabilities: What a model gives for emojis (texts, classes).
        top_k: How many for a text, at most all.
        emojis: The emoji of each class.

    Raises:
        ValueError: The array has not one column for each emoji, or `top_k` is below 1.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] != len(emojis):
        raise ValueError(
            f"expected probabilities of {len(emojis)} emojis a text, got the shape {probabilities.shape}"
        )
    if top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top_k]
    return [
        [Guess(emojis[index], float(row[index])) for index in order]
        for row, order in zip(probabilities, best, strict=True)
    ]
