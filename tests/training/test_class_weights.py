"""torchmoji.training.metrics: weights of classes, against scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from torchmoji.training.metrics import balanced_weights, checked_weights, loss_of_classes


def test_balanced_weights_are_scikit_learns():
    labels = np.array([0, 1, 1, 2, 2, 2, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_weights(labels, 3), expected, rtol=1e-6)


def test_classes_without_samples_weigh_one_and_do_not_count():
    np.testing.assert_allclose(balanced_weights(np.array([0, 2, 2, 2]), 4), [2, 1, 2 / 3, 1], rtol=1e-6)


def test_the_loss_of_several_classes_has_the_weights():
    logits, labels = torch.tensor([[2.0, 1, 0], [0, 1, 0]]), torch.tensor([0, 1])
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    weighted = loss_of_classes(3, torch.tensor([1.0, 3, 5]))(logits, labels)
    torch.testing.assert_close(weighted, (losses * torch.tensor([1.0, 3])).sum() / 4)
    torch.testing.assert_close(loss_of_classes(3)(logits, labels), losses.mean())


def test_the_loss_of_two_classes_has_their_ratio():
    logits, labels = torch.tensor([0.5, -1.0]), torch.tensor([1.0, 0.0])
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    weighted = loss_of_classes(2, torch.tensor([2.0, 3.0]))(logits, labels)
    torch.testing.assert_close(weighted, (losses * torch.tensor([1.5, 1])).mean())
    torch.testing.assert_close(loss_of_classes(2)(logits, labels), losses.mean())


def test_weights_may_be_of_any_kind():
    for weights in ([1, 2.5], np.array([1, 2.5]), torch.tensor([1, 2.5])):
        assert checked_weights(weights, 2).tolist() == [1, 2.5]


@pytest.mark.parametrize(
    "weights", [[1], [1, 2, 3], [[1, 2]], [1, -1], [0, 1], [1, float("inf")], {0: 1, 1: 2}, ["a", "b"]]
)
def test_wrong_weights_are_refused(weights):
    with pytest.raises(ValueError, match="give a positive number for each of the 2 classes, in their order"):
        checked_weights(weights, 2)
