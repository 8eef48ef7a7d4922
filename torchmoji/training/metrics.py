"""Predictions for a data set and their scores.

From the 2017 package's `finetuning`, which still exports these names. What differs from it: accuracy and F1
are those of all samples, not means over batches of unequal size, and `find_f1_threshold` refuses what is no
probability.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import f1_score
from torch import Tensor, nn

from torchmoji.model_def import output_size
from torchmoji.training.sampling import Array, Batches, as_array

F1_THRESHOLDS = np.arange(1, 50) / 100  # probabilities


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's weights."""
    return next(model.parameters()).device


def forget_casts() -> None:
    """Let autocast cast weights anew.

    Within one block of `torch.autocast` torch casts a weight once and keeps the result, so that in a block
    around a whole training the layers would go on with weights from before the first step.
    """
    torch.clear_autocast_cache()


def gives_probabilities(model: nn.Module) -> bool:
    """Whether the model's last layer is a softmax or sigmoid; otherwise it gives logits."""
    return isinstance(list(model.modules())[-1], nn.Softmax | nn.Sigmoid)


def predict(model: nn.Module, batches: Batches) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs for all batches, with their labels, in order.

    Args:
        model: Left in evaluation mode.
        batches: See `torchmoji.training.sampling.Batches`.

    Returns:
        The model's outputs (n, C) or (n, 1), and the class numbers, int64 (n,); both on the model's device.

    Raises:
        ValueError: There are no batches.
    """
    device = device_of(model)
    model.eval()
    forget_casts()
    with torch.no_grad():
        pairs = [(model(x.to(device)), y.to(device)) for x, y in batches]
    forget_casts()  # of those made without gradients
    if not pairs:
        raise ValueError("there are no texts to evaluate on; give at least one batch")
    outputs, labels = zip(*pairs, strict=True)
    return torch.cat(outputs), torch.cat(labels)


def positive_probabilities(
    model: nn.Module, batches: Batches
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Probability of the second of two classes, for `find_f1_threshold`, and the true classes, both (n,).

    Args:
        model: Gives logits (batch, 1). Left in evaluation mode.
        batches: See `torchmoji.training.sampling.Batches`.
    """
    logits, labels = predict(model, batches)
    return logits[:, 0].float().sigmoid().cpu().numpy(), labels.cpu().numpy()


def predicted_classes(
    model: nn.Module, test_gen: Batches
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Predicted and true class numbers (n,): the largest output, or probability > 0.5 where there is one.

    Args:
        model: Gives logits or probabilities (batch, C), or (batch, 1) for two classes. Left in evaluation
            mode.
        test_gen: See `torchmoji.training.sampling.Batches`.
    """
    outputs, labels = predict(model, test_gen)
    return classes_of(outputs, 0.5 if gives_probabilities(model) else 0.0), labels.cpu().numpy()


def classes_of(outputs: torch.Tensor, threshold: float) -> npt.NDArray[np.int64]:
    """Class numbers (n,): the largest of outputs (n, C), or whether that of (n, 1) is above a threshold."""
    several = outputs.shape[1] > 1
    predicted = outputs.argmax(dim=1) if several else (outputs[:, 0] > threshold).long()
    return predicted.cpu().numpy()


def score_of(metric: str, truth: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> float:
    """A score, higher is better.

    Args:
        metric: acc, accuracy; weighted, F1 of the classes weighted by their size; macro, their mean F1.
        truth: Class numbers or names (n,), or 0 and 1 for each class (n, C).
        predicted: As `truth`.
    """
    if metric == "acc":
        return float((predicted == truth).mean())
    return float(f1_score(truth, predicted, average=metric, zero_division=0))


def evaluate_using_acc(model: nn.Module, test_gen: Batches) -> float:
    """Accuracy over all samples.

    Args:
        model: Gives logits or probabilities (batch, C), or (batch, 1) for two classes. Left in evaluation
            mode.
        test_gen: See `torchmoji.training.sampling.Batches`.
    """
    predicted, labels = predicted_classes(model, test_gen)
    return score_of("acc", labels, predicted)


def evaluate_using_weighted_f1(model: nn.Module, test_gen: Batches, val_gen: Batches | None = None) -> float:
    """F1 of each class, averaged with the class's number of true samples as its weight.

    Args:
        model: As for `evaluate_using_acc`.
        test_gen: See `torchmoji.training.sampling.Batches`.
        val_gen: Not used; callers of the 2017 package pass it.
    """
    predicted, labels = predicted_classes(model, test_gen)
    return score_of("weighted", labels, predicted)


def find_f1_threshold(
    y_val: Array, y_pred_val: Array, y_test: Array, y_pred_test: Array, average: str = "binary"
) -> tuple[float, float]:
    """Choose on the validation set the threshold with the best F1 and score the test set with it.

    Args:
        y_val: True classes 0 and 1 of the validation set, (n,).
        y_pred_val: Its predicted probabilities, (n,) or (n, 1).
        y_test: As `y_val`, of the test set.
        y_pred_test: As `y_pred_val`, of the test set.
        average: See `sklearn.metrics.f1_score`.

    Returns:
        The F1 of the test set, and the threshold: the first best of 0.01, 0.02 ... 0.49. A sample belongs to
        the class where its probability is above it.

    Raises:
        ValueError: The predictions are not probabilities.
    """
    y_val, y_pred_val, y_test, y_pred_test = (
        as_array(values) for values in (y_val, y_pred_val, y_test, y_pred_test)
    )
    y_pred_val, y_pred_test = (
        p[:, 0] if p.ndim == 2 and p.shape[1] == 1 else p for p in (y_pred_val, y_pred_test)
    )
    for predictions in (y_pred_val, y_pred_test):
        if not ((predictions >= 0) & (predictions <= 1)).all():
            raise ValueError(
                f"predictions range from {predictions.min():.3g} to {predictions.max():.3g}, so they are not "
                "probabilities; apply a sigmoid to logits first"
            )
    scores = [f1_score(y_val, y_pred_val > t, average=average, zero_division=0) for t in F1_THRESHOLDS]
    threshold = F1_THRESHOLDS[np.argmax(scores)]
    f1_test = f1_score(y_test, y_pred_test > threshold, average=average, zero_division=0)
    return float(f1_test), float(threshold)


# --- Losses in which rare classes count for more ---


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
    if output_size(nb_classes) > 1:
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
