"""The last step of a corpus: kept rows of all chunks, in order, with the ids of the vocabulary, as shards."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchmoji.array_files import ArrayFile, save_arrays
from torchmoji.corpus_chunks import chunk_path
from torchmoji.corpus_selection import SPLITS, selection_path
from torchmoji.duplicates import Hashes, hash_words
from torchmoji.files import atomic_write_text, sha256
from torchmoji.global_variables import UNKNOWN_ID
from torchmoji.shards import Pieces, write_shard

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
