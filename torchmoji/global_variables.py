"""Constants and paths under the names of the 2017 package.

`VOCAB_PATH` and `PRETRAINED_PATH` are a matching pair: the original DeepMoji weights with their vocabulary
where `torchmoji.weights.hub` has installed them, else the default model that comes with the package. Unlike
in 2017 they are looked up each time they are used, so a download takes effect at once, and `WEIGHTS_DIR` is
made when it is first used, not by the import.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SPECIAL_PREFIX = "CUSTOM_"
SPECIAL_TOKENS = [
    "CUSTOM_MASK",
    "CUSTOM_UNKNOWN",
    "CUSTOM_AT",
    "CUSTOM_URL",
    "CUSTOM_NUMBER",
    "CUSTOM_BREAK",
]
SPECIAL_TOKENS.extend(f"{SPECIAL_PREFIX}BLANK_{i}" for i in range(6, 10))

UNKNOWN_ID = SPECIAL_TOKENS.index("CUSTOM_UNKNOWN")
"""Id of the words that a vocabulary lacks."""

NB_TOKENS = 50000
"""Size of the vocabulary of the original weights and of the default model."""
NB_EMOJI_CLASSES = 64

FINETUNING_METHODS = ["last", "full", "new", "chain-thaw"]
FINETUNING_METRICS = ["acc", "weighted"]
FINETUNING_MONITORS = ["loss", "acc", "weighted", "macro"]

ROOT_PATH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The folder that holds the package."""

ORIGINAL_WEIGHTS_NAME = "pytorch_model.bin"
VOCABULARY_NAME = "vocabulary.json"
DEFAULT_WEIGHTS_NAME = "model.safetensors"


def cache_directory() -> Path:
    """The folder for downloaded files.

    `TORCHMOJI_HOME` where it is set, else `torchmoji` in `XDG_CACHE_HOME` or `~/.cache`.
    """
    home = os.environ.get("TORCHMOJI_HOME")
    if home:
        return Path(home).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "torchmoji"


def original_model_directory() -> Path:
    """Where `torchmoji.weights.hub` puts the original weights and their vocabulary."""
    return cache_directory() / "deepmoji"


def default_model_directory() -> Path:
    """The default model that comes with the package: `torchmoji/model` installed, `model` in a checkout."""
    installed = Path(__file__).resolve().parent / "model"
    return installed if installed.is_dir() else Path(ROOT_PATH) / "model"


def original_weights_installed() -> bool:
    """Whether the original weights and their vocabulary are both in the cache."""
    folder = original_model_directory()
    return (folder / ORIGINAL_WEIGHTS_NAME).is_file() and (folder / VOCABULARY_NAME).is_file()


class LazyPath(os.PathLike[str]):
    """A path that is looked up when it is used, and then does what the `str` of 2017 did.

    Only `isinstance(path, str)` is false.
    """

    def __init__(self, name: str, resolve: Callable[[], str]) -> None:
        self._name = name
        self._resolve = resolve

    def __fspath__(self) -> str:
        return self._resolve()

    def __str__(self) -> str:
        return self._resolve()

    def __repr__(self) -> str:
        return f"<{self._name}: {self._resolve()!r}>"

    def __format__(self, spec: str) -> str:
        return format(self._resolve(), spec)

    def __add__(self, other: str) -> str:
        return self._resolve() + other

    def __radd__(self, other: str) -> str:
        return other + self._resolve()

    def __contains__(self, part: str) -> bool:
        return part in self._resolve()

    def __getitem__(self, index: int | slice) -> str:
        return self._resolve()[index]

    def __len__(self) -> int:
        return len(self._resolve())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LazyPath | str):
            return self._resolve() == str(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._resolve())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._resolve(), name)


def _vocabulary_path() -> str:
    folder = original_model_directory() if original_weights_installed() else default_model_directory()
    return str(folder / VOCABULARY_NAME)


def _pretrained_path() -> str:
    if original_weights_installed():
        return str(original_model_directory() / ORIGINAL_WEIGHTS_NAME)
    return str(default_model_directory() / DEFAULT_WEIGHTS_NAME)


_weights_directory: tempfile.TemporaryDirectory[str] | None = None


def _weights_path() -> str:
    global _weights_directory
    if _weights_directory is None:
        _weights_directory = tempfile.TemporaryDirectory(prefix="torchmoji-")
    return _weights_directory.name


VOCAB_PATH = LazyPath("VOCAB_PATH", _vocabulary_path)
PRETRAINED_PATH = LazyPath("PRETRAINED_PATH", _pretrained_path)
WEIGHTS_DIR = LazyPath("WEIGHTS_DIR", _weights_path)
"""A temporary folder of this process, made at first use and removed at its end."""
