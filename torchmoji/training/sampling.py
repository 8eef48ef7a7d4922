"""Samples and batches for training.

From the 2017 package's `finetuning`, which still exports these names. What differs from it: every epoch draws
its samples afresh, the last, smaller batch of an epoch is drawn too, and no global random generator is used.
"""

from collections.abc import Iterable, Iterator, Sequence
from reprlib import repr as short
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler, SequentialSampler

from torchmoji.training.datasets import whole_number

Array = npt.NDArray[Any] | torch.Tensor | Sequence[Any]
Part = tuple[npt.NDArray[Any], npt.NDArray[Any]]
"""Of a part of a data set the token ids (n, time), and class numbers (n,) or vectors of 0 and 1 (n, C)."""
Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]
"""Pairs of token ids (batch, time) and class numbers (batch,), both int64."""
Loader = DataLoader[tuple[torch.Tensor, torch.Tensor]]


def as_array(values: Array) -> npt.NDArray[Any]:
    """As numpy array, by position: tensors of any device, arrays, nested lists, series, tables."""
    if isinstance(values, torch.Tensor):
        return values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.dtype == object and array.ndim == 1 and all(np.ndim(row) == 1 for row in array):
        return np.array([list(row) for row in array])  # a series of lists
    if array.dtype == object and all(isinstance(value, bool | int | float) for value in array.flat):
        return np.array(array.tolist())  # such as numbers of pandas that may be missing
    return array


def as_integers(values: Array, what: str) -> npt.NDArray[np.int64]:
    """`as_array` of whole numbers, (n,) or (n, C), whatever their type is, int64; messages call them `what`.

    ValueError where one is no whole number, whose row it names, or they are no list, or lists of different
    lengths.
    """
    try:
        array = as_array(values)
    except ValueError as error:
        raise ValueError(f"{what} are lists of different lengths: give as many for each text") from error
    if array.ndim == 0:
        raise ValueError(f"{what} must be a list or an array, got {short(values)}")
    if array.dtype.kind in "ib":
        return array.astype(np.int64)
    numbers = [whole_number(value) for value in array.ravel().tolist()]
    if None in numbers:
        place = numbers.index(None)
        row = np.unravel_index(place, array.shape)[0]
        raise ValueError(
            f"{what} must be whole numbers, but in row {row} there is {short(array.ravel().tolist()[place])}"
        )
    return np.array(numbers, dtype=np.int64).reshape(array.shape)


class DeepMojiDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Token ids and labels, one pair a text.

    Args:
        X_in: Integers (n, time): array, tensor or nested list.
        y_in: Class numbers (n,).

    Raises:
        ValueError: The lengths differ, or a token id or a label is no whole number.
    """

    def __init__(self, X_in: Array, y_in: Array) -> None:
        self.X_in = torch.from_numpy(as_integers(X_in, "token ids"))
        self.y_in = torch.from_numpy(as_integers(y_in, "labels"))
        texts, labels = len(self.X_in), len(self.y_in)
        if texts != labels:
            raise ValueError(f"{texts} texts but {labels} labels; there must be a label for each text")

    def __len__(self) -> int:
        return len(self.X_in)

    def __getitem__(self, idx: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.X_in[idx], self.y_in[idx]


class DeepMojiBatchSampler(Sampler[list[int]]):
    """Draws `epoch_size` samples with replacement, afresh for each epoch, and gives them in batches.

    The first epoch's samples equal `numpy.random.RandomState(seed).choice(n, epoch_size)`, those of the 2017
    package; numpy's global generator is left alone.

    Args:
        y_in: Class numbers (n,).
        batch_size: Samples in a batch; the last batch of an epoch may be smaller.
        epoch_size: Samples in an epoch.
        upsample: Draw half of the samples from class 0 and half from class 1, then shuffle.
        seed: Of this sampler's own generator.

    Raises:
        ValueError: There is nothing to draw from, or with `upsample` the labels are not of both classes 0 and
            1 and no other, or `epoch_size` is odd.
    """

    def __init__(
        self, y_in: Array, batch_size: int, epoch_size: int, upsample: bool = False, seed: int = 42
    ) -> None:
        if batch_size < 1 or epoch_size < 1:
            raise ValueError(
                f"batch_size is {batch_size} and epoch_size {epoch_size}; both must be 1 or more"
            )
        if len(y_in) == 0:
            raise ValueError("there are no samples to draw from; give at least one label")
        self.batch_size = batch_size
        self.epoch_size = epoch_size
        self.upsample = upsample
        self._n = len(y_in)
        if upsample:
            labels = as_array(y_in)
            if labels.ndim != 1 or set(labels.tolist()) != {0, 1}:
                raise ValueError(
                    "upsample=True wants labels of the classes 0 and 1, both of them and no other"
                )
            if epoch_size % 2:
                raise ValueError(f"upsample=True draws half from each class; epoch_size {epoch_size} is odd")
            self._members = [np.flatnonzero(labels == label) for label in (0, 1)]
        self._random = np.random.RandomState(seed)

    def _draw(self) -> npt.NDArray[np.int64]:
        if not self.upsample:
            return self._random.choice(self._n, self.epoch_size)
        halves = [self._random.choice(members, self.epoch_size // 2) for members in self._members]
        return self._random.permutation(np.concatenate(halves))

    def __iter__(self) -> Iterator[list[int]]:
        samples = self._draw().tolist()
        for start in range(0, self.epoch_size, self.batch_size):
            yield samples[start : start + self.batch_size]

    def __len__(self) -> int:
        return -(-self.epoch_size // self.batch_size)


def get_data_loader(
    X_in: Array,
    y_in: Array,
    batch_size: int,
    extended_batch_sampler: bool = True,
    epoch_size: int = 25000,
    upsample: bool = False,
    seed: int = 42,
) -> Loader:
    """Make a loader of batches `(token ids (batch, time), class numbers (batch,))`, both int64.

    Args:
        X_in: Integers (n, time).
        y_in: Class numbers (n,).
        batch_size: Samples in a batch.
        extended_batch_sampler: Draw `epoch_size` samples at random (for training); otherwise each text once,
            in order.
        epoch_size: Samples in an epoch.
        upsample: See `DeepMojiBatchSampler`, as for `seed`.
        seed: Of the samples.

    Raises:
        ValueError: See `DeepMojiDataset` and `DeepMojiBatchSampler`.
    """
    dataset = DeepMojiDataset(X_in, y_in)
    sampler: Sampler[list[int]]
    if extended_batch_sampler:
        sampler = DeepMojiBatchSampler(y_in, batch_size, epoch_size=epoch_size, upsample=upsample, seed=seed)
    else:
        sampler = BatchSampler(SequentialSampler(dataset), int(batch_size), drop_last=False)
    # Without a generator of its own, a loader takes a number from torch's global one for each epoch.
    return DataLoader(dataset, batch_sampler=sampler, generator=torch.Generator())


def loaders_of(parts: Sequence[Part], batch_size: int, epoch_size: int, seed: int) -> list[Loader]:
    """Make a loader of each part: the first one's draws samples, for training, the others' go in order."""
    return [
        get_data_loader(x, y, batch_size, extended_batch_sampler=not i, epoch_size=epoch_size, seed=seed)
        for i, (x, y) in enumerate(parts)
    ]
