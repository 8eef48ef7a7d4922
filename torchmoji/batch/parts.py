"""The parts of a job: which rows of the input each has, and how one is made."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow.parquet import ParquetWriter

from torchmoji.batch.encoder import BatchEncoder, to_arrow
from torchmoji.batch.places import Place
from torchmoji.batch.rows import Rows, Source, arrow_column, common_type, scan
from torchmoji.files.tables import unused_name
from torchmoji.weights.folder import find

Entry = dict[str, Any]
"""What the manifest says of a part: `name`, `rows`, `errors`, the sum of its `keys`, `bytes`, `sha256`."""
Tick = Callable[[int], object]
"""Gets a number of rows that were done."""

KEY = "row"
"""The column of a row's number in all of the input, from 0 on."""
ROWS_OF_A_PART = 50_000
_ROWS_AT_ONCE = 8192
_NO_RESULT = ("threads", "batch_size", "device", "strict")
"""Settings that do not change what a part holds, and may be others when a job goes on."""


class PartWriter:
    """Makes the parts of a job: `writer(number)`. Small to pickle; each process reads the input for itself.

    Attributes:
        known: Parts of an earlier run, by name.

    Args:
        encoder: What computes.
        sources: The input.
        types: Of its columns.
        parts: How many there are to be.
        folder: Where they go.
        encoding: Of text files.
    """

    def __init__(
        self,
        encoder: BatchEncoder,
        sources: list[Source],
        types: dict[str, Any],
        parts: int,
        folder: str,
        encoding: str | None,
    ) -> None:
        self.encoder, self.types, self.parts, self.folder = encoder, types, parts, folder
        self.rows = sum(source.rows for source in sources)
        self.known: dict[str, Entry] = {}
        self.encoding = encoding
        self._sources, self._input = sources, Rows(sources, encoder.column, encoding)

    @classmethod
    def plan(
        cls,
        given: Sequence[Place],
        folder: Place,
        encoder: BatchEncoder,
        encoding: str | None,
        shards: int | None,
        rows_per_part: int | None,
    ) -> "PartWriter":
        """Read the input once, for its rows and columns, and divide it."""
        sources, types, rows = list[Source](), dict[str, Any](), 0
        for file in (file for place in given for file in place.tables()):
            if str(file) in (source.path for source in sources):
                raise ValueError(f"{file} is named twice, so that its rows would be there twice")
            about = file.about()
            found, kinds = scan(str(file), encoder.column, encoding)
            types |= {name: common_type(types.get(name, kind), kind) for name, kind in kinds.items()}
            sources.append(Source(str(file), rows, found, about))
            rows += found
        parts = shards or max(1, -(-rows // (rows_per_part or ROWS_OF_A_PART)))
        return cls(encoder, sources, types, parts, str(folder), encoding)

    def about(self) -> dict[str, Any]:
        """What the parts are made from."""
        settings = {name: value for name, value in asdict(self.encoder).items() if name not in _NO_RESULT}
        model = Place(find(self.encoder.model, self.encoder.vocabulary).weights).sha256()
        words = self.encoder.vocabulary and Place(self.encoder.vocabulary).sha256()
        files = [[source.path, source.rows, *source.about] for source in self._sources]
        settings |= {"model": model, "vocabulary": words, "encoding": self.encoding}
        return settings | {"input": files, "shards": self.parts}

    def name(self, part: int) -> str:
        """The file of a part."""
        return f"part-{part:05}-of-{self.parts:05}.parquet"

    def __call__(self, part: int, tick: Tick = lambda rows: None) -> Entry:
        """Make a part, or find that it is whole.

        Returns:
            What the manifest says of it, and whether it was `skipped`.
        """
        start, stop = (self.rows * number // self.parts for number in (part, part + 1))
        file = Place(self.folder) / self.name(part)
        entry = self.known.get(self.name(part), {})
        is_good = not (self.encoder.strict and entry.get("errors"))
        if entry and is_good and entry["sha256"] == file.sha256():
            tick(stop - start)
            return entry | {"skipped": True}
        entry = {"name": self.name(part), "rows": 0, "errors": 0, "keys": 0}
        entry["bytes"], entry["sha256"] = file.write(partial(self._make, start, stop, entry, tick))
        return entry | {"skipped": False}

    def _make(self, start: int, stop: int, entry: Entry, tick: Tick, temporary: Path) -> None:
        with ExitStack() as stack:
            writer = None
            for at in range(start, max(stop, start + 1), _ROWS_AT_ONCE):
                table = self._table(at, min(at + _ROWS_AT_ONCE, stop))
                if writer is None:
                    texts = [field.name for field in table.schema if str(field.type) == "string"]
                    options = {"compression": "zstd", "use_dictionary": texts}  # encodings have no repeats
                    writer = stack.enter_context(ParquetWriter(temporary, table.schema, **options))
                writer.write_table(table)
                entry["rows"] += len(table)
                entry["errors"] += len(table) - table.column(table.num_columns - 1).null_count
                entry["keys"] += int(table.column(0).to_numpy().sum(dtype=np.int64))
                tick(len(table))

    def _table(self, start: int, stop: int) -> Any:
        """Rows with their results: the key, the columns of the input, and those of the encoder."""
        records = list(self._input.between(start, stop))
        if len(records) != stop - start:
            raise ValueError(f"the input has changed: {stop - start - len(records)} rows fewer; begin anew")
        columns = {unused_name(KEY, self.types): pyarrow.array(range(start, stop), pyarrow.int64())}
        for name, kind in self.types.items():
            columns[name] = arrow_column([record.row.get(name) for record in records], name, kind)
        results = replace(self.encoder, strict=False).results([record.value for record in records], columns)
        errors = list(results.values())[-1]
        if self.encoder.strict and errors.any():
            number = int(np.argmax(errors != None))  # noqa: E711  of each
            raise ValueError(
                f"{records[number].place} {errors[number]}; if not strict, the row gets an error"
            )
        return pyarrow.table(columns | {name: to_arrow(column) for name, column in results.items()})
