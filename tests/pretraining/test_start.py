"""Starts: with a model's weights, word by word and emoji by emoji; with words alone; with word vectors."""

import json
import shutil

import numpy as np
import pytest
import torch
from support.pretraining import changed, interrupted_at, same, weights_of
from support.small_corpus import EMOJIS, rules, small_corpus

from torchmoji import MojiPipeline, TorchMoji
from torchmoji.create_vocab import load_vocabulary
from torchmoji.emojis import EMOJIS as ALL_EMOJIS
from torchmoji.pipeline.engines import TorchEngine
from torchmoji.pretraining.loss import PretrainingLoss
from torchmoji.pretraining.pretraining import new_model, pretrain, train
from torchmoji.pretraining.scores import score_emojis
from torchmoji.pretraining.start import VECTOR_SCALE, start_with_model, start_with_vectors, start_with_words
from torchmoji.weights.formats import load_state_dict


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A trained model's folder, and its corpus."""
    corpus = small_corpus(tmp_path_factory.mktemp("given"), nb_tokens=34)
    out = tmp_path_factory.mktemp("model") / "model"
    pretrain(corpus, out, changed(passes=10, batch_size=16, learning_rate=0.05))
    return out, corpus


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A corpus of other texts, with other words, and the emojis in another order, one of them new."""
    changed_rules = rules(emojis=("🎉", *reversed(EMOJIS)), keep_near_duplicates=True)
    return small_corpus(tmp_path_factory.mktemp("other"), seed=1, rules=changed_rules)


def fresh_model(corpus, **sizes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return new_model(changed(**sizes), len(corpus.vocabulary), len(corpus.classes))


def started(name, corpus, **sizes):
    """A model that starts from another one, and its output weights before."""
    model = fresh_model(corpus, **sizes)
    fresh = model.output_layer[0].weight.detach().clone()
    start_with_model(model, name, corpus.vocabulary, corpus.classes)
    return model.eval(), fresh


# --- a model ------------------------------------------------------------------------------------------------


def test_what_both_know_is_taken_over(given, other):
    folder, corpus = given
    model, fresh = started(folder, other)
    state = load_state_dict(folder / "model.safetensors")
    vocabulary = load_vocabulary(folder / "vocabulary.json")
    for key, value in model.state_dict().items():
        if not key.startswith(("embed.", "output_layer.")):
            assert torch.equal(value, state[key])
    new = set(other.vocabulary) - set(vocabulary)
    assert len(new) == 4
    for word, index in other.vocabulary.items():
        expected = state["embed.weight"][vocabulary["CUSTOM_UNKNOWN" if word in new else word]]
        assert torch.equal(model.embed.weight[index], expected)
    assert torch.equal(model.output_layer[0].weight[0], fresh[0])  # 🎉
    places = [corpus.classes.index(emoji) for emoji in other.classes[1:]]
    for part in ("weight", "bias"):
        stored = state[f"output_layer.0.{part}"][places]
        assert torch.equal(model.state_dict()[f"output_layer.0.{part}"][1:], stored)
    rows = other.rows("validation")
    assert score_emojis(model, rows, len(other.classes)).first > 0.8
    assert score_emojis(fresh_model(other).eval(), rows, len(other.classes)).first < 0.6


def test_a_single_output_and_classes_without_names_are_left(given, other, tmp_path):
    with torch.random.fork_rng(devices=[]):
        one = TorchMoji(nb_classes=2, nb_tokens=34, embedding_dim=6, hidden_size=5)
    vocabulary = load_vocabulary(given[0] / "vocabulary.json")
    MojiPipeline(TorchEngine(one), vocabulary, list(EMOJIS[:2])).save_pretrained(tmp_path / "one")
    shutil.copytree(given[0], tmp_path / "unnamed")
    config = json.loads((given[0] / "config.json").read_text())
    (tmp_path / "unnamed" / "config.json").write_text(json.dumps({**config, "classes": None}))
    for name in ("one", "unnamed"):
        model, fresh = started(tmp_path / name, other)
        assert torch.equal(model.output_layer[0].weight, fresh)
        assert not torch.equal(model.lstm_1.weight_hh_l0, fresh_model(other).lstm_1.weight_hh_l0)


def test_a_model_of_64_classes_has_the_emojis(other, tmp_path):
    with torch.random.fork_rng(devices=[]):
        many = TorchMoji(nb_classes=64, nb_tokens=len(other.vocabulary), embedding_dim=6, hidden_size=5)
    MojiPipeline(TorchEngine(many), other.vocabulary).save_pretrained(tmp_path / "many")
    config = json.loads((tmp_path / "many" / "config.json").read_text())
    (tmp_path / "many" / "config.json").write_text(json.dumps({**config, "classes": None}))
    model, _ = started(tmp_path / "many", other)
    rows = [ALL_EMOJIS.index(emoji) for emoji in other.classes[1:]]
    assert torch.equal(model.output_layer[0].weight[1:], many.output_layer[0].weight[rows])


def test_what_is_no_model_or_of_other_sizes_is_refused(given, other, tmp_path):
    with pytest.raises(ValueError, match=r"model.safetensors is a file: start from a folder with"):
        started(given[0] / "model.safetensors", other)
    message = r"embedding_dim 6 and the hidden_size 5, the run 6 and 7: set those of the model"
    with pytest.raises(ValueError, match=message):
        started(given[0], other, hidden_size=7)
    with pytest.raises(FileNotFoundError, match="there is no model 'no such'"):
        train(other, tmp_path, changed(start_from="no such"))


def test_a_run_starts_once_and_resumes_to_the_same_weights(given, other, tmp_path, monkeypatch):
    settings = changed(passes=1, learning_rate=1e-3, start_from=given[0])  # a path is a setting as well
    whole = train(other, tmp_path / "whole", settings)
    assert score_emojis(whole.model, other.rows("validation"), len(other.classes)).first > 0.8
    with interrupted_at(5):
        train(other, tmp_path / "stopped", settings, checkpoint_seconds=0)
    monkeypatch.setattr("torchmoji.pretraining.pretraining.start_with_model", None)  # it must not start again
    assert same(weights_of(whole), weights_of(train(other, tmp_path / "stopped", settings)))


def test_the_start_can_keep_a_share(given, other, tmp_path):
    targets = tmp_path / "seen.npy"
    np.save(targets, np.ones((len(other.rows("train")), 2), dtype=np.float16))
    settings = {"passes": 1, "start_from": given[0], "embedding_targets": targets}
    trained = weights_of(train(other, tmp_path / "trained", changed(**settings)))
    mixed = weights_of(train(other, tmp_path / "mixed", changed(**settings, start_share=0.3)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(changed().seed)
        start = new_model(changed(), len(other.vocabulary), len(other.classes))
    start_with_model(start, given[0], other.vocabulary, other.classes)
    for name, weight in start.state_dict().items():
        assert torch.allclose(mixed[name], 0.7 * trained[name] + 0.3 * weight, atol=1e-6)
    assert not torch.equal(mixed["embed.weight"], trained["embed.weight"])


# --- words alone --------------------------------------------------------------------------------------------


def started_with_words(corpus, **changes):
    settings = changed(max_length=12, **changes)
    model = fresh_model(corpus)
    start_with_words(model, corpus.rows("train"), PretrainingLoss(corpus, settings), settings)
    return model.eval()


def test_words_alone_learn_which_emoji_is_meant_without_the_lstms(corpus):
    before = torch.get_rng_state()
    model, rows = started_with_words(corpus, word_passes=100), corpus.rows("validation")
    assert torch.equal(torch.get_rng_state(), before)
    assert score_emojis(model, rows, len(corpus.classes)).first > 0.8
    ids = rows.token_ids(np.arange(5))
    guesses = model(ids)
    torch.nn.init.zeros_(model.lstm_1.weight_hh_l0)
    np.testing.assert_array_equal(model(ids), guesses)
    assert model.output_layer[0].weight[:, :-6].count_nonzero() == 0


def test_a_run_starts_with_words_once_and_resumes_to_the_same_weights(corpus, trained, tmp_path, monkeypatch):
    settings = changed(word_passes=3)
    whole = weights_of(train(corpus, tmp_path / "whole", settings))
    with interrupted_at(5):
        train(corpus, tmp_path / "half", settings, checkpoint_seconds=0)
    monkeypatch.setattr("torchmoji.pretraining.pretraining.start_with_words", None)  # it must not start again
    assert same(weights_of(train(corpus, tmp_path / "half", settings)), whole)
    assert not torch.equal(weights_of(trained)["embed.weight"], whole["embed.weight"])


def test_a_loss_of_words_that_is_not_finite_is_named(corpus, monkeypatch):
    monkeypatch.setattr("torchmoji.pretraining.start.WORD_LEARNING_RATE", float("inf"))
    with pytest.raises(FloatingPointError, match=r"loss of words alone is .*: set word_passes to 0"):
        started_with_words(corpus, word_passes=2)


# --- word vectors -------------------------------------------------------------------------------------------


@pytest.fixture
def vectors(corpus, tmp_path):
    """A file of vectors for all words but the first ten, and the vectors."""
    array = np.random.default_rng(0).normal(size=(len(corpus.vocabulary), 9)).astype(np.float16)
    array[:10] = 0
    np.save(tmp_path / "vectors.npy", array)
    return tmp_path / "vectors.npy", array


def test_embeddings_are_the_principal_components(corpus, vectors):
    path, array = vectors
    model = fresh_model(corpus, embedding_dim=4)
    start_with_vectors(model, path)
    weight = model.embed.weight.detach().numpy()
    assert not weight[:10].any()
    centred = array[10:].astype(np.float64) - array[10:].astype(np.float64).mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ axes[:4].T
    expected *= VECTOR_SCALE / np.sqrt((expected**2).mean())
    assert np.allclose(np.abs(weight[10:]), np.abs(expected), atol=1e-5)  # up to each axis's sign
    assert np.allclose(weight[10:] @ weight[10:].T, expected @ expected.T, atol=1e-5)


@pytest.mark.parametrize("word_passes", [0.0, 0.5])
def test_training_begins_with_vectors(corpus, vectors, tmp_path, word_passes):
    start = fresh_model(corpus)
    start_with_vectors(start, vectors[0])
    settings = changed(passes=0.1, learning_rate=1e-6, word_vectors=vectors[0], word_passes=word_passes)
    model = train(corpus, tmp_path / "run", settings).model
    change = (model.embed.weight - start.embed.weight).abs().max().item()
    assert change < (0.1 if word_passes else 1e-4)
    assert (change > 1e-3) == bool(word_passes)


def test_vectors_that_do_not_fit_are_refused(corpus, tmp_path):
    path, words = tmp_path / "vectors.npy", len(corpus.vocabulary)
    model = fresh_model(corpus)
    np.save(path, np.ones((words - 1, 3), dtype=np.float16))
    with pytest.raises(ValueError, match=rf"but the vocabulary needs float16 \({words}, numbers\)"):
        start_with_vectors(model, path)
    array = np.zeros((words, 3), dtype=np.float16)
    np.save(path, array)
    with pytest.raises(ValueError, match="no vectors but zeros"):
        start_with_vectors(model, path)
    array[4, 1] = np.inf
    np.save(path, array)
    with pytest.raises(ValueError, match=r"vectors\.npy, row 4 from 0 on, has inf, but word vectors"):
        start_with_vectors(model, path)
