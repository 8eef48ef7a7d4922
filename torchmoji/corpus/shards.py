"""A corpus on disk: shards, Arrow files of token ids and labels; the vocabulary; and the manifest.

A shard is an Arrow IPC file (Feather version 2, uncompressed) with a row for each text: `tokens`, a list of
uint16 or uint32, `labels`, a list of uint16, and `text` where texts were kept. pandas, polars and `datasets`
read it as well. pyarrow is the extra `corpus`.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchmoji.create_vocab import load_vocabulary, rows_of_embedding, spellings_path
from torchmoji.files.atomic import atomic_path, read_json, sha256
from torchmoji.files.columnar import unpacked_size
from torchmoji.global_variables import VOCABULARY_NAME
from torchmoji.runtime.machine import require

BATCH_ROWS = 1 << 16
"""Rows that are written, and found, together."""
SHARD_BATCHES = 4
_PLAIN_NAME = re.compile(r"\w[\w.-]*")  # of a file in the folder of its manifest

Ints = npt.NDArray[np.integer[Any]]

# --- Writing ---


class Ragged(NamedTuple):
    """Rows of different length, one after the other."""

    values: npt.NDArray[Any]  # (total,)
    counts: npt.NDArray[np.int64]  # (rows,)

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Where each row begins, and the last one ends (rows + 1,)."""
        return np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])

    def select(self, chosen: npt.NDArray[np.bool_]) -> "Ragged":
        """The rows that are chosen (rows,)."""
        return Ragged(self.values[np.repeat(chosen, self.counts)], self.counts[chosen])

    def slice(self, start: int, end: int) -> "Ragged":
        """The rows from one on to another, exclusive."""
        offsets = self.offsets
        return Ragged(self.values[offsets[start] : offsets[end]], self.counts[start:end])

    def sums(self, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The sum of other values (total,) for each row (rows,)."""
        sums = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
        return np.diff(sums[self.offsets])

    @classmethod
    def join(cls, parts: Iterable["Ragged"]) -> "Ragged":
        """The rows of all parts."""
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class LabelledRows(NamedTuple):
    """Texts to be written."""

    tokens: Ragged  # ids
    labels: Ragged  # classes
    texts: list[str] | None

    def select(self, chosen: npt.NDArray[np.bool_]) -> "LabelledRows":
        """The rows that are chosen (rows,)."""
        texts = None if self.texts is None else list(compress(self.texts, chosen))
        return LabelledRows(self.tokens.select(chosen), self.labels.select(chosen), texts)

    def slice(self, start: int, end: int) -> "LabelledRows":
        """The rows from one on to another, exclusive."""
        texts = None if self.texts is None else self.texts[start:end]
        return LabelledRows(self.tokens.slice(start, end), self.labels.slice(start, end), texts)


def write_shards(
    folder: Path, split: str, pieces: Iterable[LabelledRows], token_type: type[np.integer[Any]]
) -> list[dict[str, Any]]:
    """Write the shards of a split; the same rows give the same bytes, however they come in pieces.

    The split is "train" or "validation", the type of tokens `np.uint16` or `np.uint32`. Returns for each
    shard its `file` name, `rows`, `bytes` and `sha256`.
    """
    batches = _in_batches(pieces)
    shards: list[dict[str, Any]] = []
    while of_shard := list(islice(batches, SHARD_BATCHES)):
        path = folder / f"{split}-{len(shards):05d}.arrow"
        _write_shard(path, of_shard, token_type)
        rows = sum(len(batch.tokens.counts) for batch in of_shard)
        shards.append({"file": path.name, "rows": rows, "bytes": path.stat().st_size, "sha256": sha256(path)})
    return shards


def _write_shard(path: Path, batches: Sequence[LabelledRows], token_type: type[np.integer[Any]]) -> None:
    pyarrow = require("pyarrow", "corpus", "a corpus")
    fields = [
        pyarrow.field("tokens", pyarrow.list_(pyarrow.from_numpy_dtype(token_type))),
        pyarrow.field("labels", pyarrow.list_(pyarrow.uint16())),
    ]
    if batches[0].texts is not None:
        fields.append(pyarrow.field("text", pyarrow.string()))
    schema = pyarrow.schema(fields)
    with atomic_path(path) as temporary, pyarrow.ipc.new_file(os.fspath(temporary), schema) as writer:
        for tokens, labels, texts in batches:
            columns = [
                pyarrow.ListArray.from_arrays(
                    pyarrow.array(rows.offsets.astype(np.int32)), pyarrow.array(rows.values.astype(dtype))
                )
                for rows, dtype in ((tokens, token_type), (labels, np.uint16))
            ]
            if texts is not None:
                columns.append(pyarrow.array(texts, pyarrow.string()))
            writer.write_batch(pyarrow.record_batch(columns, schema=schema))


def _in_batches(pieces: Iterable[LabelledRows]) -> Iterator[LabelledRows]:
    """Pieces of `BATCH_ROWS` each, the last one of fewer."""
    waiting: list[LabelledRows] = []
    rows = 0
    for piece in pieces:
        waiting.append(piece)
        rows += len(piece.tokens.counts)
        if rows >= BATCH_ROWS:
            joined = _joined(waiting)
            for start in range(0, rows - rows % BATCH_ROWS, BATCH_ROWS):
                yield joined.slice(start, start + BATCH_ROWS)
            waiting = [joined.slice(rows - rows % BATCH_ROWS, rows)]
            rows %= BATCH_ROWS
    if rows:
        yield _joined(waiting)


def _joined(pieces: Sequence[LabelledRows]) -> LabelledRows:
    texts = None
    if pieces[0].texts is not None:
        texts = [text for piece in pieces for text in piece.texts or ()]
    return LabelledRows(
        Ragged.join([piece.tokens for piece in pieces]),
        Ragged.join([piece.labels for piece in pieces]),
        texts,
    )


# --- Reading ---


class RowBatch(NamedTuple):
    """Texts, those of one batch of a file or in memory."""

    tokens: Ints  # (total tokens,)
    token_ends: Ints  # (rows + 1,) where each row begins, and the last one ends
    labels: Ints  # (total labels,)
    label_ends: Ints  # (rows + 1,)


def in_memory(tokens: Sequence[Sequence[int]], labels: Sequence[Sequence[int]]) -> RowBatch:
    """A batch of texts, given as lists of each text's token ids and of its classes."""
    return RowBatch(
        np.array([index for row in tokens for index in row], dtype=np.uint32),
        np.concatenate([[0], np.cumsum([len(row) for row in tokens], dtype=np.int64)]),
        np.array([index for row in labels for index in row], dtype=np.uint16),
        np.concatenate([[0], np.cumsum([len(row) for row in labels], dtype=np.int64)]),
    )


class TokenRows:
    """The texts of several batches, by their number; nothing is read before it is asked for."""

    def __init__(self, batches: Sequence[RowBatch]) -> None:
        self._batches = list(batches)
        self._starts = np.concatenate([[0], np.cumsum([len(batch.token_ends) - 1 for batch in batches])])

    @classmethod
    def join(cls, parts: Iterable["TokenRows"]) -> "TokenRows":
        """The texts of all, one after the other."""
        return cls([batch for part in parts for batch in part._batches])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def lengths(self, rows: Ints) -> npt.NDArray[np.int64]:
        """How many tokens rows have (n,)."""
        return self._counts(rows, "token_ends")

    def label_counts(self, rows: Ints) -> npt.NDArray[np.int64]:
        """How many labels rows have (n,)."""
        return self._counts(rows, "label_ends")

    def _counts(self, rows: Ints, column: str) -> npt.NDArray[np.int64]:
        counts = np.zeros(len(rows), dtype=np.int64)
        for batch, chosen, places in self._by_batch(rows):
            ends = getattr(batch, column)
            counts[chosen] = ends[places + 1] - ends[places]
        return counts

    def _by_batch(self, rows: Ints) -> Iterator[tuple[RowBatch, Any, npt.NDArray[np.int64]]]:
        """For each batch that has some of the rows: it, which of the rows, and their places in it."""
        numbers = np.searchsorted(self._starts, rows, side="right") - 1
        order = np.argsort(numbers, kind="stable")
        borders = np.flatnonzero(np.diff(numbers[order], prepend=-1))
        for start, end in pairwise([*borders, len(order)]):
            chosen = order[start:end]
            number = int(numbers[chosen[0]])
            yield self._batches[number], chosen, np.asarray(rows)[chosen] - self._starts[number]

    def token_ids(self, rows: Ints, max_length: int | None = None) -> npt.NDArray[np.int64]:
        """Ids of rows (n,), padded with zeros and cut after `max_length` tokens (n, longest)."""
        lengths = self.lengths(rows)
        if max_length is not None:
            lengths = np.minimum(lengths, max_length)
        ids = np.zeros((len(rows), int(lengths.max(initial=0))), dtype=np.int64)
        for batch, chosen, places in self._by_batch(rows):
            row, column = _spread(lengths[chosen])
            ids[chosen[row], column] = batch.tokens[batch.token_ends[places][row] + column]
        return ids

    def labels(self, rows: Ints) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The labels of rows (n,), in their order: the row's place in `rows`, and the class (labels,)."""
        counts = self.label_counts(rows)
        ends = np.cumsum(counts)
        classes = np.zeros(int(counts.sum()), dtype=np.int64)
        for batch, chosen, places in self._by_batch(rows):
            row, column = _spread(counts[chosen])
            classes[(ends - counts)[chosen][row] + column] = batch.labels[
                batch.label_ends[places][row] + column
            ]
        return np.repeat(np.arange(len(rows)), counts), classes


def _spread(counts: Ints) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row and column of each entry of rows with so many entries (total,)."""
    ends = np.cumsum(counts)
    return np.repeat(np.arange(len(counts)), counts), np.arange(ends[-1] if len(ends) else 0) - np.repeat(
        ends - counts, counts
    )


def map_shard(path: str | os.PathLike[str]) -> Iterator[RowBatch]:
    """The batches of a shard, mapped into memory; FileNotFoundError if missing, ValueError if damaged."""
    for batch in _record_batches(path):
        tokens, labels = batch.column("tokens"), batch.column("labels")
        arrays = [tokens.values, tokens.offsets, labels.values, labels.offsets]
        if any(array.null_count for array in arrays):
            raise ValueError(f"{os.fspath(path)} has rows with holes: build the corpus again")
        yield RowBatch(*(array.to_numpy() for array in arrays))


def _record_batches(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Arrow's batches of a shard, whose columns and offsets are those that `write_shards` writes."""
    pyarrow = require("pyarrow", "corpus", "a corpus")
    batches = []
    try:
        source = pyarrow.memory_map(os.fspath(path))
        if source.read(8) != b"ARROW1\0\0":
            raise ValueError("it is no Arrow file")
        messages = iter(pyarrow.ipc.MessageReader.open_stream(source))
        first = next(messages)
        if first.type != "schema":  # which pyarrow takes for one and reads where nothing is
            raise ValueError(f"it begins with {first.type}")
        schema = pyarrow.ipc.read_schema(first)
        columns = {name: str(schema.field(name).type) for name in schema.names}
        is_list = columns.get("tokens") in ("list<item: uint16>", "list<item: uint32>")
        text = columns.get("text", "string")
        if not (is_list and columns.get("labels") == "list<item: uint16>" and text == "string"):
            raise ValueError(f"its columns are {columns}")
        for message in messages:
            if message.type != "record batch":
                raise ValueError(f"it has {message.type} among its batches")
            if unpacked_size(message) is not None:
                raise ValueError("it is compressed")
            batch = pyarrow.ipc.read_record_batch(message, schema)
            batch.validate(full=True)
            if any(batch.column(name).null_count for name in columns):
                raise ValueError("it has empty cells")
            batches.append(batch)
    except Exception as error:  # changed bytes make pyarrow raise nearly anything, such as a bare OSError
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{os.fspath(path)} is no shard or damaged ({reason[:300]}): build the corpus again"
        ) from error
    yield from batches


