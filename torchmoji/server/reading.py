"""What the page says about a text, as plain values that go through JSON."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from torchmoji.batching import unit_rows
from torchmoji.emojis import EMOJIS, EMOTIONS, alias, emotion_scores
from torchmoji.pipeline.pipeline import MojiPipeline
from torchmoji.pipeline.results import EmojiScore, Result, word_attention

_LINES = (files("torchmoji.server") / "page" / "examples.txt").read_text("utf-8").splitlines()
EXAMPLES = tuple(line for line in _LINES if line and not line.startswith("#"))
"""Sentences of everyday language, written for this project; a line with # is the topic of those below it."""
NEAREST = 5
"""Example sentences in a reading."""

Floats = npt.NDArray[np.float32]

_NO_GUESS = EmojiScore("", "", -1, 0.0)  # of an example that reaches no threshold of the model


class Reader:
    """Puts results of a model with classes into words. It may be used from several threads.

    `examples` are sentences to find the nearest of.
    """

    def __init__(self, pipeline: MojiPipeline, examples: tuple[str, ...] = EXAMPLES) -> None:
        self.pipeline, self.examples = pipeline, examples
        self.multi_label = pipeline.engine.multi_label
        """Each class is judged on its own, so that probabilities do not sum up to 1."""
        self.has_emotions = not self.multi_label and set(pipeline.classes) <= set(EMOJIS)
        self.needs_features = self.multi_label and pipeline.engine.has_features
        """For similarities, which of other models are the overlap of probabilities."""
        self._rows: Floats  # of length 1, whose products are similarities, or of no numbers: (n, F), (n, C)
        if self.needs_features:
            self._rows = pipeline.encode(examples, normalize_embeddings=True)
        elif self.multi_label:
            self._rows = np.zeros((len(examples), 0), np.float32)
        else:
            self._rows = np.sqrt(pipeline.predict_proba(examples))
        self.has_similarities = self._rows.shape[1] > 0
        self._tops = [next(iter(found), _NO_GUESS) for found in pipeline.predict(examples, 1)]
        of_pairs = (self._rows @ self._rows.T)[np.triu_indices(len(examples), 1)]
        self._similarities = np.sort(of_pairs)  # (n (n - 1) / 2,)

    def likeliest(self, result: Result, top_k: int) -> list[dict[str, Any]]:
        """The classes of a text, best first, as of `MojiPipeline.predict`."""
        if not len(result.attention):
            return []
        names = self.pipeline.classes
        best = self.pipeline.best_classes(result.values)[:top_k]
        return [
            {"emoji": names[i], "alias": alias(names[i]), "probability": float(result.values[i])}
            for i in best
        ]

    def emotions(self, result: Result) -> dict[str, float]:
        """Emotion -> score, as of `MojiPipeline.emotions`."""
        scores = emotion_scores(result.values[np.newaxis], self.pipeline.classes)[0]
        return dict(zip(EMOTIONS, scores.tolist(), strict=True))

    def words(self, text: str, result: Result) -> list[dict[str, Any]]:
        """The words of a text with weight and place, as of `MojiPipeline.attention`."""
        return [word._asdict() for word in word_attention(text, result.attention)]

    def is_cut(self, result: Result) -> bool:
        """Whether the text is longer than what the model reads."""
        return result.tokens > self.pipeline.limit and not self.pipeline.windows

    def read(self, text: str, classes: Result, features: Result | None, top_k: int) -> dict[str, Any]:
        """All about a text.

        These are `text`; `emojis`, the likeliest classes, none for a text without words: `emoji`, `alias`
        (its name, or again the class) and `probability`; `words` with `weight` and place, `text[start:end]`;
        `emotions`, None where the classes are not the 64 emojis; `nearest`, examples with `emoji`, `alias`
        and `similarity`, none for a text without words; `cut`: the text is longer than what the model reads.
        """
        return {
            "text": text,
            "emojis": self.likeliest(classes, top_k),
            "words": self.words(text, classes),
            "emotions": self.emotions(classes) if self.has_emotions else None,
            "nearest": self._nearest(self._row(classes, features)) if self.has_similarities else [],
            "cut": self.is_cut(classes),
        }

    def similarity(self, classes: Sequence[Result], features: Sequence[Result | None]) -> dict[str, float]:
        """The `similarity` of two texts, as of `MojiPipeline.similarity`, and `closer_than`.

        The latter is the share of pairs of examples that are less similar, 0 to 1.
        """
        one, other = map(self._row, classes, features)
        similarity = float(one @ other)
        below = int(np.searchsorted(self._similarities, similarity))
        return {"similarity": similarity, "closer_than": below / max(1, len(self._similarities))}

    def _row(self, classes: Result, features: Result | None) -> Floats:
        """What similarities are computed from, of length 1; zeros for a text without words."""
        if features is not None:
            rows: Floats = unit_rows(features.values[np.newaxis])
            return rows[0]
        roots: Floats = np.sqrt(classes.values) * (len(classes.attention) > 0)
        return roots

    def _nearest(self, row: Floats) -> list[dict[str, Any]]:
        if not row.any():
            return []
        similarities = self._rows @ row
        best = np.argsort(-similarities, kind="stable")[:NEAREST]
        return [
            {
                "text": self.examples[n],
                "emoji": self._tops[n].emoji,
                "alias": self._tops[n].alias,
                "similarity": float(similarities[n]),
            }
            for n in best
        ]
