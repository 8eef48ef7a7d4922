"""Labelled texts from files: DeepMoji's benchmark pickles, and tables.

The 2017 package read the benchmark files, Python 2 pickles, with `pickle.load`, which runs whatever code a
file asks for. Here an unpickler makes numbers, texts, lists and dicts of what is in the file and refuses the
rest. Tables (CSV, TSV, JSON, Parquet) are new. `torchmoji.finetuning.load_benchmark` turns what is read here
into token ids.
"""

import io
import logging
import math
import os
import pickle
import pickletools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from reprlib import repr as short
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchmoji.files.tables import DELIMITED, NOT_READ, READABLE, Table, ending, open_table

logger = logging.getLogger(__name__)

SPLIT_NAMES = {"train": 0, "val": 1, "validation": 1, "valid": 1, "dev": 1, "test": 2}
VALIDATION_SHARE = 0.1
TEST_SHARE = 0.2
MOST_CLASSES = 10_000
"""Of texts with several classes each: a column for every class is kept in memory."""
LONGEST_LABEL = 1000
"""Characters of a class's name."""
MOST_CELLS = 1 << 25
"""Texts times classes, where they have several: a quarter of a gigabyte."""
MOST_CHARACTERS = 1 << 29
"""Of all texts together, which are kept in memory."""
LARGEST_PICKLE = 1 << 26  # bytes
MOST_INSTRUCTIONS = 1 << 21
"""Of a pickle, some twenty for a text: one of a byte can take 200 bytes in memory."""

_TABLES = tuple(kind for kind in READABLE if kind != ".txt")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_KINDS = "all must be integers, or names, or lists"


@dataclass(frozen=True)
class LabelledTexts:
    """A data set before tokenization.

    Args:
        texts: n texts.
        labels: int64, (n,) class numbers, or (n, C) of 0 and 1 where a text may have several classes.
        split: Row numbers of the training, validation and test part.
        classes: The name of each class number; None where the file numbers its classes itself.
        path: The file, for messages.
        has_split: Whether the file itself says what the parts are.
    """

    texts: list[str]
    labels: npt.NDArray[np.int64]
    split: list[list[int]]
    classes: list[Any] | None = None
    path: str = ""
    has_split: bool = False

    def part(self, rows: Sequence[int]) -> tuple[list[str], npt.NDArray[Any]]:
        """The texts and labels of some rows; labels are names where the file has a name for each text."""
        rows = [int(row) for row in rows]
        labels: npt.NDArray[Any] = self.labels[rows]
        if self.classes is not None and labels.ndim == 1:
            labels = np.array(self.classes)[labels]
        return [self.texts[row] for row in rows], labels

    @property
    def label_names(self) -> list[Any] | None:
        """The names of the columns of `labels` (n, C), for `TorchMojiClassifier.fit`, or None."""
        return self.classes if self.labels.ndim == 2 else None

    def class_counts(self) -> dict[Any, int]:
        """Class, by its name where there is one -> how many texts have it; in the order of the classes."""
        if self.labels.ndim == 2:
            names = self.classes or range(self.labels.shape[1])
            return dict(zip(names, self.labels.sum(0).tolist(), strict=True))
        numbers, counts = np.unique(self.labels, return_counts=True)
        names = numbers.tolist() if self.classes is None else [self.classes[n] for n in numbers]
        return dict(zip(names, counts.tolist(), strict=True))

    def for_classes(self, classes: Sequence[Any], multi_label: bool = False) -> "LabelledTexts":
        """The same texts, with the class numbers, or columns, of a classifier that knows these classes.

        Args:
            classes: The classifier's, in its order; `TorchMojiClassifier.classes_`.
            multi_label: Whether it gives several for a text.

        Raises:
            ValueError: The texts have a class that it does not know, or several where it gives one, or one
                where it gives several.
        """
        if multi_label != (self.labels.ndim == 2):
            one, other = "several labels", "one label"
            if multi_label:
                one, other = other, one
            raise ValueError(
                f"{self.path} has {one} for a text, the model gives {other}: score it on data of its own kind"
            )
        known = {str(name): number for number, name in enumerate(list(classes))}
        counts = self.class_counts()
        unknown = [name for name, count in counts.items() if count and str(name) not in known]
        if unknown:
            raise ValueError(
                f"{self.path} has the labels {short(unknown)}, the model knows {short([*known])}"
            )
        if multi_label:
            labels = np.zeros((len(self.texts), len(known)), dtype=np.int64)
            for column, name in enumerate(counts):
                if str(name) in known:
                    labels[:, known[str(name)]] = self.labels[:, column]
        else:
            numbers = {name: known[str(name)] for name in counts}
            names = self.labels.tolist() if self.classes is None else [self.classes[n] for n in self.labels]
            labels = np.array([numbers[name] for name in names], dtype=np.int64)
        return replace(self, labels=labels, classes=list(classes))


