"""Files with emojis added, row by row: what the page of `torchmoji.server.demo` gives back for an upload.

`torchmoji.files.tables` reads the texts of a file alone; here each row keeps all that it has, and gets the
columns
`emoji_1`, `probability_1`, `emoji_2`, ... after it. A file of texts without columns comes back as CSV.
"""

import os
from collections.abc import Iterator, Sequence
from itertools import islice, tee
from pathlib import Path
from typing import Any

from torchmoji.files.atomic import atomic_path
from torchmoji.files.table_rows import encoding_of, open_packed, opened, rows_of
from torchmoji.files.tables import ending
from torchmoji.pipeline.pipeline import WINDOW, MojiPipeline
from torchmoji.pipeline.results import Prediction


def columns_of(path: str | os.PathLike[str]) -> list[str]:
    """The columns of a file, in order; none for a file of texts, a text a line.

    Raises:
        ValueError: The file cannot be read; the message says why and what to do.
    """
    with opened(path) as lines:
        return rows_of(lines, ending(path), None).columns


def name_of_result(path: str | os.PathLike[str]) -> str:
    """The name of the file that comes back: `tweets.csv.gz` gives `tweets-emojis.csv.gz`."""
    path = Path(path)
    packed = path.suffix.lower() == ".gz"
    stem = Path(path.stem if packed else path.name).stem
    kind = ".csv" if ending(path) == ".txt" else ending(path)
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
        path: With one of the endings `READABLE`.
        out: The new file, which appears when it is whole; gzipped where its name ends in `.gz`.
        column: The column of the texts; by default the likely one.
        top_k: How many emojis a row, at most all.

    Yields:
        How many rows are done, after each `torchmoji.pipeline.pipeline.WINDOW`, and at the end.

    Raises:
        ValueError: The file cannot be read, there is no such column, or `top_k` is below 1.
    """
    if top_k < 1:
        raise ValueError(f"the number of emojis must be at least 1, got {top_k}")
    top_k = min(top_k, len(pipeline.classes))
    with (
        opened(path) as lines,
        atomic_path(out) as temporary,
        # half a character in JSON goes back as it came, escaped
        open_packed(
            temporary, "wt", encoding=encoding_of(path), errors="backslashreplace", newline=""
        ) as file,
    ):
        rows = rows_of(lines, ending(path), column or None)
        names = _new_names(rows.columns, top_k)
        rows.write_head(file, names)
        done = 0
        read, again = tee(rows)
        predictions = pipeline.predict_stream((text for text, _ in again), top_k)
        for (_, row), prediction in zip(read, predictions, strict=True):
            rows.write(file, row, dict(zip(names, _values(prediction), strict=True)))
            done += 1
            if done % WINDOW == 0:
                yield done
    yield done


def first_rows(path: str | os.PathLike[str], number: int) -> tuple[list[str], list[list[str]]]:
    """The columns of a file that `add_emojis` wrote, and the cells of its first rows."""
    columns = columns_of(path)
    with opened(path) as lines:
        rows = rows_of(lines, ending(path), columns[-2])  # the last emoji: a text in any case
        return columns, [_cells(row, columns) for _, row in islice(rows, number)]


def _cells(row: Any, columns: Sequence[str]) -> list[str]:
    return [str(row.get(name, "")) for name in columns] if isinstance(row, dict) else list(row)


def _values(prediction: Prediction) -> list[Any]:
    return [value for score in prediction for value in (score.emoji, round(score.probability, 6))]


def _new_names(columns: Sequence[str], top_k: int) -> list[str]:
    """Names of the new columns; one that is taken gets underscores."""
    names = []
    for number in range(1, top_k + 1):
        for name in (f"emoji_{number}", f"probability_{number}"):
            while name in columns:
                name += "_"
            names.append(name)
    return names
