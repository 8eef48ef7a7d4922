"""What the page of `torchmoji.server.demo` says about a text, as plain values that go through JSON."""

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from torchmoji.emojis import EMOJIS, EMOTIONS
from torchmoji.pipeline.pipeline import LONGEST, MojiPipeline
from torchmoji.pipeline.results import EmojiScore
from torchmoji.pipeline.spans import placed_words

_LINES = files("torchmoji.server").joinpath("examples.txt").read_text("utf-8").splitlines()
EXAMPLES = tuple(line for line in _LINES if line and not line.startswith("#"))
"""Sentences of everyday language, written for this project; a line with # is the topic of those below it."""
NEAREST = 5
"""Example sentences in a reading."""

Floats = npt.NDArray[np.float32]

_NO_GUESS = EmojiScore("", "", -1, 0.0)
"""Of an example that reaches no threshold of the model."""
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a character, which JSON can bring but UTF-8 cannot take back."""


class Reader:
    """A pipeline with the example sentences encoded. It may be used from several threads.

    Args:
        pipeline: A model with classes.
        examples: Sentences to find the nearest of.

    Raises:
        ValueError: The model has no classes.
    """

    def __init__(self, pipeline: MojiPipeline, examples: Sequence[str] = EXAMPLES) -> None:
        if not pipeline.classes:
            raise ValueError("the page shows classes, but this model gives features alone: use another")
        self.pipeline = pipeline
        self.examples = tuple(examples)
        self.multi_label = bool(getattr(pipeline.engine, "multi_label", False))
        """Each class is judged on its own, so that probabilities do not sum up to 1."""
        self.has_emotions = not self.multi_label and set(pipeline.classes) <= set(EMOJIS)
        parts = [self._readable(text) for text in examples]
        self._encodings: Floats = pipeline.encode(parts, normalize_embeddings=True)  # (n, F)
        self._tops = [next(iter(found), _NO_GUESS) for found in pipeline.predict(parts, 1)]
        of_pairs = (self._encodings @ self._encodings.T)[np.triu_indices(len(examples), 1)]
        self._similarities = np.sort(of_pairs)  # (n (n - 1) / 2,)

    def read(self, text: str, top_k: int = 5) -> dict[str, Any]:
        """Read one text.

        Returns:
            `text`; `emojis`, the likeliest classes, none for a text without words: `emoji`, `alias` (its
            name, or again the class) and `probability`; `words` with `weight` and place, `text[start:end]`;
            `emotions`, None where the classes are not the 64 emojis; `nearest`, examples with `emoji`,
            `alias` and `similarity`, none for a text without words; `cut`: the text is longer than what the
            model reads.

        Raises:
            TypeError: It is no string, or `top_k` no whole number.
            ValueError: `top_k` is below 1.
        """
        return self._read(text, top_k)[0]

    def compare(self, first: str, second: str, top_k: int = 5) -> dict[str, Any]:
        """Read two texts and say how similar they are; errors as of `read`.

        Returns:
            The readings `first` and `second`; `similarity`, -1 to 1; `closer_than`, the share of all pairs of
            example sentences that are less similar, 0 to 1.
        """
        (one, its), (other, others) = self._read(first, top_k), self._read(second, top_k)
        similarity = float(its @ others)
        below = int(np.searchsorted(self._similarities, similarity))
        closer_than = below / max(1, len(self._similarities))
        return {"similarity": similarity, "closer_than": closer_than, "first": one, "second": other}

    def _read(self, text: str, top_k: int) -> tuple[dict[str, Any], Floats]:
        """A reading, and the text's encoding (F,) of length 1."""
        if not isinstance(text, str):
            raise TypeError(f"a text must be a string, got {text!r}")
        if not isinstance(top_k, int) or isinstance(top_k, bool):
            raise TypeError(f"top_k must be a whole number, got {top_k!r}")
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}")
        text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
        part = self._readable(text)
        prediction = self.pipeline.predict(part, top_k)
        encoding: Floats = self.pipeline.encode(part, normalize_embeddings=True)
        emotions = None
        if self.has_emotions:
            emotions = dict(zip(EMOTIONS, map(float, self.pipeline.emotions(part)), strict=True))
        scores = [{"emoji": s.emoji, "alias": s.alias, "probability": s.probability} for s in prediction]
        reading = {
            "text": text,
            "emojis": scores,
            "words": [word._asdict() for word in prediction.words],
            "emotions": emotions,
            "nearest": self._nearest(encoding) if encoding.any() else [],
            "cut": len(part) < len(text),
        }
        return reading, encoding

    def _readable(self, text: str) -> str:
        """The part of a text that the model reads, so that it need not warn of each text that it cuts."""
        if self.pipeline.windows:
            return text
        words = placed_words(text)
        limit = self.pipeline.max_length or LONGEST
        return text if len(words) <= limit else text[: words[limit][1]]

    def _nearest(self, encoding: Floats) -> list[dict[str, Any]]:
        similarities = self._encodings @ encoding
        best = np.argsort(-similarities, kind="stable")[:NEAREST]
        return [
            {
                "text": self.examples[n],
                "emoji": top.emoji,
                "alias": top.alias,
                "similarity": float(similarities[n]),
            }
            for n, top in ((n, self._tops[n]) for n in best)
        ]