def read_labelled_texts(
    path: str | os.PathLike[str],
    *,
    seed: int = 42,
    needs_split: bool = True,
    encoding: str | None = None,
    text_column: str = "text",
    label_column: str = "label",
) -> LabelledTexts:
    """Read a data set.

    A table (`.csv`, `.tsv`, `.jsonl`, `.json`, each also with `.gz`, or `.parquet`; see
    `torchmoji.files.tables.open_table`) has the columns `text`, `label` and, optionally, `split`. Any other
    file is a benchmark pickle: a dict of `texts`, `info` (a list of dicts with `label`), `train_ind`,
    `val_ind`, `test_ind`.

    `split` is train, val (or validation, valid, dev) or test; without it rows are split at random, 70%, 10%,
    20%, every class by these shares as far as its number of rows allows. Where no row is val, a tenth of the
    training rows is. Labels that are all whole numbers, also written 1.0, are kept; names, without the blanks
    around them, become numbers by their sorted order. In JSON and Parquet a label may also be a list: a
    vector of 0 and 1 where all lists have the same length of two or more and hold nothing else, otherwise the
    text's classes. The classes and their numbers of texts are logged.

    Args:
        path: The file.
        seed: Of the random split.
        needs_split: Without it all rows of a file that has no split are the test part, and a part may be
            empty.
        encoding: Of a table of text; by default UTF-8.
        text_column: Of a table, in place of `text`.
        label_column: Of a table, in place of `label`.

    Raises:
        ValueError: The file is not what is described here, or a label is missing; the message gives the line
            or row.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file in it")
    if ending(path) not in (*_TABLES, *NOT_READ):  # the latter are refused as tables
        data = _read_pickle(path)
    else:
        names = (text_column, label_column)
        with open_table(path, encoding=encoding, only=(*names, "split")) as table:
            rows = list(_labelled_rows(table, names))
            is_text = table.kind in DELIMITED
        if not rows:
            raise ValueError(f"{path} has no rows of data")
        labels, classes = _encode_labels(path, rows, is_text)
        if rows[0].split is not None:
            split = _marked_split(path, rows, labels, seed, needs_split)
        elif needs_split:
            split = _random_split(path, labels, seed)
        else:
            split = [[], [], list(range(len(rows)))]
        data = LabelledTexts(
            [row.text for row in rows], labels, split, classes, str(path), rows[0].split is not None
        )
    counts = ", ".join(f"{name} {count}" for name, count in islice(data.class_counts().items(), 100))
    logger.info("%s: %d texts, with the class %s", path, len(data.texts), counts)
    return data


# --- tables -----------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    line: int
    text: str
    label: Any
    split: int | None
    """0 training, 1 validation, 2 test; None where the file has no column `split`."""


def _labelled_rows(table: Table, names: tuple[str, str]) -> Iterator[_Row]:
    has_split = "split" in map(str.strip, table.columns)
    similar = [name for name in table.columns if name.strip().lower() == "split" and name.strip() != "split"]
    if similar and not has_split:
        raise ValueError(
            f"{table.name} has a column {similar[0]!r}: call it split where it says train, val and test of "
            "each row, and something else where it does not"
        )
    total = 0
    if table.has_header:
        _check_columns(f"{table.name}, line 1", table.columns, names)
    for line, cells in table:
        where = f"{table.name}, line {line}"
        row = {name.strip(): value for name, value in cells.items()}
        _check_columns(where, row, names)
        text, label = (row[name] for name in names)
        if not isinstance(text, str):
            raise ValueError(f"{where}: text is {short(text)}, not a string")
        total += len(text)
        if total > MOST_CHARACTERS:
            raise ValueError(
                f"{where}: the texts have more than {MOST_CHARACTERS} characters: give fewer or shorter ones"
            )
        if isinstance(label, list) and len(label) > MOST_CLASSES:
            raise ValueError(f"{where}: label has {len(label)} members, {MOST_CLASSES} at most")
        for name in label if isinstance(label, list) else [label]:
            if isinstance(name, str) and len(name) > LONGEST_LABEL:
                raise ValueError(f"{where}: label is {short(name)}, of more than {LONGEST_LABEL} characters")
        if label is None and table.kind in DELIMITED:
            label = ""
        if ("split" in row) != has_split:
            raise ValueError(f"{where}: split must be on every line or on none")
        yield _Row(line, text, label, _split_number(where, row["split"]) if has_split else None)


def _check_columns(where: str, columns: Iterable[str], needed: tuple[str, str]) -> None:
    names = [name.strip() for name in columns]
    missing = [name for name in needed if name not in names]
    if missing:
        raise ValueError(
            f"{where}: no {' and no '.join(map(repr, missing))} among "
            f"{', '.join(map(repr, names[:20])) or 'nothing':.200}; needed are "
            f"{' and '.join(map(repr, needed))} (others by text_column=, label_column=), optional is split"
        )


def _split_number(where: str, value: Any) -> int:
    number = SPLIT_NAMES.get(value.strip().lower()) if isinstance(value, str) else None
    if number is None:
        raise ValueError(f"{where}: split is {short(value)}; it must be one of {', '.join(SPLIT_NAMES)}")
    return number


def _encode_labels(
    path: Path, rows: list[_Row], is_text: bool
) -> tuple[npt.NDArray[np.int64], list[str] | None]:
    """Class numbers (n,) or 0/1 vectors (n, C), and the names of the classes where labels are names."""
    if all(isinstance(row.label, list) for row in rows):
        return _encode_lists(path, rows)
    values = [_class_of(f"{path}, line {row.line}", row.label) for row in rows]
    if is_text:  # numbers that another program wrote with a decimal point
        values = [re.sub(r"\A([+-]?[0-9]+)\.0*\Z", r"\1", str(value)) for value in values]
        if all(re.fullmatch(r"0|[+-]?[1-9][0-9]{0,18}", value) for value in values):  # 01 is a name
            values = [
                _class_of(f"{path}, line {row.line}", int(v)) for row, v in zip(rows, values, strict=True)
            ]
    kind = type(values[0])
    for row, value in zip(rows, values, strict=True):
        if type(value) is not kind:
            raise ValueError(f"{path}, line {row.line}: label is {short(value)}; {_KINDS}")
    if kind is int:
        return np.array(values, dtype=np.int64), None
    classes = sorted(set(values))
    number = {name: i for i, name in enumerate(classes)}
    return np.array([number[value] for value in values], dtype=np.int64), classes


def _class_of(where: str, label: Any) -> Any:
    """A label as a class, a name without blanks around it or a whole number; ValueError for all else."""
    name = label.strip() if isinstance(label, str) else label
    if name is None or str(name).lower() in ("", "nan"):
        shown = short(name) if name else "empty"
        raise ValueError(f"{where}: label is {shown}: leave such rows out, or name a class")
    if isinstance(name, str):
        if _CONTROL.search(name):
            raise ValueError(f"{where}: label is {short(name)}: a class's name is one line without controls")
        return name
    if (number := whole_number(label)) is None:
        raise ValueError(f"{where}: label is {short(label)}; {_KINDS}")
    return number


def whole_number(value: Any) -> int | None:
    """A number of any type without its decimal point; None where it is no number, not whole, or too large."""
    if not isinstance(value, int | float | np.number | np.bool_) or isinstance(value, complex):
        return None
    if not isinstance(value, int) and not (math.isfinite(value) and value == int(value)):
        return None
    return int(value) if -(1 << 63) <= int(value) < 1 << 63 else None


def _encode_lists(path: Path, rows: list[_Row]) -> tuple[npt.NDArray[np.int64], list[str] | None]:
    """Vectors of 0 and 1 as they are; lists of class numbers or names as such vectors."""
    labels = [[_class_of(f"{path}, line {row.line}", member) for member in row.label] for row in rows]
    members = {member for label in labels for member in label}
    if not members:
        raise ValueError(f"{path}: every label is an empty list; at least one text must have a class")
    kind = type(next(member for label in labels for member in label))
    for row, label in zip(rows, labels, strict=True):
        for member in label:
            if type(member) is not kind or (kind is int and not 0 <= member < MOST_CLASSES):
                raise ValueError(
                    f"{path}, line {row.line}: label holds {short(member)}; lists must hold class numbers "
                    f"from 0 to {MOST_CLASSES - 1}, 0 and 1 alone, or names"
                )
    lengths = {len(label) for label in labels}
    is_vectors = kind is int and members <= {0, 1} and len(lengths) == 1 and lengths != {1}
    classes = sorted(members) if kind is str else None
    width = lengths.pop() if is_vectors else len(classes) if classes else max(members) + 1
    _check_size(path, len(rows), width)
    if is_vectors:
        return np.array(labels, dtype=np.int64), None
    column = {name: i for i, name in enumerate(classes or range(width))}
    table = np.zeros((len(rows), width), dtype=np.int64)
    for i, label in enumerate(labels):
        table[i, [column[member] for member in label]] = 1
    return table, classes


def _check_size(path: Path, nb_texts: int, nb_classes: int) -> None:
    if nb_classes > MOST_CLASSES or nb_texts * nb_classes > MOST_CELLS:
        raise ValueError(
            f"{path} has {nb_texts} texts with several of {nb_classes} classes: there may be {MOST_CLASSES} "
            f"classes, and {MOST_CELLS} texts times classes; number classes from 0 on without gaps"
        )


def _marked_split(
    path: Path, rows: list[_Row], labels: npt.NDArray[np.int64], seed: int, needs_split: bool
) -> list[list[int]]:
    split = [[i for i, row in enumerate(rows) if row.split == part] for part in range(3)]
    if not needs_split:
        return split
    train, validation, test = split
    if not validation and len(train) > 1:
        order = np.array(train)[_even_order(labels[train], np.random.default_rng(seed))].tolist()
        size = max(1, round(VALIDATION_SHARE * len(order)))
        train, validation = sorted(order[:-size]), order[-size:]
    for name, part in (("train", train), ("val", validation), ("test", test)):
        if not part:
            raise ValueError(f"{path}: no row has the split {name!r}; mark some rows so, or leave split out")
    return [train, validation, test]


def _random_split(path: Path, labels: npt.NDArray[np.int64], seed: int) -> list[list[int]]:
    """Split at random, each class (for lists: each set of classes) evenly where it has enough rows."""
    n = len(labels)
    if n < 3:
        raise ValueError(f"{path} has {n} rows; training, validation and test need one each, so at least 3")
    order = _even_order(labels, np.random.default_rng(seed))
    n_validation, n_test = max(1, round(VALIDATION_SHARE * n)), max(1, round(TEST_SHARE * n))
    n_train = n - n_validation - n_test
    return [part.tolist() for part in np.split(order, [n_train, n_train + n_validation])]


def _even_order(labels: npt.NDArray[np.int64], random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Rows in a random order any piece of which has its share of each class.

    The k-th of a class's m rows, in random order, gets the rank (k + 1/2) / m, and rows are ordered by rank:
    cutting them at 70 % and 80 % cuts every class there.
    """
    n = len(labels)
    rows = [row.astype(">i8").tobytes() for row in labels] if labels.ndim == 2 else labels.tolist()
    number = {kind: i for i, kind in enumerate(sorted(set(rows)))}
    kinds = np.array([number[row] for row in rows])
    rank = np.empty(n)
    by_kind = np.argsort(kinds, kind="stable")
    for members in np.split(by_kind, np.cumsum(np.bincount(kinds))[:-1]):
        rank[random.permutation(members)] = (np.arange(len(members)) + 0.5) / len(members)
    return np.lexsort((random.random(n), rank))


