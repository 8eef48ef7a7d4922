"""Predictions for a data set, their loss and their scores.

From the 2017 package's `finetuning`, which still exports these names. What differs from it: accuracy and F1
are those of all samples, not means over batches of unequal size; `find_f1_threshold` refuses what is no
probability; and classes may have weights.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

from torchmoji.balancing import with_temperature
from torchmoji.model_def import output_size
from torchmoji.training.sampling import Array, Batches, as_array

F1_THRESHOLDS = np.arange(1, 50) / 100  # probabilities


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's weights."""
    return next(model.parameters()).device


# --- predictions ------------------------------------------------------------------------------------------


def gives_probabilities(model: nn.Module) -> bool:
    """Whether the model's last layer is a softmax or sigmoid; otherwise it gives logits."""
    return isinstance(list(model.modules())[-1], nn.Softmax | nn.Sigmoid)


def predict(model: nn.Module, batches: Batches) -> tuple[Tensor, Tensor]:
    """Outputs (n, C) or (n, 1) for all batches, and their labels, in order and on the model's device.

    The model is left in evaluation mode. ValueError where there are no batches.
    """
    device = device_of(model)
    model.eval()
    torch.clear_autocast_cache()  # within one block of autocast torch casts a weight once
    with torch.no_grad():
        pairs = [(model(x.to(device)), y.to(device)) for x, y in batches]
    torch.clear_autocast_cache()  # of those made without gradients
    if not pairs:
        raise ValueError("there are no texts to evaluate on; give at least one batch")
    outputs, labels = zip(*pairs, strict=True)
    return torch.cat(outputs), torch.cat(labels)


