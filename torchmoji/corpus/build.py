"""Makes a training set from raw texts: emojis found and taken out, texts filtered, duplicates removed.

    manifest = build_corpus(["tweets/*.jsonl.gz"], "corpus/")

Source: Felbo et al. 2017 for the task and the rules (`torchmoji.corpus.settings`). The input is read in
chunks; processes tokenize them, each into a file of its own (`torchmoji.corpus.chunks`). Then the duplicates
among all chunks are found, the words of the other texts are counted for the vocabulary, and the shards are
written. All of it is in a work folder until it is whole, so that an interrupted run keeps the chunks that it
tokenized, and an older corpus stays. The same input gives the same bytes, on any number of cores. Memory
takes about 200 bytes a text.

Unlike the original, emojis that are not among the classes, and other Unicode words, are counted for the
vocabulary, since `SentenceTokenizer` gives them to the model as well.
"""

import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import cpu_count
from tqdm import tqdm

from torchmoji import __version__
from torchmoji.corpus.chunks import Chunk, TokenizedChunk, tokenize_chunk
from torchmoji.corpus.duplicates import find_repeats, hash_words
from torchmoji.corpus.emoji_finder import EmojiFinder
from torchmoji.corpus.reading import BadLines, Inputs, Source, find_sources, read_records
from torchmoji.corpus.settings import ENGLISH, CorpusSettings
from torchmoji.corpus.shards import (
    FILE_NAMES,
    FORMAT,
    FORMAT_VERSION,
    MANIFEST_NAME,
    Corpus,
    LabelledRows,
    Ragged,
    map_shard,
    write_shards,
)
from torchmoji.create_vocab import (
    WORD_LENGTH_LIMIT,
    rows_of_embedding,
    save_vocabulary,
    spellings_path,
    with_hashtags,
)
from torchmoji.files.atomic import atomic_write_text, locked, read_json, remove_leftovers, sha256
from torchmoji.files.tables import is_utf_8
from torchmoji.filter_utils import is_special_token
from torchmoji.global_variables import SPECIAL_TOKENS, UNKNOWN_ID, VOCABULARY_NAME
from torchmoji.runtime.machine import require
from torchmoji.runtime.options import checked_count
from torchmoji.runtime.workers import Workers

__all__ = ["CorpusSettings", "build_corpus"]

Manifest = dict[str, Any]
Mask = npt.NDArray[np.bool_]

WORK_NAME = "work"
"""Folder in a corpus for what is needed until it is whole."""
CHUNK_BYTES = 1 << 22
"""Of a chunk. A few copies of a chunk, in parts, are what a worker holds."""
MOST_NARROW_IDS = 1 << 16
"""Words up to which ids are uint16."""
DROPPED = "no_emoji retweet link mention few_words language duplicate near_duplicate".split()
"""Reasons for which texts are left out, in the order in which they are looked at."""

_CHUNK_NAMES = re.compile(r"chunk-\d{6,}\.bin", re.ASCII)
_PLAN_NAME = "plan.json"
_LOCK_NAME = "lock"
_NOT_IN_CHUNKS = "nb_tokens hashtags min_count skip_bad_lines".split()  # settings
_RECORD_BYTES = 16  # added to each text's characters: empty ones take memory too


