"""The 64 emojis that DeepMoji predicts: their order, their names, the likeliest, and the emotions in them.

Source of the order of the classes: the output layer of the original weights (Felbo et al., 2017). Variation
selectors are not part of the entries: "❤" is U+2764 alone, which many fonts draw in black; for people,
`shown` has it with its selector.

Source of the emotions: EmoTag1200 (Shoeb and de Melo, "EmoTag1200: Understanding the Association between
Emojis and Emotions", EMNLP 2020; MIT licence), means of human ratings, 0 to 1, of Plutchik's eight emotions.
There is no row for ♡; it takes that of ♥.
"""

import re
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

_SIGN = re.compile("[\u200d\U0001f3fb-\U0001f3ff]")

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


def unnamed_classes(nb_classes: int | None) -> tuple[str, ...] | None:
    """The classes of a model that does not name them: the 64 emojis where there are as many, else None."""
    return EMOJIS if nb_classes == len(EMOJIS) else None


@lru_cache(maxsize=1 << 12)
def alias(name: str) -> str:
    """The name of an emoji, such as `face_with_tears_of_joy`; of anything else, itself."""
    described = emoji.demojize(name)
    if described != name:
        return described.strip(":")
    if name in EMOJIS:  # ♡ is a symbol, no emoji by Unicode
        return unicodedata.name(name).lower().replace(" ", "_")
    return name


@lru_cache(maxsize=1 << 12)
def shown(name: str) -> str:
    """A class as people should see it: ❤ ♥ ☺ ✌ and the like with U+FE0F, the selector for colour.

    Anything else comes back as it is. Results for programs hold the names of the classes, without selectors.
    """
    return emoji.emojize(emoji.demojize(name)) if emoji.is_emoji(name) else name


@lru_cache(maxsize=1)
def spelling_details() -> "re.Pattern[str]":
    """Finds what makes another spelling of the emoji before it: skin tone, gender, hair, joins to others."""
    starts = {name[0] for name in (*EMOJIS, *emoji.EMOJI_DATA) if not name.isascii()}
    bases = "".join(sorted(re.escape(start) for start in starts if not "\U0001f3fb" <= start <= "\U0001f3ff"))
    signs = "[\u2640\u2642\U0001f9b0-\U0001f9b3]\ufe0f?"  # female, male, hair
    return re.compile(f"(?<=[{bases}])\ufe0f?(?:[\U0001f3fb-\U0001f3ff]\ufe0f?|\u200d(?:{signs})?)+")


def fold_emojis(text: str) -> str:
    """A text with the plainest spelling of its emojis, as `MojiPipeline` reads it.

    Skin tones, gender and hair are left out, and joined emojis stand side by side: a brown thumb is a thumb,
    a heart on fire a heart and fire. The tokenizer of 2017 takes these signs for words, unknown to models.
    """
    return spelling_details().sub("", text) if _SIGN.search(text) else text


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


# --- emotions ---------------------------------------------------------------------------------------------

EMOTIONS = ("anger", "anticipation", "disgust", "fear", "joy", "sadness", "surprise", "trust")
"""The columns of `emotion_scores`."""

# emoji, then hundredths in the order of EMOTIONS
_TABLE = """
😂 0 17 6 6 94 0 33 22
😒 58 14 64 17 0 42 11 0
😩 33 25 50 47 0 75 14 8
😭 22 8 36 33 0 100 8 8
😍 0 31 0 0 83 0 50 50
😔 25 22 31 28 0 72 19 14
👌 0 36 0 0 22 0 22 56
😊 0 42 0 0 92 0 33 47
❤ 0 36 0 0 69 0 14 67
😏 22 33 28 14 22 22 11 22
😁 6 25 0 8 89 6 33 36
🎶 0 22 0 0 47 0 22 14
😳 6 36 33 50 14 19 44 8
💯 6 28 6 6 64 6 19 53
😴 0 6 14 0 3 3 0 3
😌 0 33 0 11 81 0 22 61
☺ 0 42 0 0 100 0 39 50
🙌 0 33 0 0 72 0 39 47
💕 0 31 0 0 83 0 11 75
😑 28 22 47 14 0 33 19 17
😅 8 44 6 28 42 6 36 17
🙏 6 44 0 11 25 11 17 58
😕 19 42 36 36 0 39 28 17
😘 0 33 0 0 72 0 17 61
♥ 0 28 0 0 72 0 11 56
😐 14 33 31 17 6 25 31 8
💁 8 33 8 6 14 6 17 25
😞 39 19 50 33 0 92 6 8
🙈 0 39 17 17 28 3 50 22
😫 36 14 64 17 11 72 6 6
✌ 0 42 0 0 61 0 17 47
😎 0 22 0 0 75 0 6 33
😡 100 11 56 11 0 36 8 6
👍 11 39 6 8 39 6 14 47
😢 25 8 36 50 0 100 8 11
😪 11 8 44 28 0 64 6 0
😋 0 47 0 0 78 0 19 11
😤 75 11 64 14 0 25 3 0
✋ 22 25 19 11 6 6 8 28
😷 3 17 53 50 0 22 3 11
👏 8 39 8 0 64 0 25 53
👀 14 81 17 42 0 17 64 6
🔫 44 14 17 14 3 14 0 11
😣 31 28 67 47 0 64 0 8
😈 14 44 6 19 33 8 3 0
😓 19 44 31 64 0 36 17 11
💔 39 19 33 14 0 94 8 17
♡ 0 28 0 0 72 0 11 56
🎧 0 8 0 0 44 0 0 3
🙊 6 44 19 47 14 8 42 28
😉 0 42 0 0 44 8 28 47
💀 19 14 25 61 3 31 6 11
😖 22 36 67 50 8 53 11 11
😄 0 36 0 0 86 0 28 28
😜 0 42 0 6 64 0 28 11
😠 100 17 56 17 0 25 11 8
🙅 47 25 53 33 6 33 11 19
💪 3 31 0 0 42 0 8 31
👊 44 36 14 11 22 0 0 61
💜 0 11 6 6 47 11 8 31
💖 0 33 0 0 89 0 25 53
💙 0 25 0 0 61 17 17 28
😬 14 53 28 44 17 11 25 11
✨ 0 36 0 6 53 0 44 31
"""

_SCORES = {
    emoji: [int(value) / 100 for value in values]
    for emoji, *values in (line.split() for line in _TABLE.strip().splitlines())
}


def emotion_scores(probabilities: npt.NDArray[np.float32], classes: Sequence[str]) -> npt.NDArray[np.float32]:
    """Weight the emojis' human scores by their probabilities.

    Args:
        probabilities: Of emojis (n, C).
        classes: The emojis, C of them.

    Returns:
        (n, 8), 0 to 1, columns as in `EMOTIONS`. The rows need not sum up to 1: emotions come together.

    Raises:
        ValueError: There are no scores for a class.
    """
    unknown = [name for name in classes if name not in _SCORES]
    if unknown:
        raise ValueError(
            f"there are no emotion scores for the classes {', '.join(map(repr, unknown[:5]))}: "
            "they exist for the 64 emojis of DeepMoji; use a model that predicts these"
        )
    weights = np.array([_SCORES[name] for name in classes], dtype=np.float64)
    return (probabilities.astype(np.float64) @ weights).astype(np.float32)
