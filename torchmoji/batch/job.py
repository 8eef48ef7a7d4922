"""Files of texts to a folder of Parquet parts, which can be stopped at any time and gone on with.

The input alone decides how many parts there are, what is in each and what they are called, so that it does
not matter who makes a part, or how often: it appears under its name when it is whole, and replaces itself.
`_manifest.json` says what the parts come from, and the rows and the SHA-256 of each.
"""

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torchmoji import __version__
from torchmoji.batch.encoder import ENGINES, BatchEncoder
from torchmoji.files.atomic import LARGEST_JSON, locked
from torchmoji.files.places import Place
from torchmoji.runtime.machine import require
from torchmoji.runtime.options import checked_count

if TYPE_CHECKING:
    from torchmoji.batch.parts import Entry, PartWriter, Tick

MANIFEST = "_manifest.json"
"""Readers of folders of Parquet pass over names that begin so."""
_SECONDS_BETWEEN_NOTES = 5.0
_PART = re.compile(r"part-\d+-of-\d+\.parquet")


@dataclass(frozen=True)
class Report:
    """What came of a job: rows of the input, rows of the parts, those of them with an error, parts.

    Attributes:
        skipped: Parts that were there already.
    """

    rows_in: int
    rows_out: int
    errors: int
    parts: int
    skipped: int
    seconds: float
    folder: str

    def __str__(self) -> str:
        there = f", {self.skipped} of them there before" if self.skipped else ""
        return (
            f"{self.rows_in} rows in, {self.rows_out} rows out, {self.errors} of them with errors; "
            f"{self.parts} parts in {self.folder}{there}; {self.seconds:.0f} s"
        )