def build_corpus(
    inputs: Inputs,
    out: str | os.PathLike[str],
    settings: CorpusSettings | None = None,
    *,
    validation_inputs: Inputs = (),
    workers: int | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    progress: bool = False,
    force: bool = False,
) -> Manifest:
    """Make a corpus, or go on with one that was interrupted.

    Args:
        inputs: Files, folders, globs and URLs, see `torchmoji.corpus.reading`. Files of a corpus in `out` are
            left out.
        out: Folder for the shards, `vocabulary.json` and `manifest.json`. Until they are whole its subfolder
            `work` takes about 200 bytes a text.
        settings: How; the defaults are DeepMoji's.
        validation_inputs: Texts that are all held out. They are read first, and texts like them do not get
            into the training part.
        workers: Processes; by default one for each core.
        chunk_bytes: Of the input, handled by a worker at once. The result does not depend on it.
        progress: Show a progress bar.
        force: Replace a corpus of other inputs or settings, a damaged one, and files that have the names of a
            corpus's. What was there stays until the new corpus is whole.

    Returns:
        The manifest, as in the file.

    Raises:
        FileNotFoundError: There is no such input.
        ValueError: A line is no record, no text is left, or `out` has a corpus that is damaged or of other
            inputs or settings.
        FileExistsError: `out` has files of another origin that would be replaced, or such a folder `work`.
        BlockingIOError: Another process works on this corpus.
        ChildProcessError: Several workers were killed over the same texts.
        ModuleNotFoundError: pyarrow is missing.
    """
    require("pyarrow", "corpus", "a corpus")
    if not os.fspath(out):
        raise ValueError("out must be a folder, got ''")
    out = Path(out)
    _check_folder(out, force)
    settings = settings or CorpusSettings()
    held_out = _others(find_sources(validation_inputs), out) if validation_inputs else []
    read_first = {source.key for source in held_out}
    sources = [source for source in _others(find_sources(inputs), out) if source.key not in read_first]
    if workers is None:
        is_small = not any(source.is_remote for source in sources + held_out)
        is_small &= sum(source.size for source in sources + held_out) < chunk_bytes
        workers = 1 if is_small else cpu_count()
    workers = checked_count("workers", workers)
    work = out / WORK_NAME
    work.mkdir(parents=True, exist_ok=True)
    with locked(work / _LOCK_NAME, f"another process is building {out}: wait for it"):
        try:
            manifest = _Builder(held_out, sources, out, settings, chunk_bytes, force).build(workers, progress)
        except BaseException:
            if not any(_CHUNK_NAMES.fullmatch(path.name) for path in work.iterdir()):
                _remove_work(work)  # there is nothing to go on with
            raise
        _remove_work(work)
    return manifest


def _others(sources: Sequence[Source], out: Path) -> list[Source]:
    """The sources but for the files of the corpus itself, which may be in a folder of inputs."""
    folder = os.path.realpath(out)
    work = os.path.join(folder, WORK_NAME, "")

    def is_own(path: str) -> bool:
        parent, name = os.path.split(path)
        return path.startswith(work) or (parent == folder and FILE_NAMES.fullmatch(name) is not None)

    if others := [source for source in sources if not is_own(source.key)]:
        return others
    raise ValueError(f"all inputs are files of the corpus {out} itself: name others")


def _check_folder(out: Path, force: bool) -> None:
    """Refuse a folder in which a build would replace or remove what none has written."""
    work = out / WORK_NAME
    if os.path.lexists(work) and not _is_of_build(work):
        raise FileExistsError(
            f"{work} has no sound {_PLAN_NAME}, so it may hold files of yours: move it away, or give another "
            "folder"
        )
    if force or any((folder / MANIFEST_NAME).exists() for folder in (out, work)):
        return
    there = sorted(path.name for path in out.glob("*") if FILE_NAMES.fullmatch(path.name))
    if there:
        raise FileExistsError(
            f"{out} has {', '.join(there[:3])}: give another name, or force= to replace what is there"
        )


def _is_of_build(work: Path) -> bool:
    """Whether a folder is empty or has a plan, so that a build may work in it."""
    if work.is_symlink() or not work.is_dir():
        return False
    names = {path.name for path in work.iterdir() if not path.name.startswith(".")}
    return names <= {_LOCK_NAME} or bool(_old_plan(work))


def _old_plan(work: Path) -> Manifest:
    """What the chunks in a work folder were made from, empty where no build says so."""
    try:
        plan = read_json(work / _PLAN_NAME)
    except (FileNotFoundError, ValueError):
        return {}
    return plan if isinstance(plan, dict) and plan.get("format") == FORMAT else {}


