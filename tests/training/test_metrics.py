"""torchmoji.training.metrics: losses with weights, scores of all samples, the choice of the F1 threshold."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from torchmoji.training.metrics import (
    balanced_weights,
    calc_loss,
    check_class_weight,
    evaluate_using_acc,
    evaluate_using_weighted_f1,
    find_f1_threshold,
    make_loss,
)


class Lookup(nn.Module):
    """Gives row x of a table as the output for the text (x,)."""

    def __init__(self, table, last=None):
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table))
        self.output_layer = nn.Sequential(last or nn.Identity())

    def forward(self, x):
        return self.output_layer(self.table[x[:, 0]])


def batches(labels, sizes):
    """Batches of these sizes of the texts (0,), (1,) ..., with their labels."""
    x, y = torch.arange(len(labels))[:, None], torch.tensor(labels)
    return list(zip(x.split(sizes), y.split(sizes), strict=True))


THREE_CLASSES = Lookup([[2.0, 1, 0], [0, 3, 1], [0, 0, 1], [4, 0, 1], [0, 1, 0]])
PREDICTED = [0, 1, 2, 0, 1]


# --- losses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss_op", "logits", "labels", "expected"),
    [
        (nn.CrossEntropyLoss(), [[0.0, 0.0]], [1], np.log(2)),
        (nn.CrossEntropyLoss(), [[1.0, 1.0, 1.0]] * 2, [2, 0], np.log(3)),
        (nn.BCEWithLogitsLoss(), [[0.0]], [1], np.log(2)),
        (nn.BCEWithLogitsLoss(), [[1.0], [-2.0]], [1, 1], np.log((1 + np.exp(-1)) * (1 + np.exp(2))) / 2),
        (nn.BCEWithLogitsLoss(), [[0.0, 0.0]], [[1, 0]], np.log(2)),
    ],
)
def test_loss_of_a_batch(loss_op, logits, labels, expected):
    assert calc_loss(loss_op, torch.tensor(logits), torch.tensor(labels)).item() == pytest.approx(expected)


def test_balanced_weights_leave_classes_without_samples_at_one():
    np.testing.assert_allclose(balanced_weights(np.array([0, 2, 2, 2]), 4), [2, 1, 2 / 3, 1], rtol=1e-6)


def test_the_loss_of_several_classes_has_the_weights():
    logits, labels = torch.tensor([[2.0, 1, 0], [0, 1, 0]]), np.array([0, 1])
    losses = nn.functional.cross_entropy(logits, torch.tensor(labels), reduction="none")
    weighted = calc_loss(make_loss(labels, 3, [1.0, 3, 5]), logits, torch.tensor(labels))
    torch.testing.assert_close(weighted, (losses * torch.tensor([1.0, 3])).sum() / 4)


@pytest.mark.parametrize(
    ("labels", "nb_classes", "class_weight", "ones"),
    [
        ([1, 0], 2, [2.0, 3.0], 1.5),
        ([1, 0, 0, 0], 2, "balanced", 3.0),
        ([1, 0], 2, None, 1.0),
        ([[1, 0], [0, 0], [0, 1], [0, 1]], 2, "balanced", [3.0, 1.0]),
        ([[1, 0], [0, 1]], 2, [5.0, 2.0], [5.0, 2.0]),
    ],
)
def test_of_two_classes_and_several_labels_the_ones_have_the_weight(labels, nb_classes, class_weight, ones):
    labels = np.array(labels)
    logits = torch.linspace(-1, 2, labels.size).reshape(labels.shape)
    truth = torch.tensor(labels, dtype=torch.float32)
    losses = nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    expected = (losses * torch.where(truth == 1, torch.tensor(ones), torch.tensor(1.0))).mean()
    torch.testing.assert_close(make_loss(labels, nb_classes, class_weight)(logits, truth), expected)


@pytest.mark.parametrize("weights", [None, "balanced", [1, 2.5], np.array([1, 2.5]), torch.tensor([1, 2.5])])
def test_weights_may_be_of_any_kind(weights):
    check_class_weight(weights, 2)


@pytest.mark.parametrize("weights", ["Balanced", [1], [[1, 2]], [0, 1], [1, float("inf")], {0: 1, 1: 2}])
def test_wrong_weights_are_refused(weights):
    with pytest.raises(ValueError, match="give a positive number for each of the 2 classes, in their order"):
        check_class_weight(weights, 2)


# --- scores -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[5], [2, 3], [4, 1]])
def test_scores_are_those_of_all_samples_for_any_batches(sizes):
    labels = [0, 2, 2, 1, 1]
    assert evaluate_using_acc(THREE_CLASSES, batches(labels, sizes)) == 0.6
    score = evaluate_using_weighted_f1(THREE_CLASSES, batches(labels, sizes))
    assert score == pytest.approx(f1_score(labels, PREDICTED, average="weighted"))


def test_weighted_f1_takes_the_validation_batches_of_2017_callers():
    assert evaluate_using_weighted_f1(THREE_CLASSES, batches(PREDICTED, [5]), batches([0], [1])) == 1.0


@pytest.mark.parametrize("last", [nn.Identity(), nn.Sigmoid()], ids=["logits", "probabilities"])
@pytest.mark.parametrize("evaluate", [evaluate_using_acc, evaluate_using_weighted_f1])
def test_two_classes_are_told_apart_at_probability_one_half(evaluate, last):
    model = Lookup([[0.3], [-0.3], [2.0], [-2.0]], last)
    assert evaluate(model, batches([1, 0, 1, 0], [3, 1])) == 1.0


def test_model_is_evaluated_without_dropout():
    model = Lookup([[1.0, 0.0], [0.0, 1.0]] * 50, nn.Dropout(0.99)).train()
    assert evaluate_using_acc(model, batches([0, 1] * 50, [64, 36])) == 1.0
    assert not model.training


def test_evaluation_wants_a_batch():
    with pytest.raises(ValueError, match="no texts to evaluate on"):
        evaluate_using_acc(THREE_CLASSES, [])


# --- the F1 threshold -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y_val", "p_val", "y_test", "p_test", "f1", "threshold"),
    [
        # the first at which 0.2 is no longer above; predicted 1, 0, 1: precision and recall 1/2
        ([0, 0, 1, 1], [0.1, 0.2, 0.25, 0.4], [0, 1, 1], [0.22, 0.19, 0.3], 0.5, 0.2),
        ([0, 1], [0.485, 0.9], [0, 1], [0.5, 0.9], 2 / 3, 0.49),
        ([0, 1], [0.001, 0.011], [1], [0.5], 1.0, 0.01),
        ([0, 0], [0.1, 0.2], [0, 0], [0.1, 0.005], 0.0, 0.01),
    ],
    ids=["on validation", "up to 0.49", "from 0.01", "no positives"],
)
def test_threshold_is_chosen_on_validation_and_applied_to_test(y_val, p_val, y_test, p_test, f1, threshold):
    assert find_f1_threshold(y_val, p_val, y_test, p_test) == (pytest.approx(f1), threshold)


def test_columns_and_tensors_are_taken_too():
    column = torch.tensor([[0.095], [0.3]], requires_grad=True)
    assert find_f1_threshold(torch.tensor([0, 1]), column, np.array([0, 1]), column) == (1.0, 0.1)


def test_other_averages_are_passed_on():
    y, p = [0, 1, 0, 0], [0.2, 0.9, 0.1, 0.3]
    f1, threshold = find_f1_threshold(y, p, y, [0.2, 0.9, 0.1, 0.8], average="macro")
    assert threshold == 0.3
    assert f1 == pytest.approx(f1_score(y, [0, 1, 0, 1], average="macro"))


@pytest.mark.parametrize("bad", [[-1.5, 0.4], [0.3, 2.0], [float("nan"), 0.1]])
def test_logits_are_refused(bad):
    for p_val, p_test in ((bad, [0.1, 0.2]), ([0.1, 0.2], bad)):
        with pytest.raises(ValueError, match="not probabilities; apply a sigmoid"):
            find_f1_threshold([0, 1], p_val, [0, 1], p_test)


@pytest.mark.parametrize("probabilities", [[0.1], [0.1, 0.2, 0.3], []])
def test_f1_threshold_wants_a_probability_for_each_class(probabilities):
    with pytest.raises(ValueError, match=rf"y_val has 2 classes and y_pred_val {len(probabilities)} prob"):
        find_f1_threshold([0, 1], probabilities, [0, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="one sample at least"):
        find_f1_threshold([0, 1], [0.1, 0.2], [], [])