# --- benchmark pickles of Python 2 ------------------------------------------------------------------------


class _Array:
    """`numpy.ndarray` in a pickle, whose own trusts any state: `values` is an array of numbers, or a list."""

    def __init__(self, *_: Any) -> None:  # of `_reconstruct`
        self.values: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, _, data = state
        if type(dtype) is not _Dtype or (dtype.name[-2:].strip("|") in ("O", "O8")) != (type(data) is list):
            raise pickle.UnpicklingError("it has a numpy array whose type and data disagree")
        self.values = data if type(data) is list else np.frombuffer(data, dtype.name).reshape(shape)


class _Dtype:
    """`numpy.dtype` in a pickle."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.name = code.decode("ascii") if isinstance(code, bytes) else str(code)
        if not re.fullmatch(r"[<>=|]?(?:b1|[iuf][1248]|O8?)", self.name):
            raise pickle.UnpicklingError(f"it has a numpy array of type {short(self.name)}, not of numbers")

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError(f"it has a numpy type of the byte order {short(order)}")
        self.name = order + self.name.lstrip("<>=|")


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return np.frombuffer(data, dtype.name)[0].item()


def _no_set(*_: Any) -> None:
    """A set, which nothing here wants."""


_NAMES: dict[str, Any] = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
    **{f"{module}._reconstruct": _Array for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{f"{module}.scalar": _scalar for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{
        f"{module}.{kind}": _no_set for module in ("__builtin__", "builtins") for kind in ("set", "frozenset")
    },
}
_ADMITTED = frozenset(
    """MARK STOP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING
    BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 UNICODE BINUNICODE SHORT_BINUNICODE
    BINUNICODE8 EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM
    SETITEMS EMPTY_SET ADDITEMS GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL
    REDUCE BUILD PROTO FRAME""".split()
)
_INSTRUCTIONS = {opcode.code: opcode for opcode in pickletools.opcodes if opcode.name in _ADMITTED}
_KEYS = {
    "DICT": slice(0, None, 2),
    "SETITEM": slice(1, 2),
    "SETITEMS": slice(1, None, 2),
    "ADDITEMS": slice(1, None),
}


def _check_instructions(data: bytes) -> None:
    """Refuse a pickle that does more than to make data, before any of it is made.

    Follows which instruction made each object: tuples in tuples are no keys, since hashing them takes for
    ever or overflows the stack, and only what a call gave may be changed by a state. UnpicklingError where it
    has an instruction or a number that no benchmark has; any error where it is no pickle.
    """
    file = io.BytesIO(data)
    stack: list[str] = []
    marks: list[int] = []
    memo: dict[int, str] = {}
    for number in range(MOST_INSTRUCTIONS):
        code = file.read(1).decode("latin-1")
        if code not in _INSTRUCTIONS:
            raise pickle.UnpicklingError(f"it has the instruction {code!r}" if code else "it ends too early")
        opcode = _INSTRUCTIONS[code]
        name, before = opcode.name, opcode.stack_before
        if name == "STRING":  # pickletools knows ASCII only
            argument: Any = file.readline()
        else:
            argument = opcode.arg.reader(file) if opcode.arg else None
        if isinstance(argument, int) and argument.bit_length() > 64 and name != "FRAME":
            raise pickle.UnpicklingError("it has a number of more than 64 bits")
        if name == "STOP":
            return
        if name == "MARK":
            marks.append(len(stack))
        elif "PUT" in name or name == "MEMOIZE":
            index = len(memo) if name == "MEMOIZE" else argument
            if index > number:
                raise pickle.UnpicklingError(f"it numbers an object {index}")
            memo[index] = stack[-1]
        elif "GET" in name:
            stack.append(memo[argument])
        else:
            has_mark = pickletools.markobject in before
            start = (
                marks.pop() - before.index(pickletools.markobject) if has_mark else len(stack) - len(before)
            )
            taken = stack[start:]
            del stack[start:]
            if name in _KEYS and any(made.startswith("TUPLE") for made in taken[_KEYS[name]]):
                raise pickle.UnpicklingError("it has a tuple as a key")
            if name == "BUILD" and taken[0] != "REDUCE":
                raise pickle.UnpicklingError("it changes what it did not make")
            if opcode.stack_after:
                stack.append("REDUCE" if name == "BUILD" else name)
    raise pickle.UnpicklingError(f"it has more than {MOST_INSTRUCTIONS} instructions")


class _DataUnpickler(pickle.Unpickler):
    """Makes numbers, texts and containers, after `_check_instructions`."""

    _made = 0  # bytes and items that calls have made: a few instructions can repeat one that makes many

    def _bytes(self, text: str, encoding: str) -> bytes:
        """How Python 3 writes bytes for Python 2."""
        self._count(len(text))
        return text.encode({"latin1": "latin1", "ascii": "ascii"}[encoding])

    def _ordered(self, items: Sequence[tuple[str | bytes, Any]] = ()) -> dict[Any, Any]:
        self._count(100 * len(items))
        return {key: value for key, value in items if isinstance(key, str | bytes)}

    def _count(self, size: int) -> None:
        self._made += size
        if self._made > LARGEST_PICKLE:
            raise pickle.UnpicklingError(f"it makes more than {LARGEST_PICKLE} bytes")

    def find_class(self, module: str, name: str) -> Any:
        own = {"_codecs.encode": self._bytes, "collections.OrderedDict": self._ordered}
        if made := own.get(f"{module}.{name}"):
            return made
        try:
            return _NAMES[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it wants {module:.40}.{name:.40}, which is neither a number nor a container"
            ) from None


def _read_pickle(path: Path) -> LabelledTexts:
    with path.open("rb") as file:  # a device or pipe has no size
        content = file.read(LARGEST_PICKLE + 1)
    if len(content) > LARGEST_PICKLE:
        raise ValueError(
            f"{path} is larger than a benchmark pickle may be, {LARGEST_PICKLE >> 20} MB; give data of your "
            "own as .csv or .jsonl"
        )
    try:
        _check_instructions(content)
        # As bytes, so that the raw memory of numbers stays as it is; texts are decoded below.
        data = _DataUnpickler(io.BytesIO(content), encoding="bytes").load()
    except OSError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        reason = str(error)[:200] or type(error).__name__
        raise ValueError(
            f"{path} is no table by its ending ({', '.join(_TABLES)}), and no benchmark pickle ({reason}); "
            "give data of your own as .csv or .jsonl"
        ) from error
    data = _with_text_keys(f"{path}", data)
    missing = [key for key in ("texts", "info", "train_ind", "val_ind", "test_ind") if key not in data]
    if missing:
        raise ValueError(
            f"{path}: no {' and no '.join(missing)} among {', '.join(sorted(data)[:10]) or 'nothing':.200}"
        )
    given = _members(path, "texts", data["texts"])
    if (
        sum(len(text) for text in given if isinstance(text, str | bytes)) > LARGEST_PICKLE
    ):  # some may be the same
        raise ValueError(f"{path}: the texts have more than {LARGEST_PICKLE} bytes")
    texts = [_decode(path, i, text) for i, text in enumerate(given)]
    info = _members(path, "info", data["info"])
    if len(info) != len(texts):
        raise ValueError(f"{path}: {len(texts)} texts, but {len(info)} entries of info")
    if not texts:
        raise ValueError(f"{path} has no texts")
    labels = _pickled_labels(path, info)
    split: list[list[int]] = []
    for key in ("train_ind", "val_ind", "test_ind"):
        split.append([])
        for value in _members(path, key, data[key]):
            row = whole_number(value)
            if row is None or not 0 <= row < len(texts):
                raise ValueError(
                    f"{path}: the split names row {short(value)}, but there are rows 0 to {len(texts) - 1} "
                    "only"
                )
            split[-1].append(row)
    return LabelledTexts(texts, labels, split, path=str(path))


def _members(path: Path, name: str, value: Any) -> list[Any]:
    """What is in a list, tuple or array of one dimension."""
    values: Any = getattr(value, "values", None) if isinstance(value, _Array) else value
    if not isinstance(values, list | tuple | np.ndarray) or getattr(values, "ndim", 1) != 1:
        raise ValueError(f"{path}: {name} is {short(value)}; it must be a list")
    return list(values)


def _with_text_keys(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} holds a {type(value).__name__}, not a dict of texts, info and the split")
    return {
        key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key): item
        for key, item in value.items()
    }


def _decode(path: Path, row: int, text: Any) -> str:
    """A text of Python 2: `unicode`, or `str` holding UTF-8."""
    if isinstance(text, str):
        return text
    try:
        return bytes.decode(text, "utf-8")
    except (TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}, row {row}: {short(text)} is not a text in UTF-8") from error


def _pickled_labels(path: Path, info: Sequence[Any]) -> npt.NDArray[np.int64]:
    """Numbers (n,), or vectors (n, C), of any type as long as they are whole."""
    labels: list[Any] = []
    for row, given in enumerate(info):
        entry = _with_text_keys(f"{path}, row {row}: info", given)
        if "label" not in entry:
            raise ValueError(f"{path}, row {row}: info has no label")
        label = entry["label"]
        is_vector = isinstance(label, _Array | list | tuple)
        found = _members(path, f"row {row}, label", label) if is_vector else [label]
        _check_size(path, len(info), len(found))
        numbers = [*map(whole_number, found)]
        is_alike = not labels or isinstance(labels[0], list) == is_vector
        if None in numbers or not is_alike or (is_vector and labels and len(numbers) != len(labels[0])):
            raise ValueError(
                f"{path}, row {row}: label is {short(label)}; labels must be integers or vectors of one "
                "length"
            )
        labels.append(numbers if is_vector else numbers[0])
    return np.array(labels, dtype=np.int64)
