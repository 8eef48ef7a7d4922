"""Makes a training set from raw texts: emojis found and taken out, texts filtered, duplicates removed."""

from torchmoji.corpus.build import build_corpus
from torchmoji.corpus.reading import Columns
from torchmoji.corpus.settings import CorpusSettings, Rules
from torchmoji.corpus.shards import Corpus

__all__ = ["Columns", "Corpus", "CorpusSettings", "Rules", "build_corpus"]
