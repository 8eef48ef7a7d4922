"""Labelled texts from files: DeepMoji's benchmark pickles, and tables.

The 2017 package read the benchmark files, Python 2 pickles, with `pickle.load`, which runs whatever code a
file asks for. Here an unpickler admits numpy arrays of numbers and plain containers and refuses the rest.
Tables (CSV, TSV, JSON, Parquet) are new. `torchmoji.finetuning.load_benchmark` turns what is read here into
token ids.
"""

import codecs
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchmoji.files.tables import READABLE, SPREADSHEETS, Table, ending, open_table

SPLIT_NAMES = {"train": 0, "val": 1, "validation": 1, "valid": 1, "dev": 1, "test": 2}
VALIDATION_SHARE = 0.1
TEST_SHARE = 0.2

_TABLES = tuple(kind for kind in READABLE if kind != ".txt")


@dataclass(frozen=True)
class LabelledTexts:
    """A data set before tokenization.

    Args:
        texts: n texts.
        labels: int64, (n,) class numbers, or (n, C) of 0 and 1 where a text may have several classes.
        split: Row numbers of the training, validation and test part.
        classes: The name of each class number; None where the file numbers its classes itself.
    """

    texts: list[str]
    labels: npt.NDArray[np.int64]
    split: list[list[int]]
    classes: list[str] | None = None

    def part(self, rows: Sequence[int]) -> tuple[list[str], npt.NDArray[Any]]:
        """The texts and labels of some rows; labels are names where the file has a name for each text."""
        labels: npt.NDArray[Any] = self.labels[list(rows)]
        if self.classes is not None and labels.ndim == 1:
            labels = np.array(self.classes)[labels]
        return [self.texts[row] for row in rows], labels


def read_labelled_texts(
    path: str | os.PathLike[str],
    *,
    seed: int = 42,
    needs_split: bool = True,
    encoding: str | None = None,
    text_column: str = "text",
    label_column: str = "label",
    parts: Sequence[str] = ("train", "val", "test"),
) -> LabelledTexts:
    """Read a data set.

    A table (`.csv`, `.tsv`, `.jsonl`, `.json`, each also with `.gz`, or `.parquet`; see
    `torchmoji.files.tables.open_table`) has the columns `text`, `label` and, optionally, `split`. Any other
    file is a benchmark pickle: a dict of `texts`, `info` (a list of dicts with `label`), `train_ind`,
    `val_ind`, `test_ind`.

    `split` is train, val (or validation, valid, dev) or test; without it rows are split at random, 70%, 10%,
    20%, every class by these shares as far as its number of rows allows. Labels that are all integers are
    kept; names become numbers by their sorted order. In JSON and Parquet a label may also be a list: a vector
    of 0 and 1 where all lists have the same length of two or more and hold nothing else, otherwise the text's
    classes.

    Args:
        path: The file.
        seed: Of the random split.
        needs_split: Without it all rows of a file that has no split are the test part.
        encoding: Of a table of text; by default UTF-8.
        text_column: Of a table, in place of `text`.
        label_column: Of a table, in place of `label`.
        parts: Those of a marked split that must have rows.

    Raises:
        ValueError: The file is not what is described here; the message gives the line or row.
    """
    path = Path(path)
    if ending(path) not in (*_TABLES, *SPREADSHEETS):  # the latter are refused as tables
        return _read_pickle(path)
    names = (text_column, label_column)
    with open_table(path, encoding=encoding, only=(*names, "split")) as table:
        rows = list(_labelled_rows(table, names))
        is_text = table.kind in (".csv", ".tsv")
    if not rows:
        raise ValueError(f"{path} has no rows of data")
    labels, classes = _encode_labels(path, rows, is_text)
    if rows[0].split is not None:
        split = _marked_split(path, rows, parts)
    elif needs_split:
        split = _random_split(path, labels, seed)
    else:
        split = [[], [], list(range(len(rows)))]
    return LabelledTexts([row.text for row in rows], labels, split, classes)


# --- tables -----------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    line: int
    text: str
    label: Any
    split: int | None
    """0 training, 1 validation, 2 test; None where the file has no column `split`."""


