import json

import pytest
from support.small_corpus import EMOJIS, small_corpus

from torchmoji.corpus.shards import Corpus


@pytest.fixture
def corpus(tmp_path):
    return small_corpus(tmp_path, count=30)


def test_a_corpus_is_opened_with_classes_and_counts(corpus):
    assert corpus.classes == list(EMOJIS)
    assert sum(corpus.class_counts("train")) == corpus.manifest["splits"]["train"]["samples"]
    assert corpus.vocabulary["CUSTOM_UNKNOWN"] == 1


def test_a_folder_without_a_manifest_is_no_corpus(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no manifest\.json: it is no corpus, or its building"):
        Corpus.load(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": "torchmoji-corpus", "format_version": 99}'])
def test_another_manifest_is_refused(corpus, text):
    (corpus.folder / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json is not the manifest of a corpus of version 1"):
        Corpus.load(corpus.folder)


def test_missing_and_cut_shards_are_named(corpus):
    path = corpus.folder / "train-00000.arrow"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"train-00000\.arrow has \d+ bytes, not \d+: copy it again"):
        Corpus.load(corpus.folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"train-00000\.arrow is missing"):
        Corpus.load(corpus.folder)


def test_the_manifest_can_be_read_by_people(corpus):
    text = (corpus.folder / "manifest.json").read_text(encoding="utf-8")
    assert "😂" in text
    assert json.loads(text) == corpus.manifest
