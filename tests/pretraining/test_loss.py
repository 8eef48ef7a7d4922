import numpy as np
import pytest
import torch
from torch.nn import functional as F

from torchmoji.pretraining.loss import PretrainingLoss
from torchmoji.pretraining.settings import Settings

LOGITS = torch.tensor([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0]])
OWNERS, CLASSES = torch.tensor([0, 0, 1]), torch.tensor([0, 2, 1])
ROWS = np.array([5, 3])


def loss_of(settings=None, counts=(10, 10, 10), soft=None):
    return PretrainingLoss(settings or Settings(), counts, soft)(LOGITS, OWNERS, CLASSES, ROWS).item()


def test_it_is_the_sum_over_a_texts_labels():
    expected = F.cross_entropy(LOGITS[[0, 0, 1]], CLASSES, reduction="sum")
    assert loss_of() == pytest.approx(expected.item(), rel=1e-6)


def test_labels_can_be_smoothed():
    expected = F.cross_entropy(LOGITS[[0, 0, 1]], CLASSES, reduction="sum", label_smoothing=0.2)
    assert loss_of(Settings(label_smoothing=0.2)) == pytest.approx(expected.item(), rel=1e-6)


def test_rare_classes_can_count_more_with_the_same_mean():
    settings = Settings(class_weights=1.0)
    loss = PretrainingLoss(settings, (80, 15, 5))
    labels = np.repeat([0, 1, 2], [80, 15, 5])
    assert loss.total_weight(labels) == pytest.approx(100, rel=1e-6)
    assert loss.total_weight(np.array([2])) == pytest.approx(16 * loss.total_weight(np.array([0])), rel=1e-6)
    weights = torch.tensor([loss.total_weight(np.array([index])) for index in (0, 2, 1)])
    expected = (weights * F.cross_entropy(LOGITS[[0, 0, 1]], CLASSES, reduction="none")).sum()
    assert loss_of(settings, (80, 15, 5)) == pytest.approx(expected.item(), rel=1e-5)


def test_a_teacher_has_its_share_of_each_sample():
    soft = np.zeros((6, 3), dtype=np.float16)
    soft[5], soft[3] = [0.25, 0.0, 0.25], [0.0, 1.0, 0.0]
    hard = F.cross_entropy(LOGITS[[0, 0, 1]], CLASSES, reduction="none")
    logs = torch.log_softmax(LOGITS, dim=1)
    taught = torch.tensor([-(logs[0, 0] + logs[0, 2]) / 2] * 2 + [-logs[1, 1]])
    expected = (0.75 * hard + 0.25 * taught).sum()
    assert loss_of(Settings(soft_share=0.25), soft=soft) == pytest.approx(expected.item(), rel=1e-5)


def test_texts_without_a_teacher_have_their_labels_alone():
    soft = np.zeros((6, 3), dtype=np.float16)
    assert loss_of(Settings(soft_share=0.9), soft=soft) == pytest.approx(loss_of(), rel=1e-6)


def test_the_distance_to_embeddings_is_added_for_each_sample():
    embeddings = np.zeros((6, 2), dtype=np.float16)
    embeddings[5] = [0.6, 0.8]  # the other text has none
    loss = PretrainingLoss(Settings(embedding_weight=3.0), (10, 10, 10), embeddings=embeddings)
    output = torch.cat([LOGITS, torch.tensor([[0.5, 1.0], [7.0, 7.0]])], dim=1)
    found = loss(output, OWNERS, CLASSES, ROWS).item()
    assert found == pytest.approx(loss_of() + 2 * 3 * (0.1**2 + 0.2**2), rel=1e-3)  # two labels
    assert loss(LOGITS, OWNERS, CLASSES, ROWS).item() == pytest.approx(loss_of(), rel=1e-6)


def test_a_class_that_never_occurs_does_no_harm():
    assert np.isfinite(loss_of(Settings(class_weights=1.0, label_smoothing=0.1), (80, 15, 0)))
