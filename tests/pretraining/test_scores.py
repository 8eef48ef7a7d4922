import dataclasses

import numpy as np
import pytest
import torch

from torchmoji.corpus.shards import TokenRows, in_memory
from torchmoji.pretraining.scores import commonest_scores, score_emojis, score_probabilities

LOGITS = torch.arange(6.0)


class FixedGuesses(torch.nn.Module):
    """Guesses the classes 5, 4, 3, 2, 1 for every text, best first."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, ids):
        return LOGITS.expand(len(ids), 6)


def rows_of(labels):
    return TokenRows([in_memory([[2] * (1 + n % 3) for n in range(len(labels))], labels)])


def test_scores_count_any_of_a_texts_emojis_and_average_over_classes():
    scores = score_emojis(FixedGuesses(), rows_of([[5], [4, 0], [0], [5, 4]]), 6, batch_size=3)
    assert scores.texts == 4
    assert scores.first == 0.5
    assert scores.first_five == 0.75
    assert scores.counts == [2, 0, 0, 0, 2, 2]
    assert scores.class_first == [0, 0, 0, 0, 0, 1]
    assert scores.class_first_five == [0, 0, 0, 0, 1, 1]
    assert scores.average_first == pytest.approx(1 / 3)
    assert scores.average_first_five == pytest.approx(2 / 3)
    logs = torch.log_softmax(LOGITS, dim=0)
    assert scores.loss == pytest.approx(-logs[[5, 4, 0, 0, 5, 4]].mean().item(), rel=1e-5)
    few = score_emojis(FixedGuesses(), rows_of([[5], [0], [0], [5], [1], [1]]), 6, most=2)
    assert (few.texts, few.first, few.counts[5]) == (2, 1.0, 2)
    assert score_emojis(FixedGuesses(), TokenRows([]), 6).average_first == 0.0


def test_probabilities_score_as_the_model_that_gives_logits():
    labels = [[5], [4, 0], [0], [5, 4]]
    probabilities = torch.softmax(LOGITS, dim=0).expand(4, 6).numpy()
    given = score_probabilities(probabilities, labels)
    expected = score_emojis(FixedGuesses(), rows_of(labels), 6)
    model = FixedGuesses()
    model.output_logits = False
    model.forward = lambda ids: torch.softmax(LOGITS, dim=0).expand(len(ids), 6)
    assert score_emojis(model, rows_of(labels), 6).loss == pytest.approx(expected.loss, rel=1e-5)
    assert given.loss == pytest.approx(expected.loss, rel=1e-5)
    assert dataclasses.replace(given, loss=0) == dataclasses.replace(expected, loss=0)
    with pytest.raises(ValueError, match="3 texts with labels for 4 with guesses"):
        score_probabilities(probabilities, labels[:3])


def test_a_label_that_is_thought_impossible_costs_much_but_not_infinitely():
    for dtype in (np.float32, np.float16):
        scores = score_probabilities(np.array([[0, 1], [1, 0]], dtype=dtype), [[0], [0]])
        assert (scores.first, scores.loss) == (0.5, pytest.approx(-np.log(np.finfo(np.float32).tiny) / 2))
    model = FixedGuesses()
    model.output_logits = False
    model.forward = lambda ids: torch.eye(6)[[5] * len(ids)]
    assert score_emojis(model, rows_of([[0]]), 6).loss == pytest.approx(87.3, abs=0.1)


def test_few_classes_have_fewer_guesses():
    scores = commonest_scores(rows_of([[0], [1], [1], [0, 1]]), [30, 70])
    assert scores.first == 0.75
    assert scores.first_five == 1.0
    assert scores.loss == pytest.approx(-np.log([0.3, 0.7, 0.7, 0.3, 0.7]).mean(), rel=1e-5)