def _remove_work(work: Path) -> None:
    """Remove a build's own files, the plan last, and their folder unless it has others."""
    names = [path.name for path in work.iterdir()]
    own = [name for name in names if _CHUNK_NAMES.fullmatch(name) or FILE_NAMES.fullmatch(name)]
    for name in [*own, _PLAN_NAME]:
        (work / name).unlink(missing_ok=True)
    with suppress(OSError):  # where it has others; Windows also keeps a lock that is held
        (work / _LOCK_NAME).unlink()
        work.rmdir()


class _Builder:
    """The steps of `build_corpus`."""

    def __init__(
        self,
        held_out: list[Source],
        sources: list[Source],
        out: Path,
        settings: CorpusSettings,
        chunk_bytes: int,
        force: bool,
    ) -> None:
        self.held_out, self.sources, self.out, self.settings = held_out, sources, out, settings
        self.work, self.chunk_bytes, self.force = out / WORK_NAME, chunk_bytes, force
        self.finder = EmojiFinder(settings.rules.emojis)
        self.bad = BadLines(settings.skip_bad_lines)
        self.texts_of: Counter[str] = Counter()  # by the file's path
        self.chunk_paths: list[Path] = []  # in the order of the input

    def build(self, workers: int, progress: bool) -> Manifest:
        for folder in (self.out, self.work):
            remove_leftovers(folder)
        plan = _plan(self.settings, self.held_out, self.sources)
        if finished := self._finished(plan):
            return finished
        self._discard_other_chunks(plan)
        with tqdm(desc="reading", unit=" texts", unit_scale=True, disable=not progress) as bar:
            for count in _tokenize(self._chunks(), workers):
                bar.update(count)
        paths = self.chunk_paths
        kept, dropped = _without_repeats(paths)
        counts = _word_counts(_chosen(paths, kept, is_validation=False))
        if not counts:
            raise ValueError(
                "no text is left for training: check --emojis, the rules and --text-column; "
                f"the emojis looked for are {' '.join(self.finder.classes)}"
            )
        vocabulary = vocabulary_of(counts, self.settings.nb_tokens, self.settings.min_count)
        if self.settings.hashtags:
            vocabulary = with_hashtags(vocabulary, self.settings.hashtags)
        save_vocabulary(vocabulary, self.work / VOCABULARY_NAME)
        nb_words = rows_of_embedding(vocabulary)
        token_type = np.uint16 if nb_words <= MOST_NARROW_IDS else np.uint32
        splits = {}
        for name, is_validation in (("train", False), ("validation", True)):
            pieces = _with_ids(_chosen(paths, kept, is_validation), vocabulary)
            shards = write_shards(self.work, name, pieces, token_type)
            splits[name] = _split(self.finder.classes, self.work, shards)
        manifest = plan | {
            "counts": {
                "texts": sum(self.texts_of.values()),
                "texts_of_inputs": [self.texts_of[source.path] for source in self.held_out + self.sources],
                "bad_lines": self.bad.count,
                "kept": sum(split["rows"] for split in splits.values()),
                "dropped": {reason: dropped[reason] for reason in DROPPED},
            },
            "splits": splits,
            "vocabulary": {
                "file": VOCABULARY_NAME,
                "words": nb_words,
                "sha256": sha256(self.work / VOCABULARY_NAME),
            },
        }
        names = [shard["file"] for split in splits.values() for shard in split["shards"]] + [VOCABULARY_NAME]
        spellings = spellings_path(self.work / VOCABULARY_NAME)
        if spellings.is_file():
            manifest["spellings"] = {"file": spellings.name, "sha256": sha256(spellings)}
            names.append(spellings.name)
        text = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
        atomic_write_text(self.work / MANIFEST_NAME, text)
        self._replace([*names, MANIFEST_NAME])
        return manifest

    def _finished(self, plan: Manifest) -> Manifest | None:
        """The manifest of the corpus that is there, if it is of this plan; another is an error or forced."""
        path = self.out / MANIFEST_NAME
        if not path.is_file():
            return None
        try:
            finished = Corpus.load(self.out).manifest
            if not (differing := _differing(finished, plan)):
                return finished
            raise ValueError(f"{path} is of a corpus with other {', '.join(differing)}: give another folder")
        except (FileNotFoundError, ValueError) as error:
            if self.force:
                return None
            raise ValueError(f"{error}, or force= to replace the corpus") from error

    def _discard_other_chunks(self, plan: Manifest) -> None:
        """Leave none that an earlier run made with other texts or settings."""
        settings = {name: value for name, value in plan["settings"].items() if name not in _NOT_IN_CHUNKS}
        plan = plan | {"settings": settings, "chunk_bytes": self.chunk_bytes}
        if _differing(_old_plan(self.work), plan):
            for path in self.work.iterdir():
                if _CHUNK_NAMES.fullmatch(path.name):
                    path.unlink()
            atomic_write_text(self.work / _PLAN_NAME, json.dumps(plan))

    def _replace(self, names: Sequence[str]) -> None:
        """Put files in place of those of an older corpus; the manifest, the last, goes first."""
        old = [path for path in self.out.iterdir() if FILE_NAMES.fullmatch(path.name)]
        for path in sorted(old, key=lambda path: path.name != MANIFEST_NAME):
            path.unlink()
        for name in names:
            (self.work / name).replace(self.out / name)

    def _chunks(self) -> Iterator[Chunk]:
        """The input in chunks, the same each time, but for those that an earlier run tokenized."""
        number = 0
        for is_held_out, sources in ((True, self.held_out), (False, self.sources)):
            records = self._texts(sources)
            while part := list(_up_to(self.chunk_bytes, records)):
                path = self.work / f"chunk-{number:06d}.bin"
                number += 1
                self.chunk_paths.append(path)
                if not _is_sound(path):
                    texts, labels = map(list, zip(*part, strict=True))
                    has_labels = self.settings.columns.labels is not None
                    yield Chunk(path, self.settings, is_held_out, texts, labels if has_labels else None)

    def _texts(self, sources: Sequence[Source]) -> Iterator[tuple[str, list[int]]]:
        """Texts, and the classes of those that have a column of labels."""
        has_labels = self.settings.columns.labels is not None
        for source in sources:
            for line, text, value in read_records(
                source, self.settings.columns, self.bad, self.settings.encoding
            ):
                labels: list[int] = []
                if has_labels:
                    try:
                        labels = self.finder.read_labels(value)
                    except ValueError as error:
                        self.bad.report(source.path, line, str(error))
                        continue
                self.texts_of[source.path] += 1
                yield text, labels


