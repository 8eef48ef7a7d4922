"""The two models that this package knows, told by their files: the default one and the original DeepMoji.

The ids of their vocabularies mean other words: 21 of 50 000 agree. A program in the form of 2017 brings
weights and vocabulary together on its own, so what a process loads is remembered by name, for one warning
where no weights are used with their vocabulary.
"""

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from torchmoji.create_vocab import load_vocabulary
from torchmoji.files.atomic import sha256
from torchmoji.global_variables import (
    NB_TOKENS,
    ORIGINAL_WEIGHTS_NAME,
    VOCABULARY_NAME,
    default_model_directory,
    default_weights_file,
)

logger = logging.getLogger(__name__)

FINGERPRINTS = {"7633512bd67d2506": "default", "8918f557c0595463": "deepmoji"}
"""Of the vocabularies, see `fingerprint`."""
ORIGINAL_SIZES = (89_616_062, 89_610_904)
"""Of the original weights in bytes, as torch's and as Keras's file."""
_used: dict[str, set[str]] = {"weights": set(), "vocabulary": set()}


def fingerprint(vocabulary: Mapping[str, int]) -> str:
    """The beginning of the SHA-256 of the words with the ids from 0 to `NB_TOKENS` - 1, a word a line."""
    words = {index: word for word, index in vocabulary.items()}
    lines = "\n".join(words.get(index, "") for index in range(NB_TOKENS))
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def vocabulary_name(vocabulary: Mapping[str, int]) -> str | None:
    """Whose vocabulary this is, words may have been added: "default", "deepmoji" or None."""
    return FINGERPRINTS.get(fingerprint(vocabulary)) if len(vocabulary) >= NB_TOKENS else None


def weights_name(path: str | os.PathLike[str]) -> str | None:
    """Whose weights a file holds: "default", "deepmoji" or None."""
    path, default = Path(path), default_weights_file()
    is_torch_copy = path.parent.name.startswith("default-") and path.name == ORIGINAL_WEIGHTS_NAME
    if is_torch_copy or path == default:
        return "default"
    if not path.is_file():
        return None
    size = path.stat().st_size
    if size in ORIGINAL_SIZES:
        return "deepmoji"
    is_copy = default.is_file() and size == default.stat().st_size and sha256(path) == sha256(default)
    return "default" if is_copy else None


def note_weights(path: str | os.PathLike[str]) -> None:
    """Remember that a file of weights is in use; warn where the vocabularies in use are all of others."""
    _note("weights", weights_name(path))


def note_pair(path: str | os.PathLike[str], vocabulary: Mapping[str, int]) -> None:
    """Warn where the weights of one of the two models come with a vocabulary that is neither's."""
    name = weights_name(path)
    if name is not None and vocabulary_name(vocabulary) is None:
        logger.warning(
            "the weights are those of the %s model, but the vocabulary, of %d words, is not its own: "
            "token ids may mean other words; take the vocabulary that comes with the weights",
            *(name, len(vocabulary)),
        )


def note_vocabulary(vocabulary: Mapping[str, int]) -> str | None:
    """Remember that a vocabulary is in use, see `note_weights`; give its name."""
    name = vocabulary_name(vocabulary)
    _note("vocabulary", name)
    return name


def _note(kind: str, name: str | None) -> None:
    if name is None or name in _used[kind]:
        return
    _used[kind].add(name)
    weights, vocabularies = _used["weights"], _used["vocabulary"]
    if weights and vocabularies and not weights & vocabularies:
        logger.warning(
            "the weights are those of the %s model, but the vocabulary is that of the %s model: nearly every "
            "token id means another word, so results mean nothing; take the vocabulary that comes with the "
            "weights (VOCAB_PATH goes with PRETRAINED_PATH)",
            *(*weights, *vocabularies),
        )


def default_spellings() -> dict[str, int]:
    """The default model's vocabulary with its other spellings, such as hashtags."""
    return load_vocabulary(default_model_directory() / VOCABULARY_NAME)
