"""What a pipeline gives for a text: named tuples, in lists that show themselves as HTML in a notebook."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from html import escape
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from torchmoji.emojis import shown
from torchmoji.pipeline.spans import placed_words


class EmojiScore(NamedTuple):
    """A class of a text with its probability."""

    emoji: str
    alias: str
    """Its name, such as `face_with_tears_of_joy`."""
    index: int  # type: ignore[assignment]  # hides tuple.index, as users expect of the field
    probability: float


class Result(NamedTuple):
    """What one run of the model gives for a text."""

    values: npt.NDArray[np.float32]
    """Probabilities (C,) or features (F,)."""
    attention: npt.NDArray[np.float32]
    """Of its words, (words,); of features none."""
    tokens: int
    """Of the whole text, also of what was cut."""


class WordAttention(NamedTuple):
    """A word as tokenized, with the weight that attention gives it, 0 to 1, and its place in the text."""

    word: str
    weight: float
    start: int
    end: int


class WordEffect(NamedTuple):
    """A word, its place, and how the probability changes where the word is left out."""

    word: str
    change: float
    start: int
    end: int


class Explanation(NamedTuple):
    """The likeliest class of a text and the effect of each of its words on it."""

    top: EmojiScore
    words: list[WordEffect]


class Prediction(list[EmojiScore]):
    """The likeliest classes of a text, best first; none of a text without words.

    Args:
        scores: The classes.
        text: The text.
        weights: Attention of each of its words that the model saw, (words,).
    """

    def __init__(self, scores: Iterable[EmojiScore], text: str, weights: npt.NDArray[np.float32]) -> None:
        super().__init__(scores)
        self.text = text
        self._weights = weights

    @cached_property
    def words(self) -> list[WordAttention]:
        """The words with their attention."""
        return word_attention(self.text, self._weights)

    def _repr_html_(self) -> str:
        emojis = " ".join(
            f'<span title="{escape(score.alias)}">{escape(shown(score.emoji))}</span>'
            f"&nbsp;{score.probability:.0%}"
            for score in self
        )
        return f"<p>{shaded_html(self.text, self.words)}<br>{emojis}</p>"


class Predictions(list[Prediction]):
    """Predictions for several texts."""

    def _repr_html_(self) -> str:
        return "".join(prediction._repr_html_() for prediction in self)


def word_attention(text: str, weights: Sequence[float] | npt.NDArray[np.float32]) -> list[WordAttention]:
    """Put weights to the words of a text; of a text that was cut, the words that are left.

    Args:
        text: The text.
        weights: Of its first words.
    """
    placed = placed_words(text)[: len(weights)]
    return [
        WordAttention(word, float(weight), start, end)
        for (word, start, end), weight in zip(placed, weights, strict=True)
    ]


def shaded_html(
    text: str, words: Iterable[WordAttention], style: str = "background:rgba(255,160,0,{});color:inherit"
) -> str:
    """The text as HTML, words shaded by attention, at most 0.6; the weight is in each word's title."""
    words = sorted(words, key=lambda word: word.start)
    highest = max((word.weight for word in words), default=0.0) or 1.0
    pieces, position = [], 0
    for word in words:
        if word.start < position:  # several words made of one character
            continue
        shade = 0.6 * word.weight / highest
        pieces.append(escape(text[position : word.start]))
        pieces.append(
            f'<mark style="{style.format(f"{shade:.2f}")}" '
            f'title="{escape(word.word)}: {word.weight:.0%}">{escape(text[word.start : word.end])}</mark>'
        )
        position = word.end
    return "".join(pieces) + escape(text[position:])
