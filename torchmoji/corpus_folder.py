"""A corpus as it is on disk: shards, the vocabulary, and the manifest that says how they came about."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torchmoji.create_vocab import load_vocabulary, rows_of_embedding
from torchmoji.global_variables import VOCABULARY_NAME
from torchmoji.shards import TokenRows

MANIFEST_NAME = "manifest.json"
FORMAT = "torchmoji-corpus"
FORMAT_VERSION = 1


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
        """Open a folder that `torchmoji.corpus.build_corpus` wrote.

        Raises:
            FileNotFoundError: There is no corpus, or not the whole of it.
            ValueError: The manifest is damaged or of another version, or a shard has not the size it names.
        """
        folder = Path(folder)
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise FileNotFoundError(
                f"{folder} has no {MANIFEST_NAME}: it is no corpus, or its building was interrupted; "
                "the same `torchmoji build-corpus` goes on with it"
            )
        try:
            manifest = json.loads(path.read_text("utf-8"))
            if manifest["format"] != FORMAT or manifest["format_version"] != FORMAT_VERSION:
                raise ValueError(f"its format is {manifest['format']} {manifest['format_version']}")
            shards = [shard for split in manifest["splits"].values() for shard in split["shards"]]
            sizes = {folder / shard["file"]: shard["bytes"] for shard in shards}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is not the manifest of a corpus of version {FORMAT_VERSION} ({error!r}): "
                "build the corpus again"
            ) from error
        for shard, size in sizes.items():
            if not shard.is_file():
                raise FileNotFoundError(f"{shard} is missing: build the corpus again, or copy the file")
            if shard.stat().st_size != size:
                raise ValueError(f"{shard} has {shard.stat().st_size} bytes, not {size}: copy it again")
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
        """The texts of "train" or "validation"."""
        return TokenRows.open(self.shard_paths(split))

    def class_counts(self, split: str) -> list[int]:
        """How many texts of a split have each class."""
        return list(self.manifest["splits"][split]["emojis"].values())
