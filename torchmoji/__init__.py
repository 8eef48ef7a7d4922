"""torchMoji: emotion in short texts, as emojis, encodings or fine-tuned classifiers.

A PyTorch port of DeepMoji (Felbo et al., "Using millions of emoji occurrences to learn any-domain
representations for detecting sentiment, emotion and sarcasm", EMNLP 2017) with the public API of the
2017 package. The names below are loaded when they are first used: `import torchmoji` imports neither
torch nor scikit-learn.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchmoji.emojis import EMOJIS
    from torchmoji.model_def import (
        TorchMoji,
        torchmoji_emojis,
        torchmoji_feature_encoding,
        torchmoji_transfer,
    )
    from torchmoji.pipeline import MojiPipeline
    from torchmoji.sentence_tokenizer import SentenceTokenizer

__version__ = "2.0.0.dev0"

_HOME = {
    "EMOJIS": "emojis",
    "MojiPipeline": "pipeline",
    "SentenceTokenizer": "sentence_tokenizer",
    "TorchMoji": "model_def",
    "torchmoji_emojis": "model_def",
    "torchmoji_feature_encoding": "model_def",
    "torchmoji_transfer": "model_def",
}

__all__ = [
    "EMOJIS",
    "MojiPipeline",
    "SentenceTokenizer",
    "TorchMoji",
    "__version__",
    "torchmoji_emojis",
    "torchmoji_feature_encoding",
    "torchmoji_transfer",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"torchmoji.{_HOME[name]}"), name)
    raise AttributeError(f"module 'torchmoji' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
