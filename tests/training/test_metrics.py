"""torchmoji.training.metrics: scores of all samples, and the choice of the F1 threshold."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from torchmoji.training.metrics import (
    evaluate_using_acc,
    evaluate_using_weighted_f1,
    find_f1_threshold,
    predict,
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


def test_accuracy_counts_samples_not_batches():
    assert evaluate_using_acc(THREE_CLASSES, batches([0, 1, 2, 0, 2], [4, 1])) == pytest.approx(0.8)


def test_accuracy_is_the_same_for_any_batches():
    labels = [0, 2, 2, 1, 1]
    scores = {evaluate_using_acc(THREE_CLASSES, batches(labels, sizes)) for sizes in ([5], [2, 3], [4, 1])}
    assert scores == {0.6}


def test_weighted_f1_is_scikit_learns_of_all_predictions():
    labels = [0, 2, 2, 1, 1]
    score = evaluate_using_weighted_f1(THREE_CLASSES, batches(labels, [2, 3]))
    assert score == pytest.approx(f1_score(labels, PREDICTED, average="weighted"))


def test_weighted_f1_takes_the_validation_batches_of_2017_callers():
    test = batches([0, 1, 2, 0, 1], [5])
    assert evaluate_using_weighted_f1(THREE_CLASSES, test, batches([0], [1])) == 1.0


@pytest.mark.parametrize("last", [nn.Identity(), nn.Sigmoid()], ids=["logits", "probabilities"])
@pytest.mark.parametrize("evaluate", [evaluate_using_acc, evaluate_using_weighted_f1])
def test_two_classes_are_told_apart_at_probability_one_half(evaluate, last):
    model = Lookup([[0.3], [-0.3], [2.0], [-2.0]], last)
    assert evaluate(model, batches([1, 0, 1, 0], [3, 1])) == 1.0


def test_model_is_evaluated_without_dropout():
    model = Lookup([[1.0, 0.0], [0.0, 1.0]] * 50, nn.Dropout(0.99)).train()
    assert evaluate_using_acc(model, batches([0, 1] * 50, [64, 36])) == 1.0
    assert not model.training


def test_predict_joins_batches_in_order():
    outputs, labels = predict(THREE_CLASSES, batches([0, 2, 2, 1, 1], [2, 2, 1]))
    assert torch.equal(outputs, THREE_CLASSES.table)
    assert labels.tolist() == [0, 2, 2, 1, 1]
    assert not outputs.requires_grad


def test_evaluation_wants_a_batch():
    with pytest.raises(ValueError, match="no texts to evaluate on"):
        evaluate_using_acc(THREE_CLASSES, [])


def test_threshold_is_chosen_on_validation_and_applied_to_test():
    f1, threshold = find_f1_threshold([0, 0, 1, 1], [0.1, 0.2, 0.25, 0.4], [0, 1, 1], [0.22, 0.19, 0.3])
    assert threshold == 0.2  # the first at which 0.2 is no longer above
    assert f1 == pytest.approx(0.5)  # predicted 1, 0, 1: precision 1/2, recall 1/2


def test_thresholds_end_at_0_49():
    f1, threshold = find_f1_threshold([0, 1], [0.485, 0.9], [0, 1], [0.5, 0.9])
    assert threshold == 0.49
    assert f1 == pytest.approx(2 / 3)


def test_thresholds_start_at_0_01():
    assert find_f1_threshold([0, 1], [0.001, 0.011], [1], [0.5]) == (1.0, 0.01)


def test_columns_and_tensors_are_taken_too():
    column = torch.tensor([[0.095], [0.3]], requires_grad=True)
    assert find_f1_threshold(torch.tensor([0, 1]), column, np.array([0, 1]), column) == (1.0, 0.1)


def test_other_averages_are_passed_on():
    y, p = [0, 1, 0, 0], [0.2, 0.9, 0.1, 0.3]
    f1, threshold = find_f1_threshold(y, p, y, [0.2, 0.9, 0.1, 0.8], average="macro")
    assert threshold == 0.3
    assert f1 == pytest.approx(f1_score(y, [0, 1, 0, 1], average="macro"))


def test_no_positives_give_zero_without_a_warning():
    assert find_f1_threshold([0, 0], [0.1, 0.2], [0, 0], [0.1, 0.005]) == (0.0, 0.01)


@pytest.mark.parametrize("bad", [[-1.5, 0.4], [0.3, 2.0], [float("nan"), 0.1]])
def test_logits_are_refused(bad):
    with pytest.raises(ValueError, match="not probabilities; apply a sigmoid"):
        find_f1_threshold([0, 1], bad, [0, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="not probabilities; apply a sigmoid"):
        find_f1_threshold([0, 1], [0.1, 0.2], [0, 1], bad)
