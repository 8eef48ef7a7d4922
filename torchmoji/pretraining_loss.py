"""What pretraining minimizes: cross-entropy with the labels and, where there is one, with a teacher.

Where there are embeddings of a sentence encoder, the squared distance to them is added.

A text with k labels is k samples that share one pass through the model, which has the same expected gradient
as k passes for less work. The loss of a batch is the mean over its samples, each with its class's weight.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from torchmoji.data_order import weights_of_classes
from torchmoji.pretraining_settings import Settings


class PretrainingLoss:
    """Sums the loss of samples.

    Args:
        settings: Of the run.
        class_counts: Training texts of each class (C,).
        soft_targets: A teacher's probabilities (rows, C), see `torchmoji.soft_targets`, or None.
        embeddings: A sentence encoder's embeddings (rows, D), see `torchmoji.embedding_targets`, or None.
    """

    def __init__(
        self,
        settings: Settings,
        class_counts: Sequence[int],
        soft_targets: npt.NDArray[np.float16] | None = None,
        embeddings: npt.NDArray[np.float16] | None = None,
    ) -> None:
        weights = weights_of_classes(class_counts, settings.class_weights)
        self._weights = torch.from_numpy(weights).float()
        self._smoothing = settings.label_smoothing
        self._soft_targets, self._soft_share = soft_targets, settings.soft_share
        self._embeddings, self._embedding_weight = embeddings, settings.embedding_weight

    def total_weight(self, classes: npt.NDArray[np.int64]) -> float:
        """The weight of samples together, by which their loss is to be divided."""
        return float(self._weights.numpy()[classes].sum(dtype=np.float64))

    def __call__(
        self, output: Tensor, owners: Tensor, classes: Tensor, rows: npt.NDArray[np.int64]
    ) -> Tensor:
        """The sum of the samples' losses.

        Args:
            output: Logits (n, C); beside them (n, C + D) what the model takes for the embeddings, where it
                says so.
            owners: The text of each sample (samples,).
            classes: Its label (samples,).
            rows: Numbers of the texts in the corpus (n,).

        Returns:
            A scalar.
        """
        output = output.float()
        logits, guessed = output[:, : len(self._weights)], output[:, len(self._weights) :]
        weights = self._weights.to(logits.device)[classes]
        losses = F.cross_entropy(logits[owners], classes, reduction="none", label_smoothing=self._smoothing)
        if self._soft_targets is not None:
            teacher = torch.from_numpy(self._soft_targets[rows].astype(np.float32)).to(logits.device)
            total = teacher.sum(1)
            shares = self._soft_share * (total > 0)
            soft = -(teacher * F.log_softmax(logits, dim=1)).sum(1) / total.clamp(min=1e-8)
            losses = (1 - shares[owners]) * losses + (shares * soft)[owners]
        if self._embeddings is not None and guessed.shape[1]:
            wanted = torch.from_numpy(self._embeddings[rows].astype(np.float32)).to(logits.device)
            distances = (guessed - wanted).square().sum(1) * wanted.any(1)
            losses = losses + self._embedding_weight * distances[owners]
        return (weights * losses).sum()