def shard_texts(paths: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    """The texts of shards, in order; FileNotFoundError if missing, ValueError if damaged or not kept."""
    for path in paths:
        for batch in _record_batches(path):
            if "text" not in batch.schema.names:
                raise ValueError(f"{os.fspath(path)} has no texts: build the corpus with --keep-text")
            yield from batch.column("text").to_pylist()


# --- The folder ---

MANIFEST_NAME = "manifest.json"
FILE_NAMES = re.compile(
    r"(?:train|validation)-\d{5,}\.arrow|vocabulary(?:\.spellings)?\.json|manifest\.json", re.ASCII
)
"""Names of a corpus's files."""
FORMAT = "torchmoji-corpus"
FORMAT_VERSION = 1
_FILE = {"file": str, "sha256": str}
_SPLIT = {"rows": int, "emojis": {str: int}, "shards": [_FILE | {"rows": int, "bytes": int}]}
_MANIFEST = {
    "format": str,
    "format_version": int,
    "classes": [str],
    "settings": dict,
    "inputs": [{"name": str}],
    "counts": {"texts": int, "dropped": {str: int}},
    "splits": {"train": _SPLIT, "validation": _SPLIT},
    "vocabulary": _FILE,
}
"""The types of what is read of a manifest; it has more."""


def _misfit(value: Any, shape: Any, name: str) -> str | None:
    """The name of the first part of a JSON value that has not the type of `shape`, if there is one."""
    if shape is int:
        return None if type(value) is int and 0 <= value < 1 << 63 else name
    if isinstance(shape, type):
        return None if isinstance(value, shape) else name
    if not isinstance(value, type(shape)):
        return name
    if isinstance(shape, list):
        parts = [(entry, shape[0], f"{name}[{place}]") for place, entry in enumerate(value)]
    elif str in shape:
        parts = [(entry, shape[str], f"{name}.{key}") for key, entry in value.items()]
    else:
        parts = [(value.get(key), inner, f"{name}.{key}") for key, inner in shape.items()]
    return next((found for part in parts if (found := _misfit(*part))), None)


def _read_manifest(path: Path) -> dict[str, Any]:
    """The manifest, whose parts have the right types, and which names no file outside its folder.

    ValueError where it is damaged or of another version.
    """
    try:
        manifest: dict[str, Any] = read_json(path)
        if wrong := _misfit(manifest, _MANIFEST, "it"):
            raise ValueError(f"{wrong} is missing or of another type")
        if (manifest["format"], manifest["format_version"]) != (FORMAT, FORMAT_VERSION):
            raise ValueError(f"its format is {manifest['format']} {manifest['format_version']}")
        splits = manifest["splits"].values()
        if any(list(split["emojis"]) != manifest["classes"] for split in splits):
            raise ValueError("its counts are of other emojis than its classes")
        for name in (shard["file"] for split in splits for shard in split["shards"]):
            if not _PLAIN_NAME.fullmatch(name):
                raise ValueError(f"it names the file {name!r}, which is not in the folder")
    except ValueError as error:
        raise ValueError(
            f"{path} is not the manifest of a corpus of version {FORMAT_VERSION} ({str(error)[:300]}): "
            "build the corpus again"
        ) from error
    return manifest


@dataclass(frozen=True)
class Corpus:
    """Texts as token ids, for training.

    Attributes:
        folder: Where it is.
        manifest: Counts, rules, versions and checksums.
    """

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Corpus":
        """Open a folder that `torchmoji.corpus.build.build_corpus` wrote, and compare all files' SHA-256.

        Raises:
            FileNotFoundError: There is no corpus, or not the whole of it.
            ValueError: The manifest is damaged or of another version, it names a file outside the folder, or
                a file is not the one that was built.
        """
        folder = Path(folder)
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise FileNotFoundError(
                f"{folder} has no {MANIFEST_NAME}: it is no corpus, or its building was interrupted; "
                "the same `torchmoji build-corpus` goes on with it"
            )
        manifest = _read_manifest(path)
        shards = [shard for split in manifest["splits"].values() for shard in split["shards"]]
        files = {folder / shard["file"]: shard for shard in shards}
        vocabulary = folder / VOCABULARY_NAME
        files[vocabulary] = manifest["vocabulary"]
        spellings = spellings_path(vocabulary)
        if "spellings" in manifest or spellings.exists():
            files[spellings] = manifest.get("spellings")
        for file, about in files.items():
            if not file.is_file():
                raise FileNotFoundError(f"{file} is missing: build the corpus again, or copy the file")
            size = file.stat().st_size
            if "bytes" in (about or ()) and size != about["bytes"]:
                raise ValueError(f"{file} has {size} bytes, not {about['bytes']}: copy it again")
            if not isinstance(about, dict) or about.get("sha256") != sha256(file):
                raise ValueError(
                    f"{file} is not the file that was built, for its SHA-256 is not that in {MANIFEST_NAME}: "
                    "copy it again, or build the corpus again"
                )
        return cls(folder, manifest)

    @property
    def classes(self) -> list[str]:
        """The emojis, in the order of the labels."""
        return list(self.manifest["classes"])

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Word -> id."""
        return load_vocabulary(self.folder / VOCABULARY_NAME)

    @property
    def nb_tokens(self) -> int:
        """Ids of the vocabulary, in which a hashtag may share its word's: a model's embeddings."""
        return rows_of_embedding(self.vocabulary)

    def shard_paths(self, split: str) -> list[Path]:
        """The shards of "train" or "validation", in order."""
        return [self.folder / shard["file"] for shard in self.manifest["splits"][split]["shards"]]

    def rows(self, split: str) -> TokenRows:
        """The texts of "train" or "validation".

        Raises:
            FileNotFoundError: A shard is missing.
            ValueError: A shard is damaged, has ids that are not in the vocabulary or the classes, or
                texts that are not those of the manifest.
        """
        if split not in self._rows:
            limits = self.nb_tokens, len(self.classes)
            batches = []
            for path in self.shard_paths(split):
                for batch in map_shard(path):
                    for ids, limit in zip((batch.tokens, batch.labels), limits, strict=True):
                        if ids.max(initial=0) >= limit:
                            raise ValueError(
                                f"{path} has the id {ids.max()} of {limit}: build the corpus again"
                            )
                    batches.append(batch)
            rows = TokenRows(batches)
            about = self.manifest["splits"][split]
            if len(rows) != about["rows"] or not all(np.diff(batch.label_ends).all() for batch in batches):
                raise ValueError(
                    f"{self.folder}: the {split} texts are not the {about['rows']} of the manifest, each "
                    "with an emoji: build the corpus again"
                )
            self._rows[split] = rows
        return self._rows[split]

    @cached_property
    def _rows(self) -> dict[str, TokenRows]:
        return {}

    def class_counts(self, split: str) -> list[int]:
        """How many texts of a split have each class."""
        return list(self.manifest["splits"][split]["emojis"].values())
