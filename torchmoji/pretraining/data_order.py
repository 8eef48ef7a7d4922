"""The order in which training sees texts: by chance, alike in length in a batch, the same for a seed.

Texts are read in blocks that lie together on disk. A pass takes all blocks in an order by chance, a window of
them at a time, within which texts are shuffled. A corpus of up to a million texts is one window, and a larger
one is mixed all the same, since the blocks of a window come from everywhere. Memory is that of a window, and
any step of a run can be found without going through those before it.
"""

import math
from collections.abc import Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt

from torchmoji.corpus.shards import TokenRows

BLOCK_ROWS = 256
WINDOW_BLOCKS = 4096
_BATCHES_A_BUCKET = 100
"""Texts are sorted by length within so many batches, chosen by chance."""

RowNumbers = npt.NDArray[np.int64]


class DataOrder:
    """Gives the rows of each step.

    Args:
        rows: The texts.
        batch_size: Texts in a step.
        seed: Decides the order.
        class_weights: How often a text of each class is wanted, relative to each other (C,); a text is seen
            in proportion to the mean over its labels. None for each text once a pass.

    Attributes:
        steps_a_pass: Batches of a pass.

    Raises:
        ValueError: There are no texts.
    """

    def __init__(
        self,
        rows: TokenRows,
        batch_size: int,
        seed: int,
        class_weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        if len(rows) == 0:
            raise ValueError("there are no texts to train on: build a corpus with some")
        self.rows, self.batch_size, self.seed = rows, batch_size, seed
        self.class_weights = class_weights
        whole, rest = divmod(len(rows), BLOCK_ROWS)
        self._whole_blocks, self._has_rest = whole, rest > 0
        self._windows = math.ceil((whole + self._has_rest) / WINDOW_BLOCKS)
        window = WINDOW_BLOCKS * BLOCK_ROWS
        sizes = [window] * (self._windows - 1) + [len(rows) - window * (self._windows - 1)]
        self._batches_before = np.cumsum([0, *(math.ceil(size / batch_size) for size in sizes)])
        self.steps_a_pass = int(self._batches_before[-1])

    def batches(self, step: int = 0) -> Iterator[RowNumbers]:
        """The rows of each step from one on, without end."""
        number, place = divmod(step, self.steps_a_pass)
        window = int(np.searchsorted(self._batches_before, place, side="right")) - 1
        skipped = place - int(self._batches_before[window])
        while True:
            blocks = self._blocks(number)
            while window < self._windows:
                yield from self._window(number, window, blocks)[skipped:]
                window, skipped = window + 1, 0
            number, window = number + 1, 0

    def steps(self, passes: float) -> int:
        """Steps of a run of so many passes, one or more."""
        return max(1, round(self.steps_a_pass * passes))

    def seen(self, passes: float) -> npt.NDArray[np.bool_]:
        """Which of the texts (n,) training sees in so many passes, above 0.

        Raises:
            ValueError: They are not above 0.
        """
        if not passes > 0:
            raise ValueError(f"passes must be above 0, got {passes:g}")
        is_seen = np.zeros(len(self.rows), dtype=bool)
        for numbers in islice(self.batches(), self.steps(passes)):
            is_seen[numbers] = True
        return is_seen

    def _blocks(self, number: int) -> RowNumbers:
        """The blocks of a pass in order; one of fewer rows is the last, so that passes are alike."""
        order = np.random.default_rng([self.seed, number]).permutation(self._whole_blocks)
        return np.append(order, self._whole_blocks) if self._has_rest else order

    def _window(self, number: int, window: int, blocks: RowNumbers) -> list[RowNumbers]:
        """The batches of a window."""
        generator = np.random.default_rng([self.seed, number, window])
        own = blocks[window * WINDOW_BLOCKS : (window + 1) * WINDOW_BLOCKS]
        rows = (own[:, np.newaxis] * BLOCK_ROWS + np.arange(BLOCK_ROWS)).ravel()
        rows = rows[rows < len(self.rows)]
        if self.class_weights is not None:
            rows = resample(rows, self._weights(rows, self.class_weights), generator)
        rows = generator.permutation(rows)
        lengths = self.rows.lengths(rows)
        batches: list[RowNumbers] = []
        for start in range(0, len(rows), self.batch_size * _BATCHES_A_BUCKET):
            end = min(start + self.batch_size * _BATCHES_A_BUCKET, len(rows))
            bucket = rows[start:end][np.argsort(lengths[start:end], kind="stable")]
            batches += [
                bucket[first : first + self.batch_size] for first in range(0, len(bucket), self.batch_size)
            ]
        return [batches[index] for index in generator.permutation(len(batches))]

    def _weights(self, rows: RowNumbers, class_weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """How often each row is wanted (n,)."""
        owners, classes = self.rows.labels(rows)
        sums = np.bincount(owners, class_weights[classes], minlength=len(rows))
        return sums / np.maximum(np.bincount(owners, minlength=len(rows)), 1)


def resample(
    rows: RowNumbers, weights: npt.NDArray[np.float64], generator: np.random.Generator
) -> RowNumbers:
    """Draw as many rows as there are, each as often as its weight says, rounded up or down by chance.

    Source: systematic resampling (Kitagawa 1996).

    Args:
        rows: (n,).
        weights: (n,), not negative.
        generator: Is used once.
    """
    ends = np.cumsum(weights)
    points = (np.arange(len(rows)) + generator.random()) * (ends[-1] / len(rows))
    return rows[np.minimum(np.searchsorted(ends, points, side="right"), len(rows) - 1)]


def weights_of_classes(counts: npt.ArrayLike, power: float) -> npt.NDArray[np.float64]:
    """n^-power of each class (C,), scaled to the mean 1 over all labels; 0 for a class without any."""
    numbers = np.asarray(counts, dtype=np.float64)
    weights = np.where(numbers > 0, np.maximum(numbers, 1) ** -power, 0.0)
    return weights * (numbers.sum() / (numbers * weights).sum())