def _labelled_rows(table: Table, names: tuple[str, str]) -> Iterator[_Row]:
    has_split = "split" in map(str.strip, table.columns)
    if table.has_header:
        _check_columns(f"{table.name}, line 1", table.columns, names)
    for line, cells in table:
        where = f"{table.name}, line {line}"
        row = {name.strip(): value for name, value in cells.items()}
        _check_columns(where, row, names)
        text, label = (row[name] for name in names)
        if not isinstance(text, str):
            raise ValueError(f"{where}: text is {text!r}, not a string")
        if table.kind in (".csv", ".tsv"):
            label = (label or "").strip()
            if not label:
                raise ValueError(f"{where}: label is empty")
        if ("split" in row) != has_split:
            raise ValueError(f"{where}: split must be on every line or on none")
        yield _Row(line, text, label, _split_number(where, row["split"]) if has_split else None)


def _check_columns(where: str, columns: Iterable[str], needed: tuple[str, str]) -> None:
    names = [name.strip() for name in columns]
    missing = [name for name in needed if name not in names]
    if missing:
        raise ValueError(
            f"{where}: no {' and no '.join(missing)} among {', '.join(names) or 'nothing'}; "
            f"needed are {' and '.join(needed)} (others by text_column=, label_column=), optional is split"
        )


def _split_number(where: str, value: Any) -> int:
    number = SPLIT_NAMES.get(value.strip().lower()) if isinstance(value, str) else None
    if number is None:
        raise ValueError(f"{where}: split is {value!r}; it must be one of {', '.join(SPLIT_NAMES)}")
    return number


def _encode_labels(
    path: Path, rows: list[_Row], is_text: bool
) -> tuple[npt.NDArray[np.int64], list[str] | None]:
    """Class numbers (n,) or 0/1 vectors (n, C), and the names of the classes where labels are names."""
    values = [row.label for row in rows]
    if is_text and all(re.fullmatch(r"[+-]?[0-9]+", value) for value in values):
        values = [int(value) for value in values]
    if all(isinstance(value, list) for value in values):
        return _encode_lists(path, rows)
    kind = str if isinstance(values[0], str) else int
    for row, value in zip(rows, values, strict=True):
        if not isinstance(value, kind):
            raise ValueError(
                f"{path}, line {row.line}: label is {value!r}; all must be integers, or names, or lists"
            )
    if kind is int:
        return np.array(values, dtype=np.int64), None
    classes = sorted(set(values))
    number = {name: i for i, name in enumerate(classes)}
    return np.array([number[value] for value in values], dtype=np.int64), classes


def _encode_lists(path: Path, rows: list[_Row]) -> tuple[npt.NDArray[np.int64], list[str] | None]:
    """Vectors of 0 and 1 as they are; lists of class numbers or names as such vectors."""
    members = [member for row in rows for member in row.label]
    if not members:
        raise ValueError(f"{path}: every label is an empty list; at least one text must have a class")
    kind = str if isinstance(members[0], str) else int
    for row in rows:
        for member in row.label:
            if not isinstance(member, kind) or (isinstance(member, int) and member < 0):
                raise ValueError(
                    f"{path}, line {row.line}: label holds {member!r}; lists must hold class numbers from 0, "
                    "0 and 1 alone, or names"
                )
    lengths = {len(row.label) for row in rows}
    if kind is int and set(members) <= {0, 1} and len(lengths) == 1 and lengths != {1}:
        return np.array([row.label for row in rows], dtype=np.int64), None
    classes = sorted(set(members)) if kind is str else None
    column = {name: i for i, name in enumerate(classes or range(max(members) + 1))}
    labels = np.zeros((len(rows), len(column)), dtype=np.int64)
    for i, row in enumerate(rows):
        labels[i, [column[member] for member in row.label]] = 1
    return labels, classes


def _marked_split(path: Path, rows: list[_Row], parts: Sequence[str]) -> list[list[int]]:
    split = [[i for i, row in enumerate(rows) if row.split == part] for part in range(3)]
    for name in parts:
        if not split[SPLIT_NAMES[name]]:
            raise ValueError(f"{path}: no row has the split {name!r}; mark some rows so, or leave split out")
    return split