def positive_probabilities(
    model: nn.Module, batches: Batches
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Probability of the second of two classes, for `find_f1_threshold`, and the true classes, both (n,).

    The model gives logits (batch, 1), or probabilities; it is left in evaluation mode.
    """
    outputs, labels = predict(model, batches)
    outputs = outputs[:, 0].float()
    outputs = outputs if gives_probabilities(model) else outputs.sigmoid()
    return outputs.cpu().numpy(), labels.cpu().numpy()


def classes_of(outputs: Tensor, labels: Tensor, threshold: float = 0.0) -> Tensor:
    """Predicted classes in the form of the labels: class numbers (n,), or vectors of 0 and 1 (n, C).

    Of outputs (n, C) and class numbers the largest is predicted; otherwise what is above the threshold.
    """
    if outputs.numel() == labels.numel():
        return (outputs.reshape(labels.shape) > threshold).long()
    return outputs.argmax(dim=1)


def predicted_classes(
    model: nn.Module, test_gen: Batches
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Predicted and true class numbers (n,): the largest output, or probability > 0.5 where there is one.

    The model gives logits or probabilities (batch, C), or (batch, 1) for two classes; it is left in
    evaluation mode.
    """
    outputs, labels = predict(model, test_gen)
    predicted = classes_of(outputs, labels, 0.5 if gives_probabilities(model) else 0.0)
    return predicted.cpu().numpy(), labels.cpu().numpy()


# --- losses -----------------------------------------------------------------------------------------------


def calc_loss(loss_op: nn.Module, pred: Tensor, yv: Tensor) -> Tensor:
    """Loss of a batch.

    Args:
        loss_op: `nn.CrossEntropyLoss` or `nn.BCEWithLogitsLoss`.
        pred: Logits, (batch, C), for two classes (batch, 1).
        yv: Class numbers (batch,).

    Returns:
        A scalar tensor, float32 at least: in bfloat16 small gains would not be seen.
    """
    pred = pred.to(torch.promote_types(pred.dtype, torch.float32))
    if isinstance(loss_op, nn.CrossEntropyLoss):
        return loss_op(pred, yv.long())
    return loss_op(pred.reshape(yv.shape), yv.to(pred.dtype))


def balanced_weights(labels: npt.NDArray[Any], nb_classes: int) -> Tensor:
    """scikit-learn's "balanced" weights for class numbers (n,): float32 (C,), 1 where a class is missing."""
    weights = np.ones(nb_classes)
    present = np.unique(labels).astype(np.int64)
    weights[present] = compute_class_weight("balanced", classes=present, y=labels.astype(np.int64))
    return torch.tensor(weights, dtype=torch.float32)


def make_loss(
    labels: npt.NDArray[Any], nb_classes: int, class_weight: Sequence[float] | str | None = None
) -> nn.Module:
    """Make the loss of labels: class numbers (n,), or vectors of 0 and 1 (n, C).

    `class_weight` (C,) is how much a sample counts, by its class; "balanced" is for classes that count alike.
    For vectors it is how much a 1 counts where a 0 counts 1; "balanced" is for ones that count like zeros.
    The loss is for logits (batch, C), or (batch, 1) where there are two classes.
    """
    weights: Tensor | None
    if isinstance(class_weight, str) and labels.ndim == 1:
        weights = balanced_weights(labels, max(2, nb_classes))
    elif isinstance(class_weight, str):
        ones = np.maximum(labels.sum(0), 1)
        weights = torch.tensor((len(labels) - ones) / ones, dtype=torch.float32).clamp(min=1e-3)
    else:
        weights = None
        if class_weight is not None:
            weights = torch.as_tensor(as_array(class_weight).astype(np.float32))
    if labels.ndim == 2:
        return nn.BCEWithLogitsLoss(pos_weight=weights)
    if output_size(nb_classes) > 1:
        return nn.CrossEntropyLoss(weight=weights)
    return nn.BCEWithLogitsLoss(pos_weight=None if weights is None else weights[1] / weights[0])


def check_class_weight(class_weight: Any, nb_classes: int) -> None:
    """Raise `ValueError` unless it is a positive number for each class, "balanced" or None."""
    if class_weight is None or (isinstance(class_weight, str) and class_weight == "balanced"):
        return
    try:
        weights = as_array(class_weight).astype(np.float32)
    except (TypeError, ValueError):  # a mapping, words
        weights = np.zeros(0, np.float32)
    if weights.shape != (nb_classes,) or not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(
            f"class_weight is {class_weight!r}; give a positive number for each of the {nb_classes} classes, "
            "in their order, 'balanced' or None"
        )


# --- thresholds and temperature ---------------------------------------------------------------------------


def choose_thresholds(truth: Array, probabilities: Array) -> npt.NDArray[np.float64]:
    """For each label the threshold with the best F1, as for `find_f1_threshold`, of several labels a text.

    `truth` is 0 and 1 for each label, of a validation part, (n, C) like the probabilities. Returns one of
    0.01, 0.02 ... 0.99 for each label (C,); of equally good ones that next to 0.5, which is also that of a
    label that no text or every text has. A label is given where its probability is above it.
    """
    is_true, given = as_array(truth) == 1, as_array(probabilities)
    candidates = np.array(sorted(np.arange(1, 100) / 100, key=lambda t: abs(t - 0.5)))
    scores = []
    for threshold in candidates:
        predicted = given > threshold
        total = predicted.sum(0) + is_true.sum(0)
        scores.append(2 * (predicted & is_true).sum(0) / np.maximum(total, 1))
    best = candidates[np.argmax(scores, axis=0)]
    return np.where(is_true.any(0) & ~is_true.all(0), best, 0.5)


def choose_temperature(truth: Array, probabilities: Array, multi_label: bool = False) -> float:
    """The temperature from 0.1 to 10 whose probabilities fit best: those with the least cross-entropy.

    `truth` are class numbers (n,), or 0 and 1 for each label (n, C), of texts that training has not seen; the
    probabilities are (n, C), at the temperature 1 (see `torchmoji.balancing.with_temperature`), and with
    `multi_label` each one on its own.
    """
    right_ones, given = as_array(truth), as_array(probabilities)

    def cross_entropy(temperature: float) -> float:
        found = with_temperature(given, temperature, multi_label).astype(np.float64)
        if multi_label:
            right = np.where(right_ones == 1, found, 1 - found)
        else:
            right = found[np.arange(len(found)), right_ones]
        return float(-np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean())

    return float(min(np.geomspace(0.1, 10, 401), key=cross_entropy))


# --- scores -----------------------------------------------------------------------------------------------


def score_of(metric: str, truth: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> float:
    """A score, higher is better.

    `metric` is acc or accuracy, the share of texts that are all right; weighted, F1 of the classes weighted
    by their size; or macro, their mean F1. Truth and predictions are class numbers or names (n,), or 0 and 1
    for each class (n, C).
    """
    truth, predicted = as_array(truth), as_array(predicted)
    if metric == "acc":
        is_right = predicted == truth
        return float((is_right if is_right.ndim == 1 else is_right.all(1)).mean())
    return float(f1_score(truth, predicted, average=metric, zero_division=0))


def f1_of_classes(truth: Array, predicted: Array, classes: Array) -> dict[Any, float]:
    """The F1 of each class.

    Args:
        truth: Classes (n,), or 0 and 1 for each class (n, C).
        predicted: As `truth`.
        classes: All classes, or names for the columns, in order.

    Returns:
        Class -> F1, 0 where it neither occurs nor is predicted.
    """
    right, names = as_array(truth), as_array(classes).tolist()
    labels = names if right.ndim == 1 else list(range(len(names)))
    scores = f1_score(right, as_array(predicted), labels=labels, average=None, zero_division=0)
    return dict(zip(names, scores.tolist(), strict=True))


def evaluate_using_acc(model: nn.Module, test_gen: Batches) -> float:
    """Accuracy over all samples; see `predicted_classes`."""
    predicted, labels = predicted_classes(model, test_gen)
    return score_of("acc", labels, predicted)


def evaluate_using_weighted_f1(model: nn.Module, test_gen: Batches, val_gen: Batches | None = None) -> float:
    """F1 of each class, averaged with the class's number of true samples as its weight.

    See `predicted_classes`. `val_gen` is not used; callers of the 2017 package pass it.
    """
    predicted, labels = predicted_classes(model, test_gen)
    return score_of("weighted", labels, predicted)


def find_f1_threshold(
    y_val: Any = None,
    y_pred_val: Any = None,
    y_test: Any = None,
    y_pred_test: Any = None,
    average: str = "binary",
    *,
    model: nn.Module | None = None,
    val_gen: Batches | None = None,
    test_gen: Batches | None = None,
) -> tuple[float, float]:
    """Choose on the validation set the threshold with the best F1 and score the test set with it.

    Both forms are taken: DeepMoji's, of labels and probabilities; and that of the 2017 package, `(model,
    val_gen, test_gen, average="binary")`. Its model has one output, a logit or a probability, and ends in
    evaluation mode.

    Args:
        y_val: True classes 0 and 1 of the validation set, (n,).
        y_pred_val: Its predicted probabilities, (n,) or (n, 1).
        y_test: As `y_val`, of the test set.
        y_pred_test: As `y_pred_val`, of the test set.
        average: See `sklearn.metrics.f1_score`.
        model: In the place of classes and probabilities.
        val_gen: See `torchmoji.training.sampling.Batches`.
        test_gen: The same.

    Returns:
        The F1 of the test set, and the threshold: the first best of 0.01, 0.02 ... 0.49. A sample belongs to
        the class where its probability is above it.

    Raises:
        TypeError: The arguments are of neither form.
        ValueError: The predictions are not probabilities, or not as many as the classes.
    """
    if isinstance(y_val, nn.Module):
        model, y_val = y_val, None
    if model is not None:
        val_gen, y_pred_val = (y_pred_val if val_gen is None else val_gen), None
        test_gen, y_test = (y_test if test_gen is None else test_gen), None
        average = y_pred_test if isinstance(y_pred_test, str) else average
        if val_gen is not None and test_gen is not None:
            y_pred_val, y_val = positive_probabilities(model, val_gen)
            y_pred_test, y_test = positive_probabilities(model, test_gen)
    if any(array is None for array in (y_val, y_pred_val, y_test, y_pred_test)):
        raise TypeError(
            "find_f1_threshold takes (y_val, y_pred_val, y_test, y_pred_test) or (model, val_gen, test_gen)"
        )
    y_val, y_test, p_val, p_test = map(as_array, (y_val, y_test, y_pred_val, y_pred_test))
    for part, classes, predictions in (("val", y_val, p_val), ("test", y_test, p_test)):
        if classes.size != predictions.size or not classes.size:
            raise ValueError(
                f"y_{part} has {classes.size} classes and y_pred_{part} {predictions.size} probabilities: "
                "give one of each for a sample, and one sample at least"
            )
        if not ((predictions >= 0) & (predictions <= 1)).all():
            raise ValueError(
                f"predictions range from {predictions.min():.3g} to {predictions.max():.3g}, so they are not "
                "probabilities; apply a sigmoid to logits first"
            )
    p_val, p_test = p_val.reshape(y_val.shape), p_test.reshape(y_test.shape)
    scores = [f1_score(y_val, p_val > t, average=average, zero_division=0) for t in F1_THRESHOLDS]
    threshold = F1_THRESHOLDS[np.argmax(scores)]
    f1_test = f1_score(y_test, p_test > threshold, average=average, zero_division=0)
    return float(f1_test), float(threshold)
