"""Losses in which rare classes count for more."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn


def balanced_weights(labels: npt.NDArray[Any], nb_classes: int) -> Tensor:
    """Weights with which all classes count alike: the mean number of samples of a class over its own.

    Args:
        labels: Class numbers (n,), one or more.
        nb_classes: Number of classes C.

    Returns:
        float32 (C,); 1 for a class without samples. They are scikit-learn's "balanced" weights, for which the
        mean is that of the classes that have samples.
    """
    counts = np.bincount(labels.astype(np.int64), minlength=nb_classes)
    present = counts > 0
    weights = np.ones(nb_classes)
    weights[present] = len(labels) / (present.sum() * counts[present])
    return torch.tensor(weights, dtype=torch.float32)


def loss_of_classes(nb_classes: int, weights: Tensor | None = None) -> nn.Module:
    """The loss of class numbers.

    Args:
        nb_classes: Number of classes C.
        weights: Of the classes (C,), or None for equal ones.

    Returns:
        For logits (batch, C), or for one output where there are two classes.
    """
    if nb_classes > 2:
        return nn.CrossEntropyLoss(weight=weights)
    return nn.BCEWithLogitsLoss(pos_weight=None if weights is None else weights[1] / weights[0])


def checked_weights(weights: Sequence[float], nb_classes: int) -> Tensor:
    """Weights of classes as a tensor, float32 (C,).

    Args:
        weights: A positive number for each class.
        nb_classes: Number of classes C.

    Raises:
        ValueError: There are more or fewer, or one is not a positive finite number.
    """
    try:
        tensor = torch.as_tensor(weights, dtype=torch.float32)
        is_right = tensor.shape == (nb_classes,) and bool((tensor.isfinite() & (tensor > 0)).all())
    except (TypeError, ValueError, RuntimeError):  # a mapping, words
        is_right = False
    if not is_right:
        raise ValueError(
            f"class_weight is {weights!r}; give a positive number for each of the {nb_classes} classes, in "
            "their order, 'balanced' or None"
        )
    return tensor
