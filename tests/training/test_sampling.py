"""torchmoji.training.sampling: what is drawn, in which batches, and that nothing else is touched."""

import numpy as np
import pytest
import torch

from torchmoji.training.sampling import DeepMojiBatchSampler, DeepMojiDataset, get_data_loader

X = np.arange(60, dtype=np.uint16).reshape(20, 3)
Y = np.array([0, 1] * 3 + [0] * 14)


def drawn(sampler):
    return [index for batch in sampler for index in batch]


def test_first_draw_is_that_of_a_seeded_random_state():
    sampler = DeepMojiBatchSampler(Y, batch_size=7, epoch_size=30, seed=5)
    assert drawn(sampler) == np.random.RandomState(5).choice(20, 30).tolist()


def test_each_epoch_is_drawn_afresh():
    sampler = DeepMojiBatchSampler(Y, batch_size=10, epoch_size=20)
    epochs = [drawn(sampler) for _ in range(30)]
    assert epochs[0] != epochs[1]
    assert set().union(*epochs) == set(range(20))


@pytest.mark.parametrize("labels", [Y, Y.tolist(), torch.from_numpy(Y)], ids=["array", "list", "tensor"])
def test_upsampling_draws_half_from_each_class_mixed(labels):
    samples = drawn(DeepMojiBatchSampler(labels, batch_size=10, epoch_size=40, upsample=True))
    classes = Y[samples]
    assert classes.sum() == 20
    assert 0 < classes[:20].sum() < 20
    assert set(samples[:20]) != set(samples[20:])


@pytest.mark.parametrize(
    ("labels", "sizes", "upsample", "message"),
    [
        ([0, 0, 0], (10, 20), True, "classes 0 and 1, both of them and no other"),
        ([0, 1, 2], (10, 20), True, "classes 0 and 1, both of them and no other"),
        ([[0, 1], [1, 0]], (10, 20), True, "classes 0 and 1, both of them and no other"),
        (Y, (10, 21), True, "epoch_size 21 is odd"),
        (Y, (0, 10), False, "batch_size is 0 and epoch_size 10"),
        (Y, (10, 0), False, "batch_size is 10 and epoch_size 0"),
        ([], (10, 20), False, "no samples to draw from"),
    ],
)
def test_what_cannot_be_drawn_is_refused(labels, sizes, upsample, message):
    with pytest.raises(ValueError, match=message):
        DeepMojiBatchSampler(labels, *sizes, upsample=upsample)


@pytest.mark.parametrize(
    "convert", [np.asarray, np.ndarray.tolist, lambda a: torch.from_numpy(a.astype(int))]
)
def test_dataset_pairs_rows_with_labels(convert):
    dataset = DeepMojiDataset(convert(X), convert(Y))
    row, label = dataset[3]
    assert len(dataset) == 20
    assert (row.dtype, label.dtype) == (torch.int64, torch.int64)
    assert (row.tolist(), label.item()) == ([9, 10, 11], 1)


def test_dataset_refuses_unequal_lengths():
    with pytest.raises(ValueError, match="20 texts but 19 labels"):
        DeepMojiDataset(X, Y[1:])
    with pytest.raises(ValueError, match="token ids must be a list or an array, got None"):
        DeepMojiDataset(None, Y)
    with pytest.raises(ValueError, match="token ids are lists of different lengths: give as many"):
        DeepMojiDataset([[1, 2], [3]], [0, 1])


def test_loader_in_order_gives_every_text_once():
    batches = list(get_data_loader(X, Y, batch_size=8, extended_batch_sampler=False))
    assert [len(y) for _, y in batches] == [8, 8, 4]
    assert torch.equal(torch.cat([x for x, _ in batches]), torch.from_numpy(X.astype(np.int64)))
    assert torch.equal(torch.cat([y for _, y in batches]), torch.from_numpy(Y))


def test_loader_gives_the_samples_of_its_sampler():
    loader = get_data_loader(X, Y, batch_size=8, epoch_size=12, upsample=True, seed=9)
    expected = drawn(DeepMojiBatchSampler(Y, 8, 12, upsample=True, seed=9))
    assert torch.cat([x for x, _ in loader])[:, 0].tolist() == X[expected, 0].tolist()


@pytest.mark.parametrize("extended", [True, False])
def test_global_generators_are_left_alone(extended):
    numpy_before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    list(get_data_loader(X, Y, 8, extended_batch_sampler=extended, epoch_size=16))
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)
