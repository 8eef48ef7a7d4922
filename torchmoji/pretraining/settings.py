"""How a model is pretrained: all that decides the result, beside the corpus. Imports no torch."""

import math
import os
from dataclasses import dataclass

_FILES = ("word_vectors", "start_from", "soft_targets", "embedding_targets")
_COUNTS = ("embedding_dim", "hidden_size", "batch_size", "max_length", "evaluation_texts")
_POSITIVE = ("passes", "learning_rate", "gradient_norm")
_NOT_NEGATIVE = ("word_passes", "warmup_steps", "prior_adjustment", "embedding_weight", "evaluate_every")
_FINITE = ("learning_rate", "prior_adjustment", "embedding_weight")
_SHARES = ("embed_dropout_rate", "final_dropout_rate", "average", "start_share")  # below 1


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        embedding_dim: Numbers in an embedding.
        hidden_size: Units of an LSTM direction.
        passes: How often each text is seen, on average.
        word_passes: Passes before these in which the model learns without its LSTMs, see
            `torchmoji.pretraining.start`: they take minutes and spare most of a pass. 0 for none.
        word_vectors: File of word vectors with which embeddings begin, see `torchmoji.pretraining.start`;
            None for random ones.
        start_from: Begin with the weights of a model, see `torchmoji.pretraining.start`: "default",
            "deepmoji", a folder or a repository of the Hugging Face hub; None for fresh ones.
        start_share: Share that these weights have in what is stored, those of training having the rest: a mix
            of both often guesses better than either (Wortsman et al. 2022).
        batch_size: Texts in a step, of all processes together.
        max_length: Tokens after which training texts are cut.
        learning_rate: Peak rate of Adam; it rises to it linearly, then falls to zero as a half cosine.
        warmup_steps: Steps of the rise.
        embed_dropout_rate: Probability of dropping an embedding channel of a text.
        final_dropout_rate: Probability of dropping a feature before the output layer.
        gradient_norm: Gradients are scaled down to this norm.
        average: Decay of an average of the weights over the steps, which is what is stored; 0 for none.
        soft_targets: File of a teacher's probabilities, see `torchmoji.pretraining.loss`; None for none.
        soft_share: Weight of the teacher, from 0 to 1; that of the labels is the rest.
        embedding_targets: File of a sentence encoder's embeddings, which the model learns to predict from its
            features beside its emojis, see `torchmoji.pretraining.loss`; None for none.
        embedding_weight: Weight of the squared distance to them, beside 1 for the emojis.
        prior_adjustment: The logarithm of a class's frequency in the training texts is taken off its output
            so many times when the model is stored: 1 makes the guesses those for classes that are all equally
            frequent (Menon et al. 2021). It may be another when a finished run is stored again.
        seed: Of the weights, the order of texts and dropout.
        bfloat16: Compute matrix products in bfloat16; None for where that is fast, see
            `torchmoji.products.has_fast_bfloat16`.
        evaluate_every: Steps after which the validation texts are scored; 0 for at the end only.
        evaluation_texts: So many of them, at most.

    Raises:
        ValueError: A number is out of range, or two settings exclude each other.
    """

    embedding_dim: int = 256
    hidden_size: int = 512
    passes: float = 1.0
    word_passes: float = 0.0
    word_vectors: str | None = None
    start_from: str | None = None
    start_share: float = 0.0
    batch_size: int = 512
    max_length: int = 50
    learning_rate: float = 2e-3
    warmup_steps: int = 300
    embed_dropout_rate: float = 0.1
    final_dropout_rate: float = 0.2
    gradient_norm: float = 1.0
    average: float = 0.0
    soft_targets: str | None = None
    soft_share: float = 0.5
    embedding_targets: str | None = None
    embedding_weight: float = 1.0
    prior_adjustment: float = 0.0
    seed: int = 42
    bfloat16: bool | None = None
    evaluate_every: int = 0
    evaluation_texts: int = 20_000

    def __post_init__(self) -> None:
        for name in _FILES:  # a path is taken as well; a checkpoint holds strings
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else os.fspath(value))
        for names, is_right, rule in (
            (_COUNTS, lambda value: value >= 1, "be at least 1"),
            (_POSITIVE, lambda value: value > 0, "be above 0"),
            (_NOT_NEGATIVE, lambda value: value >= 0, "not be negative"),
            (_SHARES, lambda value: 0 <= value < 1, "be a share from 0 to 1"),
            (("soft_share",), lambda value: 0 <= value <= 1, "be a share from 0 to 1"),
            (("passes", "word_passes"), lambda value: value < 1e9, "be below 1e9"),
            (_FINITE, math.isfinite, "be finite"),
            (("seed",), lambda value: 0 <= value < 1 << 63, "be from 0 to below 2^63"),
        ):
            for name in names:
                value = getattr(self, name)
                if not is_right(value):
                    raise ValueError(f"{name} must {rule}, got {value}")
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
    """Linear rise, then a half cosine down to zero.

    Args:
        step: From 0 on.
        total_steps: Of the run.
        settings: Of the run.
    """
    warmup = min(settings.warmup_steps, total_steps // 2)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, total_steps - warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
