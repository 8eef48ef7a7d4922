"""torchMoji: emotion in short texts, as emojis, encodings or fine-tuned classifiers.

A PyTorch port of DeepMoji (Felbo et al., "Using millions of emoji occurrences to learn any-domain
representations for detecting sentiment, emotion and sarcasm", EMNLP 2017) with the public API of the
2017 package. The names below are loaded when they are first used: `import torchmoji` imports neither
torch nor scikit-learn.
"""

import sys
from typing import TYPE_CHECKING

from torchmoji.runtime.lazy import MovedModules, lazy_names

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

__getattr__, _ = lazy_names(
    __name__,
    {
        "EMOJIS": "emojis",
        "MojiPipeline": "pipeline",
        "SentenceTokenizer": "sentence_tokenizer",
        "TorchMoji": "model_def",
        "torchmoji_emojis": "model_def",
        "torchmoji_feature_encoding": "model_def",
        "torchmoji_transfer": "model_def",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)


_MOVED = {
    "arguments": "cli.arguments",
    "conversion": "weights.keras",
    "corpus_folder": "corpus.shards",
    "corpus_rules": "corpus.settings",
    "datasets": "training.datasets",
    "demo": "server",
    "embedding_targets": "pretraining.loss",
    "emotions": "emojis",
    "glyphs": "plot.glyphs",
    "hub": "weights.hub",
    "pretrained": "weights.folder",
    "results": "pipeline.results",
    "sampling": "training.sampling",
    "scheduling": "batching",
    "soft_targets": "pretraining.loss",
    "tables": "files.tables",
}
"""Documented modules that have moved into rooms, and are found under their old names too."""

if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
    sys.meta_path.append(
        MovedModules({f"torchmoji.{old}": f"torchmoji.{new}" for old, new in _MOVED.items()})
    )