def _random_split(path: Path, labels: npt.NDArray[np.int64], seed: int) -> list[list[int]]:
    """Split at random, each class (for lists: each set of classes) evenly where it has enough rows.

    The k-th of a class's m rows, in random order, gets the rank (k + 1/2) / m; cutting the rows, ordered by
    rank, at 70 % and 80 % cuts every class there.
    """
    n = len(labels)
    if n < 3:
        raise ValueError(f"{path} has {n} rows; training, validation and test need one each, so at least 3")
    random = np.random.default_rng(seed)
    _, kinds = np.unique(labels, axis=0, return_inverse=True)
    kinds = kinds.reshape(n)
    rank = np.empty(n)
    for kind in range(kinds.max() + 1):
        members = np.flatnonzero(kinds == kind)
        rank[random.permutation(members)] = (np.arange(len(members)) + 0.5) / len(members)
    order = np.lexsort((random.random(n), rank))
    n_validation, n_test = max(1, round(VALIDATION_SHARE * n)), max(1, round(TEST_SHARE * n))
    n_train = n - n_validation - n_test
    return [part.tolist() for part in np.split(order, [n_train, n_train + n_validation])]


# --- benchmark pickles of Python 2 ------------------------------------------------------------------------


class _NumberDtype:
    """`numpy.dtype` for booleans, numbers and object arrays; without attributes that a pickle could set."""

    __slots__ = ()

    def __call__(self, code: str | bytes, align: bool = False, copy: bool = False) -> np.dtype[Any]:
        name = code.decode("ascii") if isinstance(code, bytes) else code
        if not re.fullmatch(r"[<>=|]?(?:b1|[iuf][1248]|O8?)", name):
            raise pickle.UnpicklingError(f"it has a numpy array of type {name!r}, not of numbers")
        return np.dtype(name)


_NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")  # numpy 1 and 2
_BUILTIN_MODULES = ("__builtin__", "builtins")  # Python 2 and 3
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _NumberDtype(),
    # numpy's own functions, taken from objects that are rebuilt by them
    **{(module, "_reconstruct"): np.zeros(0).__reduce__()[0] for module in _NUMPY_MODULES},
    **{(module, "scalar"): np.int64(0).__reduce__()[0] for module in _NUMPY_MODULES},
    **{(module, kind.__name__): kind for module in _BUILTIN_MODULES for kind in (set, frozenset)},
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): codecs.encode,  # how Python 3 writes bytes for Python 2
}


class _DataUnpickler(pickle.Unpickler):
    """An unpickler for data only."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it wants {module}.{name}, which is neither a number nor a container"
            ) from None


def _read_pickle(path: Path) -> LabelledTexts:
    with path.open("rb") as stream:
        try:
            # As bytes, so that the raw memory of numbers stays as it is; texts are decoded below.
            data = _DataUnpickler(stream, encoding="bytes").load()
        except Exception as error:  # a damaged pickle can raise nearly anything
            raise ValueError(
                f"{path} is not a benchmark pickle ({error}); give data of your own as .csv or .jsonl"
            ) from error
    data = _with_text_keys(path, data)
    missing = [key for key in ("texts", "info", "train_ind", "val_ind", "test_ind") if key not in data]
    if missing:
        raise ValueError(
            f"{path}: no {' and no '.join(missing)} among {', '.join(sorted(data)) or 'nothing'}"
        )
    texts = [_decode(path, i, text) for i, text in enumerate(data["texts"])]
    if len(data["info"]) != len(texts):
        raise ValueError(f"{path}: {len(texts)} texts, but {len(data['info'])} entries of info")
    labels = _pickled_labels(path, data["info"])
    split = [[int(i) for i in data[key]] for key in ("train_ind", "val_ind", "test_ind")]
    for i in (i for part in split for i in part):
        if not 0 <= i < len(texts):
            raise ValueError(
                f"{path}: the split names row {i}, but there are rows 0 to {len(texts) - 1} only"
            )
    return LabelledTexts(texts, labels, split)


def _with_text_keys(path: Path, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds a {type(value).__name__}, not a dict of texts, info and the split")
    return {key.decode("utf-8") if isinstance(key, bytes) else str(key): item for key, item in value.items()}


def _decode(path: Path, row: int, text: Any) -> str:
    """A text of Python 2: `unicode`, or `str` holding UTF-8."""
    if isinstance(text, str):
        return text
    try:
        return bytes.decode(text, "utf-8")
    except (TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}, row {row}: {text!r} is not a text in UTF-8") from error


def _pickled_labels(path: Path, info: Sequence[Any]) -> npt.NDArray[np.int64]:
    entries = [_with_text_keys(path, entry) for entry in info]
    for i, entry in enumerate(entries):
        if "label" not in entry:
            raise ValueError(f"{path}, row {i}: info has no label")
    try:
        return np.array([entry["label"] for entry in entries]).astype(np.int64, casting="safe")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: labels must be integers or vectors of one length ({error})") from error
