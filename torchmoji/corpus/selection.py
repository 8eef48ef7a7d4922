"""Which texts of all chunks are kept, how often their words occur, and the vocabulary of the most frequent.

Every step takes the chunks' files one after the other and looks at a range of hashes at a time, so memory
does not grow with the number of texts.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchmoji.corpus.chunks import DUPLICATE, HELD_OUT, NEAR_DUPLICATE, TRAINING, VALIDATION, chunk_path
from torchmoji.corpus.duplicates import BUCKETS, Hashes, bucket_ranges, hash_words, repeated_rows
from torchmoji.corpus.shards import ArrayFile, Pieces, about_arrays, save_arrays, write_shard
from torchmoji.create_vocab import WORD_LENGTH_LIMIT
from torchmoji.files.atomic import atomic_write_text, sha256
from torchmoji.filter_utils import is_special_token
from torchmoji.global_variables import SPECIAL_TOKENS, UNKNOWN_ID

SPLITS = {TRAINING: "train", VALIDATION: "validation"}

MOST_KEYS = 1 << 20
"""Keys, or words of chunks, that are compared at once: they take less than a hundred megabytes. There are no
more ranges than buckets, so that from half a billion texts on it is more, in proportion."""

_BUCKET_SHIFT = np.uint64(64 - 12)


class KeyRange(NamedTuple):
    """A task: to find the repeated rows of a range of keys."""

    folder: Path
    number: int
    buckets: tuple[int, int]
    first_rows: list[int]  # of each chunk


def repeated_path(folder: Path, number: int) -> Path:
    """The file of repeated rows of a range of keys."""
    return folder / f"repeated-{number:04d}.arrow"


def key_ranges(folder: Path, chunk_rows: Sequence[int], total_keys: int) -> list[KeyRange]:
    """The tasks of `find_repeated`.

    Args:
        folder: Of the chunks' files.
        chunk_rows: Rows of each chunk.
        total_keys: Keys of all chunks.
    """
    first_rows = np.concatenate([[0], np.cumsum(chunk_rows)])[:-1].astype(int).tolist()
    ranges = bucket_ranges(total_keys, MOST_KEYS)
    return [KeyRange(folder, number, part, first_rows) for number, part in enumerate(ranges)]


def find_repeated(task: KeyRange) -> None:
    """Write the rows that have a key of an earlier row, for a range of keys."""
    path = repeated_path(task.folder, task.number)
    if path.is_file():
        return

    def parts() -> Any:
        for number, first in enumerate(task.first_rows):
            file = ArrayFile(chunk_path(task.folder, number))
            start, end = file["buckets"][list(task.buckets)].tolist()
            yield first, file["keys"][start:end].copy(), file["key_rows"][start:end].copy()

    save_arrays(path, {"rows": repeated_rows(parts())}, {})


class Selection(NamedTuple):
    """A task: to choose among the rows of a chunk."""

    folder: Path
    chunk: int
    first_row: int
    ranges: int  # how many files of repeated rows there are
    nb_classes: int


def selection_path(folder: Path, number: int) -> Path:
    """The file of what is kept of a chunk."""
    return folder / f"kept-{number:06d}.arrow"


def select_rows(task: Selection) -> dict[str, Any]:
    """Choose among the rows of a chunk, count the words of those for training, and write both.

    Returns:
        What is saved with the file: `dropped` texts for both kinds of duplicates, the number of different
        `words`, and for each split `rows`, `samples`, `tokens`, and `labels` of each class.
    """
    path = selection_path(task.folder, task.chunk)
    done = about_arrays(path)
    if done is not None:
        return done
    file = ArrayFile(chunk_path(task.folder, task.chunk))
    flags = file["flags"].copy()
    was_stored = (flags & (DUPLICATE | NEAR_DUPLICATE) == 0) | (flags & HELD_OUT > 0)
    for number in range(task.ranges):
        repeated = ArrayFile(repeated_path(task.folder, number))["rows"]
        borders = np.searchsorted(repeated, [2 * task.first_row, 2 * (task.first_row + len(flags))])
        own = repeated[slice(*borders)] - 2 * task.first_row
        flags[own[own % 2 == 0] // 2] |= DUPLICATE
        flags[own[own % 2 == 1] // 2] |= NEAR_DUPLICATE
    free = flags & HELD_OUT == 0
    duplicate = free & (flags & DUPLICATE > 0)
    near_duplicate = free & (flags & NEAR_DUPLICATE > 0) & ~duplicate
    kept = ~(duplicate | near_duplicate)[was_stored]

    sides, token_counts, label_counts = file["sides"], file["token_counts"], file["label_counts"]
    about: dict[str, Any] = {
        "dropped": {"duplicate": int(duplicate.sum()), "near_duplicate": int(near_duplicate.sum())}
    }
    for side, name in SPLITS.items():
        own = kept & (sides == side)
        labels = file["labels"][np.repeat(own, label_counts)]
        about[name] = {
            "rows": int(own.sum()),
            "samples": len(labels),
            "tokens": int(token_counts[own].sum(dtype=np.int64)),
            "labels": np.bincount(labels, minlength=task.nb_classes).tolist(),
        }
    training = kept & (sides == TRAINING)
    words = file.strings("words").to_pylist()
    counts = np.bincount(file["tokens"][np.repeat(training, token_counts)], minlength=len(words))
    arrays = {"kept": kept.astype(np.uint8), **_counted_words(words, file["word_hashes"], counts)}
    about["words"] = len(arrays["word_counts"])
    save_arrays(path, arrays, about)
    return about


def _counted_words(
    words: Sequence[str], hashes: Hashes, counts: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[Any]]:
    """Hashes, counts and places of the words that may enter a vocabulary, by hash."""
    may_enter = [0 < len(word) <= WORD_LENGTH_LIMIT and not is_special_token(word) for word in words]
    places = np.flatnonzero((counts > 0) & np.array(may_enter, dtype=bool))
    places = places[np.argsort(hashes[places])]
    buckets = np.searchsorted(hashes[places] >> _BUCKET_SHIFT, np.arange(BUCKETS + 1, dtype=np.uint64))
    return {
        "word_hashes": hashes[places],
        "word_counts": counts[places].astype(np.uint32),
        "word_places": places.astype(np.uint32),
        "word_buckets": buckets.astype(np.uint32),
    }


class WordRange(NamedTuple):
    """A task: to find the most frequent words of a range of hashes."""

    folder: Path
    chunks: int
    buckets: tuple[int, int]
    most: int
    min_count: int


class Candidates(NamedTuple):
    """Words, by hash."""

    hashes: Hashes
    counts: npt.NDArray[np.int64]
    chunks: npt.NDArray[np.int64]  # one that has the word
    places: npt.NDArray[np.int64]  # and its place there

    def most_frequent(self, most: int) -> "Candidates":
        """At most so many; of equally frequent ones those with the lower hash."""
        order = np.lexsort((self.hashes, -self.counts))[:most]
        columns: list[Any] = [column[order] for column in self]
        return Candidates(*columns)


def word_ranges(folder: Path, chunks: int, words: int, most: int, min_count: int) -> list[WordRange]:
    """The tasks of `frequent_words`.

    Args:
        folder: Of the chunks' files.
        chunks: How many there are.
        words: Different words of each chunk, summed.
        most: Words wanted.
        min_count: Of a word.
    """
    return [WordRange(folder, chunks, part, most, min_count) for part in bucket_ranges(words, MOST_KEYS)]


def frequent_words(task: WordRange) -> Candidates:
    """The most frequent words of a range of hashes."""
    columns: list[list[npt.NDArray[Any]]] = [[], [], [], []]
    for chunk in range(task.chunks):
        file = ArrayFile(selection_path(task.folder, chunk))
        part = slice(*file["word_buckets"][list(task.buckets)].tolist())
        columns[0].append(file["word_hashes"][part].copy())
        columns[1].append(file["word_counts"][part].astype(np.int64))
        columns[2].append(np.full(part.stop - part.start, chunk))
        columns[3].append(file["word_places"][part].astype(np.int64))
    hashes, counts, chunks, places = (np.concatenate(column) for column in columns)
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]
    starts = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]])[: len(hashes)])
    if not len(starts):
        return Candidates(hashes, counts, chunks, places)
    first = order[starts]
    totals = np.add.reduceat(counts[order], starts)
    enough = totals >= task.min_count
    first, starts, totals = first[enough], starts[enough], totals[enough]
    return Candidates(hashes[starts], totals, chunks[first], places[first]).most_frequent(task.most)


def _merged(parts: Sequence[Candidates]) -> Candidates:
    columns: list[Any] = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Candidates(*columns)


def vocabulary_of(folder: Path, parts: Sequence[Candidates], nb_tokens: int) -> dict[str, int]:
    """The vocabulary: special tokens, then words by frequency, equally frequent ones by their code points.

    Args:
        folder: Of the chunks' files.
        parts: Of all ranges.
        nb_tokens: Entries, at most.
    """
    merged = _merged(parts)
    chosen = merged.most_frequent(nb_tokens - len(SPECIAL_TOKENS))
    words = np.empty(len(chosen.hashes), dtype=object)
    for chunk in np.unique(chosen.chunks).tolist():
        own = np.flatnonzero(chosen.chunks == chunk)
        strings = ArrayFile(chunk_path(folder, chunk)).strings("words")
        words[own] = strings.take(chosen.places[own]).to_pylist()
    ranked = sorted(zip((-chosen.counts).tolist(), words.tolist(), strict=True))
    return {word: index for index, word in enumerate([*SPECIAL_TOKENS, *(word for _, word in ranked)])}


# --- The last step of a corpus: kept rows of all chunks, in order, with the ids of the vocabulary, as shards

SHARD_ROWS = 1 << 18
"""Of a shard, the last one excepted; more where there would be more than `MOST_SHARDS`."""
MOST_SHARDS = 512
MOST_NARROW_IDS = 1 << 16
"""Words up to which ids are uint16."""

_LOOKUP_NAME = "vocabulary.arrow"


def save_lookup(folder: Path, vocabulary: dict[str, int]) -> None:
    """Write what the ids of words are found with."""
    hashes = hash_words(vocabulary)
    order = np.argsort(hashes)
    ids = np.array(list(vocabulary.values()), dtype=np.int64)
    save_arrays(folder / _LOOKUP_NAME, {"hashes": hashes[order], "ids": ids[order]}, {"words": len(ids)})


class _Lookup:
    """Finds the ids of words by their hashes."""

    def __init__(self, folder: Path) -> None:
        file = ArrayFile(folder / _LOOKUP_NAME)
        self._hashes, self._ids = file["hashes"], file["ids"]
        self.ids = int(self._ids.max()) + 1

    def __call__(self, hashes: Hashes) -> npt.NDArray[np.int64]:
        places = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        found: npt.NDArray[np.int64] = np.where(self._hashes[places] == hashes, self._ids[places], UNKNOWN_ID)
        return found


class ShardTask(NamedTuple):
    """A shard to write."""

    folder: Path  # of the chunks' files
    path: Path
    side: int
    pieces: list[tuple[int, int, int]]  # chunk, and from where to where in its kept rows of this side
    has_texts: bool


def shard_tasks(
    folder: Path,
    out: Path,
    side: int,
    chunk_rows: Sequence[int],
    has_texts: bool,
    most_rows: int = SHARD_ROWS,
) -> Iterator[ShardTask]:
    """The tasks of `write_rows` for one side of the split.

    Args:
        folder: Of the chunks' files.
        out: For the shards.
        side: Of the split.
        chunk_rows: Kept rows of each chunk on this side.
        has_texts: Texts were kept.
        most_rows: Rows of a shard.
    """
    ends = np.cumsum(chunk_rows, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    rows = max(most_rows, -(-total // MOST_SHARDS))
    for number, start in enumerate(range(0, total, rows)):
        end = min(start + rows, total)
        first, last = np.searchsorted(ends, [start, end - 1], side="right").tolist()
        pieces = []
        for chunk in range(first, last + 1):
            before = int(ends[chunk]) - chunk_rows[chunk]
            pieces.append((chunk, max(start - before, 0), min(end - before, chunk_rows[chunk])))
        yield ShardTask(folder, out / f"{SPLITS[side]}-{number:05d}.arrow", side, pieces, has_texts)


def write_rows(task: ShardTask) -> dict[str, Any]:
    """Write a shard.

    Returns:
        Its `file` name, `rows`, `bytes`, `sha256` and `unknown` tokens.
    """
    done = task.folder / f"{task.path.stem}.json"
    if done.is_file():
        about: dict[str, Any] = json.loads(done.read_text("utf-8"))
        return about
    lookup = _Lookup(task.folder)
    unknown = 0

    def pieces() -> Iterator[Pieces]:
        nonlocal unknown
        for chunk, start, end in task.pieces:
            piece = _piece(task, lookup, chunk, start, end)
            unknown += int((piece.tokens == UNKNOWN_ID).sum())
            yield piece

    is_narrow = lookup.ids <= MOST_NARROW_IDS
    write_shard(task.path, pieces(), np.uint16 if is_narrow else np.uint32, task.has_texts)
    about = {
        "file": task.path.name,
        "rows": sum(end - start for _, start, end in task.pieces),
        "bytes": task.path.stat().st_size,
        "sha256": sha256(task.path),
        "unknown": unknown,
    }
    atomic_write_text(done, json.dumps(about))
    return about


def _piece(task: ShardTask, lookup: _Lookup, chunk: int, start: int, end: int) -> Pieces:
    file, kept = (
        ArrayFile(chunk_path(task.folder, chunk)),
        ArrayFile(selection_path(task.folder, chunk))["kept"],
    )
    rows = np.flatnonzero((kept == 1) & (file["sides"] == task.side))[start:end]
    wanted = np.zeros(len(kept), dtype=bool)
    wanted[rows] = True
    token_counts, label_counts = file["token_counts"], file["label_counts"]
    ids = lookup(file["word_hashes"])
    return Pieces(
        ids[file["tokens"][np.repeat(wanted, token_counts)]],
        token_counts[rows],
        file["labels"][np.repeat(wanted, label_counts)],
        label_counts[rows],
        file.strings("texts").take(rows) if task.has_texts else None,
    )
