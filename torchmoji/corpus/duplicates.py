"""Finds exact and near duplicates: a text repeats an earlier one with which it shares a key, a 64-bit hash.

The first key stands for all tokens of a text; the others find near duplicates by MinHash (Broder 1997) with
bands (Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3): a text is the set of its
shingles, runs of words; each of `BANDS` keys stands for the smallest hashes of that set under `BAND_ROWS`
hash functions. Two texts that share a part s of all shingles that either has, have a key in common with the
probability 1 - (1 - s^10)^8: 0.97 at 0.9, 0.60 at 0.8, 0.20 at 0.7, 0.008 at 0.5, a ten-millionth at 0.15.
The target emojis are part of all keys (`torchmoji.corpus.chunks`).

Shingles begin at every word and take two words at least, and more until they have `SHINGLE_CHARACTERS`:
letters beyond ASCII are tokens of their own, and two letters in a row say nothing. The last word is a shingle
as well. Punctuation and special tokens are left out.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from torchmoji.corpus.shards import Ragged

BANDS = 8
BAND_ROWS = 10
SHINGLE_CHARACTERS = 8

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


def hash_runs(values: Hashes, starts: Counts, ends: Counts) -> Hashes:
    """Hash runs of values, each in the same time however long it is; equal runs have equal hashes.

    A run's hash is the polynomial sum of v_i F^i modulo 2^64, mixed; prefix sums give it. `values` are
    (total,), `starts` and `ends` (exclusive) of the runs (n,).
    """
    powers = np.full((2, len(values) + 1), 1, dtype=np.uint64)
    powers[0, 1:], powers[1, 1:] = np.uint64(_FACTOR), np.uint64(_INVERSE)
    powers = np.multiply.accumulate(powers, axis=1)
    sums = np.zeros(len(values) + 1, dtype=np.uint64)
    np.add.accumulate(values * powers[0, :-1], out=sums[1:])
    return mix((sums[ends] - sums[starts]) * powers[1][starts] + (ends - starts).astype(np.uint64))


def hash_rows(rows: Ragged, first: int | None = None) -> Hashes:
    """A hash of each row (rows,), or of its first so many values."""
    starts = rows.offsets[:-1]
    counts = rows.counts if first is None else np.minimum(rows.counts, first)
    return hash_runs(rows.values, starts, starts + counts)


def shingles(words: Ragged, lengths: Counts) -> Ragged:
    """The hashes of each row's shingles, at least one where there are words.

    `words` are hashes, `lengths` the characters of each word (total,).
    """
    place = np.arange(len(words.values))
    characters = np.concatenate([[0], np.cumsum(lengths)])
    ends = np.searchsorted(characters, characters[:-1] + SHINGLE_CHARACTERS)
    ends = np.maximum(ends, place + 2)
    row_ends = np.repeat(words.offsets[1:], words.counts)
    # a run that would go beyond its text is none; the last word is one instead
    is_start = (ends <= row_ends) | (place == row_ends - 1)
    hashed = hash_runs(words.values, place[is_start], np.minimum(ends, row_ends)[is_start])
    return Ragged(hashed, words.sums(is_start))


def band_keys(words: Ragged, lengths: Counts) -> Hashes:
    """The MinHash keys (rows, `BANDS`) of rows, each with a word at least; arguments as of `shingles`."""
    runs = shingles(words, lengths)
    keys = np.zeros((len(runs.counts), BANDS), dtype=np.uint64)
    if not len(keys):
        return keys
    starts = runs.offsets[:-1]
    values = (runs.values >> np.uint64(32)).astype(np.uint32)
    generator = np.random.Generator(np.random.PCG64(_SEED))
    functions = generator.integers(0, 1 << 32, (2, BANDS * BAND_ROWS)).astype(np.uint32)
    for number, (mask, factor) in enumerate(functions.T):
        smallest = np.minimum.reduceat((values ^ mask) * (factor | np.uint32(1)), starts)
        band = keys[:, number // BAND_ROWS]
        band[:] = mix(band * np.uint64(_FACTOR) + smallest + np.uint64(number + 1))
    return keys


def find_repeats(keys: Hashes) -> npt.NDArray[np.bool_]:
    """Which texts are duplicates, and which near duplicates alone, of an earlier one (2, texts).

    The keys (texts, any number) are that of all tokens, then those of `band_keys`.
    """
    repeats = np.zeros(keys.shape[::-1], dtype=bool)
    for is_repeat, column in zip(repeats, keys.T, strict=True):
        order = np.argsort(column, kind="stable")
        is_repeat[order[1:]] = column[order[1:]] == column[order[:-1]]
    is_duplicate = repeats[:1].any(axis=0)
    return np.stack([is_duplicate, repeats[1:].any(axis=0) & ~is_duplicate])
