"""How a model is pretrained: all that decides the result, beside the corpus. Imports no torch."""

import math
import os
from dataclasses import dataclass

from torchmoji.runtime.options import (
    COUNT,
    FINITE,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    check_limits,
    documented,
    option,
)

PATHS = ("word_vectors", "start_from", "soft_targets", "embedding_targets")
"""Settings that name files or folders."""
_BELOW_1E9 = ("be below 1e9", lambda value: value < 1e9)
_PART = (SHARE[0], lambda value: 0 <= value < 1)
_SEED = ("be from 0 to below 2^63", lambda value: 0 <= value < 1 << 63)


@documented
@dataclass(frozen=True)
class Settings:
    """How to train. `torchmoji.pretraining.start` and `torchmoji.pretraining.loss` say what the files hold.

    Raises:
        ValueError: A number is out of range, or two settings exclude each other.
    """

    embedding_dim: int = option(256, "numbers in an embedding", COUNT)
    hidden_size: int = option(512, "units of an LSTM direction", COUNT)
    passes: float = option(1.0, "how often each text is seen, on average", POSITIVE, _BELOW_1E9)
    word_passes: float = option(
        0.0, "passes before these without the LSTMs, which spare most of a pass", NOT_NEGATIVE, _BELOW_1E9
    )
    word_vectors: str | None = option(
        None, "words' vectors to begin with, float16 (words, D), .npy", metavar="FILE"
    )
    start_from: str | None = option(
        None, "begin with a model's weights: default, deepmoji, a folder or a hub id", metavar="MODEL"
    )
    start_share: float = option(  # a mix of both often guesses better than either (Wortsman et al. 2022)
        0.0, "share of the weights it began with in what is stored", _PART
    )
    batch_size: int = option(512, "texts in a step, of all processes together", COUNT)
    max_length: int = option(50, "tokens after which training texts are cut", COUNT)
    learning_rate: float = option(2e-3, "peak of Adam's: a linear rise, then half a cosine", POSITIVE, FINITE)
    warmup_steps: int = option(300, "steps of the rise", NOT_NEGATIVE)
    embed_dropout_rate: float = option(0.1, "probability of dropping an embedding channel of a text", _PART)
    final_dropout_rate: float = option(
        0.2, "probability of dropping a feature before the output layer", _PART
    )
    gradient_norm: float = option(1.0, "gradients are scaled down to it", POSITIVE)
    average: float = option(0.0, "decay of an average of the weights, such as 0.999, to be stored", _PART)
    soft_targets: str | None = option(
        None, "a teacher's probabilities, float16 (texts, emojis), .npy", metavar="FILE"
    )
    soft_share: float = option(0.5, "weight of the teacher; the labels have the rest", SHARE)
    embedding_targets: str | None = option(
        None, "a sentence encoder's embeddings to learn, float16 (texts, numbers), .npy", metavar="FILE"
    )
    embedding_weight: float = option(
        1.0, "of the squared distance to them; the emojis have 1", NOT_NEGATIVE, FINITE
    )
    prior_adjustment: float = option(  # Menon et al. 2021; with another one a finished run is stored again
        0.0, "take so much of the log frequency off each class at the end", NOT_NEGATIVE, FINITE
    )
    seed: int = option(42, "of weights, order of texts and dropout", _SEED)
    bfloat16: bool | None = option(None, "matrix products in bfloat16; None for where that is fast")
    evaluate_every: int = option(
        0, "steps between scores of validation texts; 0 for the end only", NOT_NEGATIVE
    )
    evaluation_texts: int = option(20_000, "validation texts that are scored, at most", COUNT)

    def __post_init__(self) -> None:
        for name in PATHS:
            if (path := getattr(self, name)) is not None:  # a path is taken too; a checkpoint holds strings
                object.__setattr__(self, name, os.fspath(path))
        check_limits(self)
        for name in ("word_passes", "word_vectors"):
            if getattr(self, name) and self.start_from is not None:
                raise ValueError(
                    f"{name} makes new embeddings, start_from takes those of a model: choose one"
                )
        if self.start_share and self.start_from is None:
            raise ValueError(
                f"start_share={self.start_share} of which weights? Set start_from, or leave start_share out"
            )


def learning_rate(step: int, total_steps: int, settings: Settings) -> float:
    """Linear rise, then a half cosine down to zero; steps count from 0."""
    warmup = min(settings.warmup_steps, total_steps // 2)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, total_steps - warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
