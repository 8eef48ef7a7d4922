"""Files with emojis added, row by row: what the page of `torchmoji.server.demo` gives back for an upload.

Each row keeps all that it has, and gets the columns `emoji_1`, `probability_1`, `emoji_2`, ... after it,
empty for a text without words. A file of texts without columns comes back as CSV, a JSON array as JSON lines.
"""

import codecs
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, tee, zip_longest
from pathlib import Path
from typing import Any

from torchmoji.batching import WINDOW
from torchmoji.emojis import shown
from torchmoji.files.atomic import atomic_path
from torchmoji.files.tables import (
    TEXT_FORMATS,
    Table,
    as_json,
    csv_line,
    ending,
    open_packed,
    open_table,
    unused_name,
)
from torchmoji.pipeline import MojiPipeline
from torchmoji.pipeline.results import Prediction

LARGEST = 1 << 29
"""Characters of a file after unpacking, at most."""


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Table]:
    """Open an upload, which its user knows by its name alone."""
    name = f"the file {Path(path).name}"
    if ending(path) not in TEXT_FORMATS:
        raise ValueError(f"cannot read {name}: use {', '.join(TEXT_FORMATS)}, also with .gz")
    try:
        with open_table(path, name=name, largest=LARGEST) as table:
            if not table.columns:
                raise ValueError(f"{name} has no texts: give a file with some")
            yield table
    except FileNotFoundError as error:
        raise ValueError(f"{name} is no longer there: upload it again") from error


def columns_of(path: str | os.PathLike[str]) -> list[str]:
    """The columns of a file, in order; none for a file of texts, a text a line.

    Raises:
        ValueError: The file cannot be read; the message says why and what to do.
    """
    with _opened(path) as table:
        return [] if table.kind == ".txt" else table.columns


def name_of_result(path: str | os.PathLike[str]) -> str:
    """The name of the file that comes back: `tweets.csv.gz` gives `tweets-emojis.csv.gz`."""
    path = Path(path)
    packed = path.suffix.lower() == ".gz"
    stem = Path(path.stem if packed else path.name).stem
    kind = {".txt": ".csv", ".json": ".jsonl"}.get(ending(path), ending(path))
    return f"{stem}-emojis{kind}{'.gz' if packed else ''}"


def add_emojis(
    pipeline: MojiPipeline,
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    column: str | None = None,
    top_k: int = 3,
) -> Iterator[int]:
    """Write a file's rows with the likeliest emojis of their texts, in order and in flat memory.

    Args:
        pipeline: A model with classes.
        path: With one of the endings `torchmoji.files.tables.TEXT_FORMATS`, also with `.gz`.
        out: The new file, which appears when it is whole; gzipped where its name ends in `.gz`.
        column: The column of the texts; by default the likely one.
        top_k: How many emojis a row, at most all.

    Yields:
        How many rows are done, after each `torchmoji.batching.WINDOW`, and at the end.

    Raises:
        ValueError: The file cannot be read, there is no such column, or `top_k` is below 1.
    """
    if top_k < 1:
        raise ValueError(f"the number of emojis must be at least 1, got {top_k}")
    top_k = min(top_k, len(pipeline.classes))
    with (
        _opened(path) as table,
        atomic_path(out) as temporary,
        # half a character in JSON goes back as it came, escaped
        open_packed(temporary, "wt", encoding=_encoding(path), errors="backslashreplace", newline="") as file,
    ):
        names = _new_names(table.columns, top_k)
        is_json = table.kind in (".jsonl", ".json")
        if not is_json:
            file.write(csv_line([*table.columns, *names], table.delimiter))
        rows, again = tee(table.texts(column or None, "choose one"))
        predictions = pipeline.predict_stream((text for text, _ in again), top_k)
        done = 0
        for done, ((_, row), prediction) in enumerate(zip(rows, predictions, strict=True), start=1):
            row |= zip_longest(names, _values(prediction))  # a text without words has empty cells
            if is_json:
                file.write(as_json(row) + "\n")
            else:
                file.write(csv_line(row.values(), table.delimiter))
            if done % WINDOW == 0:
                yield done
    yield done


def first_rows(path: str | os.PathLike[str], number: int) -> tuple[list[str], list[list[str]]]:
    """The columns of a file that `add_emojis` wrote, and the cells of its first rows."""
    with open_table(path) as table:
        rows = [
            ["" if row.get(name) is None else str(row[name]) for name in table.columns]
            for _, row in islice(table, number)
        ]
        return table.columns, rows


def _encoding(path: str | os.PathLike[str]) -> str:
    """UTF-8 with a byte order mark where the file has one: Excel reads emojis only so."""
    with open_packed(path, "rb") as file:
        return "utf-8-sig" if file.read(3) == codecs.BOM_UTF8 else "utf-8"


def _values(prediction: Prediction) -> list[Any]:
    return [value for score in prediction for value in (shown(score.emoji), round(score.probability, 6))]


def _new_names(columns: Sequence[str], top_k: int) -> list[str]:
    """Names of the new columns; one that is taken gets underscores."""
    names = []
    for number in range(1, top_k + 1):
        for name in (f"emoji_{number}", f"probability_{number}"):
            names.append(unused_name(name, columns))
    return names
