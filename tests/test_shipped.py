"""torchmoji.shipped: the default model and the original one, told by their files; mixing them is said."""

import json
import logging
import shutil

import pytest

from torchmoji import MojiPipeline, SentenceTokenizer, global_variables, shipped
from torchmoji.create_vocab import load_vocabulary
from torchmoji.finetuning import load_benchmark
from torchmoji.shipped import note_vocabulary, note_weights, vocabulary_name, weights_name
from torchmoji.weights import hub

DEFAULT = global_variables.default_model_directory()


@pytest.fixture(scope="module")
def original(data_root):
    return load_vocabulary(data_root / "data" / "vocabulary.json")


@pytest.fixture
def words():
    """The default model's vocabulary as a program of 2017 reads it, in any locale."""
    return json.loads((DEFAULT / "vocabulary.json").read_bytes().decode("ascii"))


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(shipped, "_used", {"weights": set(), "vocabulary": set()})


def test_the_default_vocabulary_has_a_word_for_each_row(words):
    assert list(words.values()) == list(range(global_variables.NB_TOKENS))
    wide = load_vocabulary(DEFAULT / "vocabulary.json")
    assert len(wide) == 75_084
    assert [word for word, index in wide.items() if words.get(word, index) != index] == []


def test_vocabularies_are_known_by_their_words(words, original):
    wide = load_vocabulary(DEFAULT / "vocabulary.json")
    assert [vocabulary_name(v) for v in (words, wide, {**words, "#qqq": 50_000})] == ["default"] * 3
    assert vocabulary_name(original) == "deepmoji"
    swapped = {**words, "you": words["i"], "i": words["you"]}
    assert [vocabulary_name(v) for v in (swapped, {"a": 0}, {})] == [None] * 3


def test_weights_are_known_by_place_size_and_content(tmp_path):
    copied, original, other = (tmp_path / name for name in ("copied", "original", "other"))
    shutil.copy(DEFAULT / "model.safetensors", copied)
    for path, size in ((original, hub.PYTORCH_WEIGHTS.size), (other, copied.stat().st_size)):
        with path.open("wb") as file:
            file.truncate(size)
    assert (hub.PYTORCH_WEIGHTS.size, hub.KERAS_WEIGHTS.size) == shipped.ORIGINAL_SIZES
    assert weights_name(str(DEFAULT / "model.safetensors")) == weights_name(copied) == "default"
    assert weights_name(global_variables.PRETRAINED_PATH) == "default"
    assert weights_name(original) == "deepmoji"
    assert weights_name(other) is weights_name(tmp_path / "none") is None


@pytest.mark.parametrize("weights_first", [False, True])
def test_a_mixed_pair_is_said_once(weights_first, original, caplog):
    steps = [lambda: SentenceTokenizer(original, 30), lambda: note_weights(DEFAULT / "model.safetensors")]
    for step in [*(reversed(steps) if weights_first else steps)] * 2:
        step()
    said = "the weights are those of the default model, but the vocabulary is that of the deepmoji"
    assert said in caplog.text
    assert len(caplog.records) == 1


def test_a_mixed_pipeline_is_said(data_root, caplog):
    MojiPipeline.from_pretrained("default", vocabulary=data_root / "data" / "vocabulary.json")
    assert "nearly every token id means another word" in caplog.text


def test_a_vocabulary_that_nobody_knows_is_said(words, caplog):
    changed = {**words, "the": words["of"], "of": words["the"]}
    for vocabulary in (changed, dict(list(words.items())[:40_000])):
        caplog.clear()
        MojiPipeline.from_pretrained("default", vocabulary=vocabulary)
        assert f"the vocabulary, of {len(vocabulary)} words, is not its own" in caplog.text


def test_pairs_that_match_and_unknown_models_are_not_spoken_of(words, original, tiny_folder, caplog):
    with caplog.at_level(logging.WARNING):
        MojiPipeline.from_pretrained()
        MojiPipeline.from_pretrained(tiny_folder)
        note_vocabulary(original)  # such as to compare both
    assert caplog.records == []


def test_the_tokenizer_reads_the_default_vocabulary_s_other_spellings(words):
    texts = ["so #angry #notaword", "custom_url", "😂 #love #LOVE"]
    expected = SentenceTokenizer(load_vocabulary(DEFAULT / "vocabulary.json"), 9).tokenize_sentences(texts)[0]
    assert (SentenceTokenizer(words, 9).tokenize_sentences(texts)[0] == expected).all()
    assert expected[0, 1] == words["angry"]
    own = {**words, "#angry": 50_000}
    assert SentenceTokenizer(own, 9).tokenize_sentences(texts)[0][0, 1] == 50_000


def test_a_vocabulary_that_was_extended_has_a_word_for_each_row(words, tmp_path):
    lines = "".join(f"#angry zzyzx{n % 3}abc,{n % 2}\n" for n in range(40))
    (tmp_path / "data.csv").write_text("text,label\n" + lines)
    data = load_benchmark(tmp_path / "data.csv", words, extend_with=5)
    assert len(data["vocabulary"]) == len(words) + data["added"] > len(words)
    ids = SentenceTokenizer(data["vocabulary"], 9).tokenize_sentences(["#angry"])[0]
    assert ids[0, 0] == words["angry"]
