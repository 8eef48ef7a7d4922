"""Makes a training set from raw texts: emojis found and taken out, texts filtered, duplicates removed.

    manifest = build_corpus(["tweets/*.jsonl.gz"], "corpus/")

Source: Felbo et al. 2017 for the task and the rules (`torchmoji.corpus.settings`). Work is done in steps,
each
on all cores and in flat memory: chunks of the input become files of tokens, labels and hashes; hashes tell
duplicates (`torchmoji.corpus.duplicates`); words of what is left are counted for the vocabulary; shards are
written.
Every step leaves files that are whole or not there, so that an interrupted run goes on where it was. The same
input gives the same bytes, on any number of cores.

Unlike the original, emojis that are not among the classes, and other Unicode words, are counted for the
vocabulary, since `SentenceTokenizer` gives them to the model as well.
"""

import gzip
import json
import logging
import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from torchmoji import __version__
from torchmoji.corpus.chunks import TRAINING, VALIDATION, ChunkTask, chunk_path, process_chunk
from torchmoji.corpus.emoji_finder import EmojiFinder
from torchmoji.corpus.reading import (
    CHUNK_BYTES,
    Inputs,
    Position,
    Reader,
    Source,
    find_sources,
    import_pyarrow,
)
from torchmoji.corpus.selection import (
    SPLITS,
    Selection,
    find_repeated,
    frequent_words,
    key_ranges,
    save_lookup,
    select_rows,
    shard_tasks,
    vocabulary_of,
    word_ranges,
    write_rows,
)
from torchmoji.corpus.settings import ENGLISH, CorpusSettings
from torchmoji.corpus.shards import FORMAT, FORMAT_VERSION, MANIFEST_NAME, about_arrays
from torchmoji.corpus.worker_pool import WorkerPool, usable_cores
from torchmoji.create_vocab import rows_of_embedding, save_vocabulary, with_hashtags
from torchmoji.files.atomic import atomic_write_text, remove_leftovers, sha256
from torchmoji.global_variables import SPECIAL_TOKENS, VOCABULARY_NAME

__all__ = ["CorpusSettings", "build_corpus", "read_labelled_texts"]

logger = logging.getLogger(__name__)

Manifest = dict[str, Any]

WORK_NAME = "work"
"""Folder in a corpus for what is needed until it is whole."""


def build_corpus(
    inputs: Inputs,
    out: str | os.PathLike[str],
    settings: CorpusSettings | None = None,
    *,
    validation_inputs: Inputs = (),
    workers: int | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    progress: bool = False,
) -> Manifest:
    """Make a corpus, or go on with one that was interrupted.

    Args:
        inputs: Files, folders, globs and URLs, see `torchmoji.corpus.reading`.
        out: Folder for the shards, `vocabulary.json` and `manifest.json`. Until they are whole its subfolder
            `work` takes about 200 bytes a text.
        settings: How; the defaults are DeepMoji's.
        validation_inputs: Texts that are all held out. They are read first, and texts like them do not get
            into the training part.
        workers: Processes; by default one for each core.
        chunk_bytes: Of the input, handled by a worker at once. The result does not depend on it.
        progress: Show progress bars.

    Returns:
        The manifest, as in the file.

    Raises:
        FileNotFoundError: There is no such input.
        ValueError: A line is no record, no text is left, or `out` has a corpus of other inputs or settings.
        BlockingIOError: Another process works on this corpus.
        ChildProcessError: A worker was killed.
        ModuleNotFoundError: pyarrow is missing.
    """
    import_pyarrow()
    settings = settings or CorpusSettings()
    held_out = find_sources(validation_inputs) if validation_inputs else []
    read_first = {source.path for source in held_out}
    sources = held_out + [source for source in find_sources(inputs) if source.path not in read_first]
    if workers is None:
        small = sum(source.size for source in sources) < chunk_bytes
        workers = 1 if small and not any(source.is_remote for source in sources) else usable_cores()
    out = Path(out)
    work = out / WORK_NAME
    work.mkdir(parents=True, exist_ok=True)
    lock = FileLock(work / "lock")
    try:
        with lock.acquire(timeout=0), WorkerPool(workers) as pool:
            builder = _Builder(sources, len(held_out), out, settings, pool, chunk_bytes, progress)
            manifest = builder.build()
    except Timeout as error:
        raise BlockingIOError(f"another process is building {out}: wait for it") from error
    shutil.rmtree(work)
    return manifest


