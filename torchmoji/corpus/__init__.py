"""Makes a training set from raw texts: emojis found and taken out, texts filtered, duplicates removed."""

from typing import TYPE_CHECKING

from torchmoji.runtime.lazy import lazy_names

if TYPE_CHECKING:
    from torchmoji.corpus.build import build_corpus
    from torchmoji.corpus.reading import Columns
    from torchmoji.corpus.settings import CorpusSettings, Rules
    from torchmoji.corpus.shards import Corpus

__all__ = ["Columns", "Corpus", "CorpusSettings", "Rules", "build_corpus"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Columns": "reading",
        "Corpus": "shards",
        "CorpusSettings": "settings",
        "Rules": "settings",
        "build_corpus": "build",
    },
)
