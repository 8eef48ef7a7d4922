"""The manifest of a corpus: what decided it, and what came out."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torchmoji import __version__
from torchmoji.corpus_folder import FORMAT, FORMAT_VERSION
from torchmoji.corpus_rules import ENGLISH
from torchmoji.corpus_settings import CorpusSettings
from torchmoji.corpus_sources import Source
from torchmoji.emoji_finder import EmojiFinder
from torchmoji.files import sha256
from torchmoji.global_variables import VOCABULARY_NAME

DROPPED = (
    *("no_emoji", "retweet", "link", "mention", "few_words", "language"),
    *("duplicate", "near_duplicate"),
)
"""Reasons for which texts are left out, in the order in which they are looked at."""

Manifest = dict[str, Any]


def plan(
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