class _Builder:
    """The steps of `build_corpus`."""

    def __init__(
        self,
        sources: list[Source],
        held_out: int,
        out: Path,
        settings: CorpusSettings,
        pool: WorkerPool,
        chunk_bytes: int,
        progress: bool,
    ) -> None:
        self.sources, self.held_out, self.out, self.settings = sources, held_out, out, settings
        self.work = out / WORK_NAME
        self.pool, self.chunk_bytes, self.progress = pool, chunk_bytes, progress
        self.classes = EmojiFinder(settings.rules.emojis).classes

    def build(self) -> Manifest:
        remove_leftovers(self.out)
        digests = list(self.pool.map(_fingerprint, self.sources))
        plan = plan_of(self.settings, self.sources, digests, self.held_out)
        path = self.out / MANIFEST_NAME
        if path.is_file():
            manifest: Manifest = json.loads(path.read_text("utf-8"))
            self._check_plan({name: manifest.get(name) for name in plan}, plan, path)
            return manifest
        plan_path = self.work / "plan.json"
        about_work = {**plan, "chunk_bytes": self.chunk_bytes}
        if any(self.work.glob("chunk-*")):
            self._check_plan(json.loads(plan_path.read_text("utf-8")), about_work, plan_path)
        else:
            for leftover in [*self.out.glob("train-*.arrow"), *self.out.glob("validation-*.arrow")]:
                leftover.unlink()
            atomic_write_text(plan_path, json.dumps(about_work))
        chunks = self._read()
        kept = self._select(chunks)
        vocabulary = self._vocabulary(kept)
        shards = self._write(kept)
        manifest = plan | results(
            *(self.classes, self.sources, chunks, kept, shards),
            *(self.out / VOCABULARY_NAME, rows_of_embedding(vocabulary)),
        )
        atomic_write_text(path, json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")
        return manifest

    def _check_plan(self, found: dict[str, Any], wanted: dict[str, Any], path: Path) -> None:
        differing = [
            name for name, value in wanted.items() if found.get(name) != json.loads(json.dumps(value))
        ]
        if differing:
            raise ValueError(
                f"{path} is of a corpus with other {', '.join(differing)}: give another folder, or remove "
                f"{self.out}"
            )

    def _bar(self, results: Iterable[Any], title: str, unit: str, size: Callable[[Any], int]) -> list[Any]:
        """All results, with a progress bar."""
        found = []
        with tqdm(desc=title, unit=f" {unit}", unit_scale=True, disable=not self.progress) as bar:
            for result in results:
                found.append(result)
                bar.update(size(result))
        return found

    def _read(self) -> list[dict[str, Any]]:
        """Make all chunks; give what is saved with each."""
        done: list[dict[str, Any]] = []
        while (about := about_arrays(chunk_path(self.work, len(done)))) is not None:
            done.append(about)
        start = Position(*done[-1]["end"]) if done else Position()
        if done:
            logger.info("going on after %d chunks", len(done))
        settings = self.settings
        reader = Reader(
            self.sources, settings.columns, self.held_out, settings.skip_bad_lines, self.chunk_bytes
        )
        make = partial(
            ChunkTask,
            *(self.work, settings.rules, settings.columns, settings.validation),
            *(settings.skip_bad_lines, settings.keep_text),
        )
        tasks = (make(chunk) for chunk in reader.chunks(len(done), start))
        results = self.pool.map(_chunk_once, tasks)
        done += self._bar(results, "reading", "texts", lambda about: sum(about["records"].values()))
        return done

    def _select(self, chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Find duplicates among all chunks; give what is kept of each."""
        rows = [about["rows"] for about in chunks]
        total = sum(about["keys"] for about in chunks)
        ranges = key_ranges(self.work, rows, total) if total else []
        self._bar(self.pool.map(find_repeated, ranges), "comparing", "ranges", lambda _: 1)
        firsts = _starts(rows)
        tasks = [
            Selection(self.work, number, first, len(ranges), len(self.classes))
            for number, first in enumerate(firsts)
        ]
        return self._bar(
            self.pool.map(select_rows, tasks), "choosing", "texts", lambda about: about["train"]["rows"]
        )

    def _vocabulary(self, kept: list[dict[str, Any]]) -> dict[str, int]:
        if not any(about["train"]["rows"] for about in kept):
            raise ValueError(
                "no text is left for training: check --emojis, the rules and --text-column; "
                f"the emojis looked for are {' '.join(self.classes)}"
            )
        words = sum(about["words"] for about in kept)
        most = self.settings.nb_tokens - len(SPECIAL_TOKENS)
        tasks = word_ranges(self.work, len(kept), words, most, self.settings.min_count)
        parts = self._bar(self.pool.map(frequent_words, tasks), "counting words", "ranges", lambda _: 1)
        vocabulary = vocabulary_of(self.work, parts, self.settings.nb_tokens)
        if self.settings.hashtags:
            vocabulary = with_hashtags(vocabulary, self.settings.hashtags)
        save_vocabulary(vocabulary, self.out / VOCABULARY_NAME)
        save_lookup(self.work, vocabulary)
        return vocabulary

    def _write(self, kept: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        shards = {}
        for side in (TRAINING, VALIDATION):
            name = SPLITS[side]
            rows = [about[name]["rows"] for about in kept]
            tasks = shard_tasks(self.work, self.out, side, rows, self.settings.keep_text)
            results = self.pool.map(write_rows, tasks)
            shards[name] = self._bar(results, f"writing {name}", "texts", lambda about: about["rows"])
        return shards


def _starts(rows: list[int]) -> Iterator[int]:
    """The number of each chunk's first row."""
    first = 0
    for count in rows:
        yield first
        first += count


def _fingerprint(source: Source) -> str | None:
    """The SHA-256 of a file; None of one that is elsewhere."""
    return None if source.is_remote else sha256(source.path)


def _chunk_once(task: ChunkTask) -> dict[str, Any]:
    """`process_chunk`, unless an earlier run did it."""
    return about_arrays(chunk_path(task.folder, task.chunk.number)) or process_chunk(task)


def read_labelled_texts(path: str | os.PathLike[str], nb_classes: int) -> tuple[list[str], list[list[int]]]:
    """Read lines of comma-separated classes, tab, text; gzip by the ending `.gz`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line has no tab, or something else than classes before it; the message names the line.
    """
    texts, labels = [], []
    opener = gzip.open if os.fspath(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            classes, tab, text = line.rstrip("\n").partition("\t")
            try:
                indices = [int(index) for index in classes.split(",")]
            except ValueError:
                indices = []
            if not tab or not indices or not all(0 <= index < nb_classes for index in indices):
                raise ValueError(
                    f"{os.fspath(path)}, line {number}: expected classes from 0 to {nb_classes - 1}, "
                    f"separated by commas, a tab and a text, got {line[:60]!r}"
                )
            labels.append(indices)
            texts.append(text)
    return texts, labels


# --- The manifest of a corpus: what decided it, and what came out ---

DROPPED = (
    *("no_emoji", "retweet", "link", "mention", "few_words", "language"),
    *("duplicate", "near_duplicate"),
)
"""Reasons for which texts are left out, in the order in which they are looked at."""


def plan_of(
    settings: CorpusSettings, sources: Sequence[Source], digests: Sequence[str | None], held_out: int
) -> Manifest:
    """The part of a manifest that decides the corpus.

    Args:
        settings: How it is made.
        sources: The input.
        digests: The SHA-256 of each, None where it is not known.
        held_out: How many of them, the first ones, are for validation.
    """
    inputs = [
        {"name": source.name, "bytes": source.size, "sha256": digest, "held_out": number < held_out}
        for number, (source, digest) in enumerate(zip(sources, digests, strict=True))
    ]
    about = asdict(settings)
    rules = about.pop("rules")
    classes = list(EmojiFinder(rules.pop("emojis")).classes)
    if rules["language"] not in (None, ENGLISH):
        rules["language"] = sha256(rules["language"])
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "classes": classes,
        "rules": rules,
        "settings": about,
        "inputs": inputs,
        "versions": {
            "torchmoji": __version__,
            "numpy": version("numpy"),
            "pyarrow": version("pyarrow"),
            "emoji": version("emoji"),
            "unicode": unicodedata.unidata_version,
        },
    }


def results(
    classes: Sequence[str],
    sources: Sequence[Source],
    chunks: Sequence[Mapping[str, Any]],
    kept: Sequence[Mapping[str, Any]],
    shards: Mapping[str, Sequence[dict[str, Any]]],
    vocabulary: Path,
    words: int,
) -> Manifest:
    """The part of a manifest that was found out.

    Args:
        classes: The emojis.
        sources: The input.
        chunks: What was saved with each chunk.
        kept: What was saved with what is kept of each.
        shards: What was written, for each split.
        vocabulary: The file.
        words: Its ids, of which a word and its hashtag may share one.
    """
    records: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for about in chunks:
        records.update(about["records"])
    for about in [*chunks, *kept]:
        dropped.update(about["dropped"])
    splits = {name: _split(classes, [about[name] for about in kept], files) for name, files in shards.items()}
    return {
        "counts": {
            "texts": sum(records.values()),
            "texts_of_inputs": [records[source.path] for source in sources],
            "bad_lines": sum(about["bad_lines"] for about in chunks),
            "kept": sum(split["rows"] for split in splits.values()),
            "dropped": {reason: dropped[reason] for reason in DROPPED},
        },
        "splits": splits,
        "vocabulary": {"file": VOCABULARY_NAME, "words": words, "sha256": sha256(vocabulary)},
    }


def _split(
    classes: Sequence[str], parts: Sequence[Mapping[str, Any]], files: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    labels = [sum(column) for column in zip(*(part["labels"] for part in parts), strict=True)]
    tokens = sum(part["tokens"] for part in parts)
    unknown = sum(shard["unknown"] for shard in files)
    return {
        "rows": sum(part["rows"] for part in parts),
        "samples": sum(part["samples"] for part in parts),
        "tokens": tokens,
        "known_tokens": round(1 - unknown / tokens, 6) if tokens else None,
        "emojis": dict(zip(classes, labels, strict=True)),
        "shards": [{name: shard[name] for name in ("file", "rows", "bytes", "sha256")} for shard in files],
    }
