"""The order in which training sees texts: random, alike in length in a batch, the same for a seed.

Texts are read in blocks that lie together on disk. A pass takes all blocks in random order, a window of them
at a time, within which texts are shuffled. A corpus of up to a million texts is one window, and a larger one
is mixed all the same, since the blocks of a window come from everywhere. Memory is that of a window, and any
step of a run can be found without going through those before it.
"""

import math
from collections.abc import Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt

from torchmoji.corpus.shards import TokenRows

BLOCK_ROWS = 256
WINDOW_BLOCKS = 4096
_BUCKET_BATCHES = 100  # texts are sorted by length within so many batches, chosen at random

RowNumbers = npt.NDArray[np.int64]


class DataOrder:
    """Gives the rows of each step, in an order that `seed` decides; ValueError where there are no texts."""

    def __init__(self, rows: TokenRows, batch_size: int, seed: int) -> None:
        if len(rows) == 0:
            raise ValueError("there are no texts to train on: build a corpus with some")
        self.rows, self.batch_size, self.seed = rows, batch_size, seed
        window = WINDOW_BLOCKS * BLOCK_ROWS
        sizes = [min(window, len(rows) - start) for start in range(0, len(rows), window)]
        self._batches_before = np.cumsum([0, *(math.ceil(size / batch_size) for size in sizes)])
        self.steps_a_pass = int(self._batches_before[-1])

    def batches(self, step: int = 0) -> Iterator[RowNumbers]:
        """The rows of each step from one on, without end."""
        number, place = divmod(step, self.steps_a_pass)
        window = int(np.searchsorted(self._batches_before, place, side="right")) - 1
        skipped = place - int(self._batches_before[window])
        while True:
            blocks = self._blocks(number)
            while window < len(self._batches_before) - 1:
                yield from self._window(number, window, blocks)[skipped:]
                window, skipped = window + 1, 0
            number, window = number + 1, 0

    def steps(self, passes: float) -> int:
        """Steps of a run of so many passes, one or more."""
        return max(1, round(self.steps_a_pass * passes))

    def seen(self, passes: float) -> npt.NDArray[np.bool_]:
        """Which of the texts (n,) training sees in so many passes; ValueError where they are not above 0."""
        if not passes > 0:
            raise ValueError(f"passes must be above 0, got {passes:g}")
        is_seen = np.zeros(len(self.rows), dtype=bool)
        for numbers in islice(self.batches(), self.steps(passes)):
            is_seen[numbers] = True
        return is_seen

    def _blocks(self, number: int) -> RowNumbers:
        """The blocks of a pass in order; one of fewer rows is the last, so that passes are alike."""
        whole, rest = divmod(len(self.rows), BLOCK_ROWS)
        order = np.random.default_rng([self.seed, number]).permutation(whole)
        return np.append(order, whole) if rest else order

    def _window(self, number: int, window: int, blocks: RowNumbers) -> list[RowNumbers]:
        """The batches of a window."""
        generator = np.random.default_rng([self.seed, number, window])
        chosen = blocks[window * WINDOW_BLOCKS : (window + 1) * WINDOW_BLOCKS]
        rows = (chosen[:, np.newaxis] * BLOCK_ROWS + np.arange(BLOCK_ROWS)).ravel()
        rows = generator.permutation(rows[rows < len(self.rows)])
        lengths = self.rows.lengths(rows)
        batches: list[RowNumbers] = []
        size = self.batch_size * _BUCKET_BATCHES
        for start in range(0, len(rows), size):
            bucket = rows[start : start + size][np.argsort(lengths[start : start + size], kind="stable")]
            batches += np.split(bucket, range(self.batch_size, len(bucket), self.batch_size))
        return [batches[index] for index in generator.permutation(len(batches))]