def _differing(old: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """Which parts of a plan are not those of an older one."""
    return [name for name, value in plan.items() if old.get(name) != json.loads(json.dumps(value))]


def _is_sound(path: Path) -> bool:
    """Whether an earlier run tokenized a chunk, and nothing has changed it."""
    try:
        TokenizedChunk.load(path)
    except (FileNotFoundError, ValueError):
        return False
    return True


def _up_to(size: int, records: Iterator[tuple[str, list[int]]]) -> Iterator[tuple[str, list[int]]]:
    """Records that take so many bytes, or a little more."""
    for text, labels in records:
        yield text, labels
        size -= len(text) + _RECORD_BYTES
        if size <= 0:
            return


def _tokenize(chunks: Iterator[Chunk], workers: int) -> Iterator[int]:
    """Run `tokenize_chunk` on all chunks, a few at a time; with one worker in this process."""
    if workers == 1:
        yield from map(tokenize_chunk, chunks)
        return
    with Workers(lambda: tokenize_chunk, workers) as pool:
        yield from pool.map(chunks)


def _without_repeats(paths: Sequence[Path]) -> tuple[list[Mask], Counter[str]]:
    """Which rows of each chunk are kept, and the number of texts that are dropped for each reason."""
    if not paths:
        return [], Counter()
    hashes, keys, held_out, dropped = [], [], [], Counter[str]()
    for chunk in map(TokenizedChunk.load, paths):
        hashes.append(chunk.texts)
        keys.append(chunk.keys)
        held_out.append(np.full(len(chunk.keys), chunk.is_held_out))
        dropped.update(chunk.dropped)
    texts, is_held_out = np.concatenate(hashes), np.concatenate(held_out)
    repeats = find_repeats(np.concatenate(keys))
    repeats[0] |= np.isin(texts, texts[is_held_out])  # whatever their emojis are
    repeats[1] &= ~repeats[0]
    repeats &= ~is_held_out
    for reason, is_repeat in zip(("duplicate", "near_duplicate"), repeats, strict=True):
        dropped[reason] = int(is_repeat.sum())
    borders = np.cumsum([len(of_chunk) for of_chunk in keys])[:-1]
    return np.split(~repeats.any(axis=0), borders), dropped


def _chosen(
    paths: Sequence[Path], kept: Sequence[Mask], is_validation: bool
) -> Iterator[tuple[list[str], LabelledRows]]:
    """For each chunk its words, and the rows of one side of the split that are kept."""
    for chunk, of_chunk in zip(map(TokenizedChunk.load, paths), kept, strict=True):
        yield chunk.words, chunk.rows.select(of_chunk & (chunk.is_validation == is_validation))


def _word_counts(chunks: Iterator[tuple[list[str], LabelledRows]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for words, rows in chunks:
        of_chunk = np.bincount(rows.tokens.values, minlength=len(words)).tolist()
        for word, count in zip(words, of_chunk, strict=True):
            if count:
                counts[word] += count
    return counts


def vocabulary_of(counts: Mapping[str, int], nb_tokens: int, min_count: int) -> dict[str, int]:
    """The vocabulary: special tokens, then words by frequency, equally frequent ones by their code points.

    It has at most `nb_tokens` entries, and no word rarer than `min_count`; of equally frequent words those
    with the lower hash get in.
    """
    words = [
        word
        for word, count in counts.items()
        if count >= min_count and 0 < len(word) <= WORD_LENGTH_LIMIT and not is_special_token(word)
    ]
    ranked = sorted(zip((-counts[word] for word in words), hash_words(words).tolist(), words, strict=True))
    chosen = sorted((count, word) for count, _, word in ranked[: nb_tokens - len(SPECIAL_TOKENS)])
    return {word: index for index, word in enumerate([*SPECIAL_TOKENS, *(word for _, word in chosen)])}


def _with_ids(
    chunks: Iterator[tuple[list[str], LabelledRows]], vocabulary: Mapping[str, int]
) -> Iterator[LabelledRows]:
    """The same rows, tokens by their ids."""
    for words, (tokens, labels, texts) in chunks:
        ids = np.array([vocabulary.get(word, UNKNOWN_ID) for word in words], dtype=np.int64)
        yield LabelledRows(Ragged(ids[tokens.values], tokens.counts), labels, texts)


def _split(classes: Sequence[str], folder: Path, shards: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the manifest says of a split."""
    samples = tokens = unknown = 0
    labels = np.zeros(len(classes), dtype=np.int64)
    for shard in shards:
        for batch in map_shard(folder / shard["file"]):
            samples += len(batch.labels)
            tokens += len(batch.tokens)
            unknown += int((batch.tokens == UNKNOWN_ID).sum())
            labels += np.bincount(batch.labels, minlength=len(classes))
    return {
        "rows": sum(shard["rows"] for shard in shards),
        "samples": samples,
        "tokens": tokens,
        "known_tokens": round(1 - unknown / tokens, 6) if tokens else None,
        "emojis": dict(zip(classes, labels.tolist(), strict=True)),
        "shards": list(shards),
    }


def _plan(settings: CorpusSettings, held_out: Sequence[Source], sources: Sequence[Source]) -> Manifest:
    """The part of a manifest that decides the corpus."""
    inputs = [
        {
            "name": source.name,
            "bytes": source.size,
            "sha256": None if source.is_remote else sha256(source.path),
            "held_out": is_held_out,
        }
        for is_held_out, files in ((True, held_out), (False, sources))
        for source in files
    ]
    about = asdict(settings)
    rules = about.pop("rules")
    if is_utf_8(about["encoding"]):  # which older manifests do not have
        del about["encoding"]
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
            **{name: version(name) for name in ("numpy", "pyarrow", "emoji")},
            "unicode": unicodedata.unidata_version,
        },
    }
