from itertools import islice

import numpy as np
import pytest

from torchmoji.corpus.shards import TokenRows, in_memory
from torchmoji.pretraining import data_order
from torchmoji.pretraining.data_order import DataOrder


def rows_of(count, seed=0):
    """Texts of 1 to 29 tokens."""
    lengths = np.random.default_rng(seed).integers(1, 30, count)
    return TokenRows([in_memory([[1] * length for length in lengths], [[0]] * count)])


def batches(order, step=0, count=None):
    return list(islice(order.batches(step), count or order.steps_a_pass))


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(data_order, "BLOCK_ROWS", 16)
    monkeypatch.setattr(data_order, "WINDOW_BLOCKS", 8)


def test_a_pass_sees_every_text_once_in_batches_of_like_length():
    rows = rows_of(500)
    order = DataOrder(rows, 32, seed=1)
    found = batches(order)
    assert len(found) == order.steps_a_pass == 16
    assert sorted(np.concatenate(found).tolist()) == list(range(500))
    again = batches(DataOrder(rows, 32, seed=1), count=32)
    assert all(map(np.array_equal, found, again))
    assert not np.array_equal(np.concatenate(found), np.concatenate(again[16:]))
    assert not np.array_equal(found[0], batches(DataOrder(rows, 32, seed=2))[0])
    lengths = rows.lengths(np.arange(500))
    assert np.mean([np.ptp(lengths[numbers]) for numbers in found]) < 5


@pytest.mark.parametrize(("passes", "steps"), [(1e-6, 1), (0.5, 8), (1, 16), (2.5, 40)])
def test_the_texts_of_some_passes_are_those_of_their_steps(passes, steps):
    order = DataOrder(rows_of(500), 32, seed=1)
    seen = set(np.concatenate(batches(order, count=steps)).tolist())
    assert set(np.flatnonzero(order.seen(passes)).tolist()) == seen


@pytest.mark.usefixtures("small_windows")
def test_windows_cover_every_text_once_and_mix_texts_from_everywhere():
    order = DataOrder(rows_of(1000), 10, seed=3)
    found = batches(order)
    assert sorted(np.concatenate(found).tolist()) == list(range(1000))
    first_window = np.concatenate(found[:13])
    assert np.ptp(first_window) > 700
    second = batches(order, order.steps_a_pass)
    assert sorted(np.concatenate(second).tolist()) == list(range(1000))


@pytest.mark.usefixtures("small_windows")
def test_any_step_can_be_gone_to():
    order = DataOrder(rows_of(333), 10, seed=3)
    whole = batches(order, count=2 * order.steps_a_pass + 5)
    for step in (0, 1, 12, 13, 14, order.steps_a_pass - 1, order.steps_a_pass, order.steps_a_pass + 20):
        assert np.array_equal(batches(order, step, 1)[0], whole[step])


def test_there_must_be_texts_and_passes():
    with pytest.raises(ValueError, match="there are no texts to train on"):
        DataOrder(TokenRows([]), 10, seed=0)
    with pytest.raises(ValueError, match="passes must be above 0, got nan"):
        DataOrder(rows_of(10), 4, seed=1).seen(float("nan"))
