"""Constants and paths under the names of the 2017 package.

`VOCAB_PATH` and `PRETRAINED_PATH` are a matching pair: the original DeepMoji weights with their vocabulary
where `torchmoji.weights.hub` has installed them, else the default model that comes with the package. They and
`WEIGHTS_DIR` are strings that are looked up when a program takes them from this module, so that a download
counts from then on, and that importing the package makes no files.

`torch.load(PRETRAINED_PATH)` gives a state dict of float32 tensors. For the default model that is a file of
90 MB in the cache, made when `PRETRAINED_PATH` is first taken; `pretrained_weights` gives the file that comes
with the package.
"""

import os
import tempfile
from importlib import import_module
from pathlib import Path

SPECIAL_PREFIX = "CUSTOM_"
SPECIAL_TOKENS = ["CUSTOM_MASK", "CUSTOM_UNKNOWN", "CUSTOM_AT", "CUSTOM_URL", "CUSTOM_NUMBER", "CUSTOM_BREAK"]
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
        return Path(os.path.expanduser(home))
    return Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache"), "torchmoji")


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


def default_weights_file() -> Path:
    """The weights of the default model, as safetensors with int8 rows."""
    return default_model_directory() / DEFAULT_WEIGHTS_NAME


def pretrained_weights() -> str:
    """The weights of `PRETRAINED_PATH` in the file that this package reads: no torch file is made for it."""
    if original_weights_installed():
        return str(original_model_directory() / ORIGINAL_WEIGHTS_NAME)
    return str(default_weights_file())


VOCAB_PATH: str
PRETRAINED_PATH: str
WEIGHTS_DIR: str
"""A temporary folder of this process, made at first use and removed at its end."""


def _vocabulary_path() -> str:
    folder = original_model_directory() if original_weights_installed() else default_model_directory()
    return str(folder / VOCABULARY_NAME)


def _pretrained_path() -> str:
    if original_weights_installed():
        return pretrained_weights()
    copies = import_module("torchmoji.weights.torch_copy")  # by name: this module needs no other
    return str(copies.made_torch_copy())


_weights_directory: tempfile.TemporaryDirectory[str] | None = None


def _weights_path() -> str:
    global _weights_directory
    if _weights_directory is None:
        _weights_directory = tempfile.TemporaryDirectory(prefix="torchmoji-")
    return _weights_directory.name


_PATHS = {"VOCAB_PATH": _vocabulary_path, "PRETRAINED_PATH": _pretrained_path, "WEIGHTS_DIR": _weights_path}


def __getattr__(name: str) -> str:
    if name in _PATHS:
        return _PATHS[name]()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PATHS})
