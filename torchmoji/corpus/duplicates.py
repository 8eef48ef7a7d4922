"""Exact and near duplicates among any number of texts, in memory that does not grow with it.

Each text gets keys, 64-bit hashes, and is left out when an earlier text has one of them. One key stands for
all its tokens; the others find near duplicates by MinHash (Broder 1997) with bands (Leskovec, Rajaraman and
Ullman, "Mining of Massive Datasets", chapter 3): a text is the set of its shingles, runs of words; each of
`BANDS` keys stands for the smallest hashes of that set under `BAND_ROWS` hash functions. Two texts that share
a part s of all shingles that either has, have a key in common with the probability 1 - (1 - s^10)^8: 0.97 at
0.9, 0.60 at 0.8, 0.20 at 0.7, 0.008 at 0.5, a ten-millionth at 0.15. The target emojis are part of all keys.

Shingles begin at every word and take two words at least, and more until they have `SHINGLE_CHARACTERS`:
letters beyond ASCII are tokens of their own, and two letters in a row say nothing. The last word is a shingle
as well. Punctuation and special tokens are left out.

Keys are kept in files, sorted; they are compared a range of keys at a time.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BANDS = 8
BAND_ROWS = 10
SHINGLE_CHARACTERS = 8
VALIDATION_WORDS = 10
"""Texts that share their first words, so many, are on the same side of a split."""

BUCKETS = 1 << 12
"""Sorted keys can be found by their highest bits, which are the number of a bucket."""
_BUCKET_SHIFT = np.uint64(64 - 12)

_SEED = 20170801
_FACTOR = 0x9E3779B97F4A7C15
_INVERSE = pow(_FACTOR, -1, 1 << 64)

Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]


def hash_words(words: Iterable[str]) -> Hashes:
    """A hash of each word, the same on every machine."""
    digests = b"".join(hashlib.blake2b(word.encode(), digest_size=8).digest() for word in words)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def mix(values: Hashes) -> Hashes:
    """Spread each number over all 64 bits; the finalizer of SplitMix64 (Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class Rows(NamedTuple):
    """Values of rows of different length, one after the other."""

    values: npt.NDArray[np.uint64]  # (total,)
    counts: Counts  # (rows,)

    @property
    def ends(self) -> Counts:
        """Where each row ends (rows,)."""
        return np.cumsum(self.counts)

    @property
    def owners(self) -> Counts:
        """The row of each value (total,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


class RunHasher:
    """Hashes runs of values, each in the same time however long it is.

    A run's hash is the polynomial sum of v_i F^i modulo 2^64, mixed; prefix sums give it.

    Args:
        values: (total,).
    """

    def __init__(self, values: Hashes) -> None:
        powers = np.full((2, len(values) + 1), 1, dtype=np.uint64)
        powers[0, 1:], powers[1, 1:] = np.uint64(_FACTOR), np.uint64(_INVERSE)
        powers = np.multiply.accumulate(powers, axis=1)
        self._inverse = powers[1]
        self._sums = np.zeros(len(values) + 1, dtype=np.uint64)
        np.add.accumulate(values * powers[0, :-1], out=self._sums[1:])

    def __call__(self, starts: Counts, ends: Counts) -> Hashes:
        """Hash the runs from `starts` to `ends`, exclusive, (n,) each; those of equal values are equal."""
        sums = (self._sums[ends] - self._sums[starts]) * self._inverse[starts]
        return mix(sums + (ends - starts).astype(np.uint64))


def row_hashes(rows: Rows, first: int | None = None) -> Hashes:
    """A hash of each row (rows,), or of its first so many values."""
    ends = rows.ends
    starts = ends - rows.counts
    counts = rows.counts if first is None else np.minimum(rows.counts, first)
    return RunHasher(rows.values)(starts, starts + counts)


def shingles(words: Rows, lengths: npt.NDArray[np.integer]) -> Rows:
    """The hashes of each row's shingles, at least one where there are words.

    Args:
        words: Hashes of the words.
        lengths: Characters of each word (total,).
    """
    total = len(words.values)
    place = np.arange(total)
    characters = np.concatenate([[0], np.cumsum(lengths)])
    ends = np.searchsorted(characters, characters[:-1] + SHINGLE_CHARACTERS)
    ends = np.maximum(ends, place + 2)
    row_ends = np.repeat(words.ends, words.counts)
    # a run that would go beyond its text is none; the last word is one instead
    starts = place[(ends <= row_ends) | (place == row_ends - 1)]
    hashed = RunHasher(words.values)(starts, np.minimum(ends, row_ends)[starts])
    counts = np.bincount(words.owners[starts], minlength=len(words.counts))
    return Rows(hashed, counts)


def _coefficients() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    numbers = np.random.Generator(np.random.PCG64(_SEED)).integers(0, 1 << 32, (2, BANDS * BAND_ROWS))
    return numbers[0].astype(np.uint32), numbers[1].astype(np.uint32) | np.uint32(1)


def band_keys(words: Rows, lengths: npt.NDArray[np.integer]) -> tuple[Hashes, Counts]:
    """MinHash keys.

    Args:
        words: Hashes of the words.
        lengths: Characters of each word (total,).

    Returns:
        Keys (rows with words, `BANDS`), and the numbers of these rows.
    """
    found = shingles(words, lengths)
    # rows with many shingles first, and all rows' first shingles, then all second ones and so on: so the
    # minimum of all rows is taken shingle by shingle, in long vectors
    order = np.argsort(-found.counts, kind="stable")
    counts = found.counts[order]
    order, counts = order[counts > 0], counts[counts > 0]
    keys = np.zeros((len(order), BANDS), dtype=np.uint64)
    if not len(order):
        return keys, order
    sizes = np.searchsorted(-counts, -np.arange(1, counts[0] + 1), side="right")
    starts = (found.ends - found.counts)[order]
    packed = np.concatenate([starts[:size] + number for number, size in enumerate(sizes)])
    values = (found.values[packed] >> np.uint64(32)).astype(np.uint32)
    borders = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    for number, (mask, factor) in enumerate(zip(*_coefficients(), strict=True)):
        hashed = (values ^ mask) * factor
        smallest = hashed[: len(order)]
        for start, end in pairwise(borders[1:]):
            np.minimum(smallest[: end - start], hashed[start:end], out=smallest[: end - start])
        band = keys[:, number // BAND_ROWS]
        band[:] = mix(band * np.uint64(_FACTOR) + smallest + np.uint64(number + 1))
    by_row = np.argsort(order)
    return keys[by_row], order[by_row]


class Keys(NamedTuple):
    """Keys of a chunk, sorted, each once: with the first row that has it."""

    keys: Hashes  # (n,)
    rows: npt.NDArray[
        np.uint32
    ]  # (n,) twice the row's number in the chunk, plus 1 for a near duplicate's key
    buckets: npt.NDArray[np.uint32]  # (BUCKETS + 1,) where each bucket begins


def chunk_keys(
    exact: Hashes, near: tuple[Hashes, Counts] | None
) -> tuple[Keys, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Sort the keys of a chunk.

    Args:
        exact: Of each row (rows,).
        near: See `band_keys`; None where near duplicates are kept.

    Returns:
        The keys, and which rows are duplicates, and near duplicates, of earlier ones of this chunk (rows,).
    """
    keys, rows = exact, np.arange(len(exact)) * 2
    if near is not None:
        keys = np.concatenate([keys, near[0].ravel()])
        rows = np.concatenate([rows, np.repeat(near[1], BANDS) * 2 + 1])
    keys, rows, repeated = _first_of_each(keys, rows)
    buckets = np.searchsorted(keys >> _BUCKET_SHIFT, np.arange(BUCKETS + 1, dtype=np.uint64))
    is_near = repeated & 1 == 1
    duplicate, near_duplicate = np.zeros((2, len(exact)), dtype=bool)
    duplicate[repeated[~is_near] >> 1] = True
    near_duplicate[repeated[is_near] >> 1] = True
    sorted_keys = Keys(keys, rows.astype(np.uint32), buckets.astype(np.uint32))
    return sorted_keys, duplicate, near_duplicate


def _first_of_each(keys: Hashes, rows: Counts) -> tuple[Hashes, Counts, Counts]:
    """Keys sorted, once each, their first rows, and all other rows; rows of a key must be in order."""
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], rows[order]
    is_first = np.ones(len(keys), dtype=bool)
    is_first[1:] = keys[1:] != keys[:-1]
    return keys[is_first], rows[is_first], rows[~is_first]


def bucket_ranges(total_keys: int, most: int) -> list[tuple[int, int]]:
    """Ranges of buckets, together all, so that one has about `most` keys."""
    count = min(BUCKETS, max(1, -(-total_keys // most)))
    borders = [number * BUCKETS // count for number in range(count + 1)]
    return list(pairwise(borders))


def repeated_rows(chunks: Iterator[tuple[int, Hashes, npt.NDArray[np.uint32]]]) -> Counts:
    """Rows that have a key of an earlier one.

    Args:
        chunks: For each chunk, in order, the number of its first row, and a range of its `Keys`.

    Returns:
        Twice the rows' numbers, plus 1 where the key is a near duplicate's; sorted.
    """
    keys, rows = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.int64)]
    for first, part, owners in chunks:
        keys.append(part)
        rows.append(owners.astype(np.int64) + 2 * first)
    _, _, repeated = _first_of_each(np.concatenate(keys), np.concatenate(rows))
    return np.unique(repeated)