def encode_files(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    encoder: BatchEncoder | None = None,
    *,
    shards: int | None = None,
    rows_per_part: int | None = None,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    gpus: int = 0,
    encoding: str | None = None,
    force: bool = False,
    progress: bool = False,
) -> Report:
    """Encode files of texts to a folder of Parquet parts.

    A part has the column `row`, the number of a row in all of the input, from 0 on; all columns of the
    input; and those of the encoder, at last `error`, which says why a row has no results. A second call goes
    on where the first one was stopped: parts that are whole are not made again.

    Args:
        inputs: Files or folders of them, in any format that the command line reads; also elsewhere, such as
            "s3://bucket/texts/", as fsspec names them.
        folder: Where the parts go; new, or of an earlier call with the same input and settings.
        encoder: What computes, and which column has the texts; by default `BatchEncoder()`.
        shards: How many parts.
        rows_per_part: Rows of a part, at most; by default `ROWS_OF_A_PART`.
        workers: Processes; by default one, with Ray one for each CPU of the cluster, or each GPU.
        engine: "local", or "ray" (extra `ray`).
        address: Of a Ray cluster; by default the one that is running, or a new one on this machine.
        gpus: How many, with Ray; a worker has one.
        encoding: Of text files; by default UTF-8.
        force: Replace the parts of an earlier call with another input or other settings.
        progress: Show a bar on standard error.

    Raises:
        TypeError: The encoder is none.
        FileNotFoundError: There is no input.
        FileExistsError: The folder has something else in it.
        ValueError: An option or the input is wrong, the folder is of another job, or with a strict encoder a
            row has no text; the message names its place.
        BlockingIOError: Another process writes this folder.
        ModuleNotFoundError: pyarrow or ray is missing.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    for name, number in (("shards", shards), ("rows_per_part", rows_per_part), ("workers", workers)):
        if number is not None:
            checked_count(name, number)
    if shards and rows_per_part:
        raise ValueError("give shards= or rows_per_part=, not both: each says how many parts there are")
    if engine == "local" and (address or gpus):
        raise ValueError(f"{'address' if address else 'gpus'}= is for Ray: give engine='ray' too")
    require("pyarrow", "parquet", "Parquet")
    from torchmoji.batch.parts import PartWriter

    started, target = time.monotonic(), Place(folder)
    given = [Place(inputs)] if isinstance(inputs, str | os.PathLike) else list(map(Place, inputs))
    if not given:
        raise FileNotFoundError("there is no input: name files or folders")
    for place in given:
        if Path(str(place)) in (Path(str(target)), *Path(str(target)).parents):
            raise ValueError(f"{target} is in the input {place}: give a folder elsewhere")
    if not isinstance(encoder, BatchEncoder | None):
        raise TypeError(f"encoder must be a BatchEncoder, got {type(encoder).__name__}")
    encoder = _with_whole_paths(encoder or BatchEncoder())
    writer = PartWriter.plan(given, target, encoder, encoding, shards, rows_per_part)
    with ExitStack() as stack:
        if target.is_local:
            os.makedirs(target.path, exist_ok=True)
            lock = Path(target.path, ".lock")
            stack.enter_context(locked(lock, f"another process writes {target}: wait for it"))
            stack.callback(lock.unlink, missing_ok=True)  # while it is held
        manifest = Manifest(target, writer.about(), force)
        writer.known = dict(manifest.parts)
        stack.callback(manifest.write)  # what is whole is noted, also after Ctrl-C
        from tqdm import tqdm

        bar = tqdm(total=writer.rows, unit=" texts", unit_scale=True, disable=not progress)
        stack.callback(bar.close)
        skipped = 0
        for entry in _entries(writer, bar.update, engine, workers, address, gpus):
            skipped += entry.pop("skipped")
            manifest.add(entry)
        total = manifest.checked_total(list(map(writer.name, range(writer.parts))), writer.rows)
    seconds = time.monotonic() - started
    return Report(writer.rows, total["rows"], total["errors"], writer.parts, skipped, seconds, str(target))


def _with_whole_paths(encoder: BatchEncoder) -> BatchEncoder:
    """An encoder that finds its files from any working directory."""
    found: dict[str, Any] = {}
    for name in ("model", "vocabulary"):
        path = os.path.expanduser(getattr(encoder, name) or "")
        if path not in ("default", "deepmoji") and os.path.exists(path):
            found[name] = os.path.abspath(path)
    return replace(encoder, **found)


def _entries(
    writer: "PartWriter", tick: "Tick", engine: str, workers: int | None, address: str | None, gpus: int
) -> "Iterator[Entry]":
    """Make the parts, in any order."""
    if engine == "local" and workers in (None, 1):
        yield from (writer(part, tick) for part in range(writer.parts))
        return
    made: Iterable[Entry]
    if engine == "ray":
        from torchmoji.batch.ray import run

        made = run(writer, workers, address, gpus)
    else:
        made = _by_processes(writer, workers or 1)
    for entry in made:
        tick(entry["rows"])
        yield entry


def _by_processes(writer: "PartWriter", workers: int) -> "Iterator[Entry]":
    from torchmoji.runtime.workers import Workers

    with Workers(lambda: writer, min(workers, writer.parts), writer.encoder.threads) as pool:
        yield from pool.map(range(writer.parts))


# --- the manifest -------------------------------------------------------------------------------------------


class Manifest:
    """The file that says what a folder of parts is.

    `parts` are those that are whole, by name; `about` is what they are made from, and `force` removes those
    that are of something else. Raises FileExistsError where the folder has files and no manifest, ValueError
    where it is damaged, or of something else.
    """

    def __init__(self, folder: Place, about: dict[str, Any], force: bool) -> None:
        self._folder, self._file = folder, folder / MANIFEST
        self._about: dict[str, Any] = json.loads(json.dumps(about))
        self._written = 0.0
        self.parts: dict[str, Entry] = {}
        there = folder.names()
        if there and MANIFEST not in there:
            raise FileExistsError(f"{folder} has {there[0]} and no {MANIFEST}: give a new folder")
        about, parts = self._read() if there else (self._about, {})
        differing = [name for name in self._about if about.get(name) != self._about[name]]
        if differing and not force:
            names = " and ".join(f"{name}=" for name in differing)
            raise ValueError(
                f"{folder} was made with another {names}: give another folder, or force= to replace "
                "what is there"
            )
        if not differing:
            self.parts = parts
        for name in there if differing else ():
            if _PART.fullmatch(name):  # noted or not: a job that was killed leaves more than it noted
                with suppress(FileNotFoundError):
                    folder.system.rm((folder / name).path)
        self.write()

    def _read(self) -> "tuple[dict[str, Any], dict[str, Entry]]":
        """What it says the parts are made from, and the parts."""
        try:
            with self._file.system.open(self._file.path, "rb") as file:
                text = file.read(LARGEST_JSON + 1)
            if len(text) > LARGEST_JSON:
                raise ValueError("it is too large")
            about = json.loads(text)
            numbers = ("rows", "errors", "keys", "bytes")
            for entry in about["parts"]:
                _ = str(entry["name"]) + entry["sha256"], sum(entry[name] for name in numbers)
            return about, {entry["name"]: entry for entry in about["parts"]}
        except (KeyError, RecursionError, TypeError, ValueError) as error:
            raise ValueError(f"{self._file} is damaged: delete the folder to begin anew") from error

    def add(self, entry: "Entry") -> None:
        """Note a part that is whole."""
        self.parts[entry["name"]] = entry
        if time.monotonic() - self._written > _SECONDS_BETWEEN_NOTES:
            self.write()

    def _total(self) -> dict[str, int]:
        numbers = ("rows", "errors", "keys", "bytes")
        return {name: sum(entry[name] for entry in self.parts.values()) for name in numbers}

    def write(self) -> None:
        """Write the file, whole or not at all."""
        parts = [self.parts[name] for name in sorted(self.parts)]
        about = {"torchmoji": __version__, **self._about, "total": self._total(), "parts": parts}
        text = json.dumps(about, indent=1, ensure_ascii=False)
        self._file.write(lambda path: path.write_text(text, encoding="utf-8"))
        self._written = time.monotonic()

    def checked_total(self, names: Sequence[str], rows: int) -> dict[str, int]:
        """Sums over the parts, after a check that they have every row of the input exactly once.

        RuntimeError where they have not, or are not seen from this machine.
        """
        there = set(self._folder.names())
        strays = [name for name in there - set(names) if name.endswith(".parquet")]
        if strays:
            raise RuntimeError(
                f"{self._folder} has {min(strays)}, which readers would take for a part: remove it"
            )
        unseen = set(names) - there
        if unseen:
            raise RuntimeError(
                f"{min(unseen)} was written, but is not in {self._folder} as this machine sees it: name a "
                "place that all machines share"
            )
        total = self._total()
        expected = rows, rows * (rows - 1) // 2
        if (total["rows"], total["keys"]) != expected:
            raise RuntimeError(
                f"{self._folder} has {total['rows']} rows with keys of the sum {total['keys']}, in place of "
                f"{expected}: delete it, and begin anew"
            )
        return total
