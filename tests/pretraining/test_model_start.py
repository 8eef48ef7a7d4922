"""The start with a model's weights: what is taken over, word by word and emoji by emoji."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from support.small_corpus import EMOJIS, rules, small_corpus
from support.stopping import interrupted_at

import torchmoji
from torchmoji import MojiPipeline, TorchMoji
from torchmoji.create_vocab import load_vocabulary
from torchmoji.pipeline.engines import TorchEngine
from torchmoji.pretraining.pretraining import Settings, new_model, pretrain, train
from torchmoji.pretraining.scores import score_emojis
from torchmoji.pretraining.start import start_with_model
from torchmoji.weights.formats import load_state_dict

SETTINGS = Settings(
    embedding_dim=6,
    hidden_size=5,
    passes=20,
    batch_size=8,
    learning_rate=0.02,
    warmup_steps=4,
    bfloat16=False,
)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A trained model's folder, and its corpus."""
    corpus = small_corpus(tmp_path_factory.mktemp("given"), nb_tokens=34)
    out = tmp_path_factory.mktemp("model") / "model"
    pretrain(corpus, out, SETTINGS)
    return out, corpus


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A corpus of other texts, with other words, and the emojis in another order, one of them new."""
    changed = rules(emojis=("🎉", *reversed(EMOJIS)), keep_near_duplicates=True)
    return small_corpus(tmp_path_factory.mktemp("other"), seed=1, rules=changed)


def started(name, corpus, **sizes):
    torch.manual_seed(0)
    model = new_model(dataclasses.replace(SETTINGS, **sizes), len(corpus.vocabulary), len(corpus.classes))
    fresh = {key: value.clone() for key, value in model.state_dict().items()}
    start_with_model(model, name, corpus.vocabulary, corpus.classes)
    return model, fresh


def test_what_both_know_is_taken_over(given, other):
    folder, corpus = given
    model, fresh = started(folder, other)
    state, vocabulary = (
        load_state_dict(folder / "model.safetensors"),
        load_vocabulary(folder / "vocabulary.json"),
    )
    for key, value in model.state_dict().items():
        if not key.startswith(("embed.", "output_layer.")):
            assert torch.equal(value, state[key])
    new = set(other.vocabulary) - set(vocabulary)
    assert new
    assert len(new) == 4
    for word, index in other.vocabulary.items():
        expected = state["embed.weight"][vocabulary["CUSTOM_UNKNOWN" if word in new else word]]
        assert torch.equal(model.embed.weight[index], expected)
    for part in ("weight", "bias"):
        layer, old = model.state_dict()[f"output_layer.0.{part}"], state[f"output_layer.0.{part}"]
        for row, emoji in enumerate(other.classes):
            if emoji == "🎉":
                assert torch.equal(layer[row], fresh[f"output_layer.0.{part}"][row])
            else:
                assert torch.equal(layer[row], old[corpus.classes.index(emoji)])


def test_it_guesses_on_other_texts_at_once(given, other):
    model, _ = started(given[0], other)
    rows = other.rows("validation")
    assert score_emojis(model.eval(), rows, len(other.classes)).first > 0.8
    fresh = new_model(SETTINGS, len(other.vocabulary), len(other.classes)).eval()
    assert score_emojis(fresh, rows, len(other.classes)).first < 0.6


def test_models_of_features_and_of_two_classes_give_what_they_have(given, other, tmp_path):
    pair = small_corpus(tmp_path / "pair", rules=rules(emojis=EMOJIS[:2], keep_near_duplicates=True))
    model, fresh = started(given[0], pair)
    assert model.output_layer[0].weight.shape[0] == 2
    assert not torch.equal(model.output_layer[0].weight, fresh["output_layer.0.weight"])
    folder = tmp_path / "features"
    state = load_state_dict(given[0] / "model.safetensors")
    kept = {key: value for key, value in state.items() if not key.startswith("output_layer.")}
    torch.save(kept, tmp_path / "features.bin")
    MojiPipeline.from_pretrained(
        tmp_path / "features.bin", vocabulary=given[0] / "vocabulary.json"
    ).save_pretrained(folder)
    model, fresh = started(folder, other)
    assert torch.equal(model.lstm_1.weight_hh_l0, state["lstm_1.weight_hh_l0"])
    assert torch.equal(model.output_layer[0].weight, fresh["output_layer.0.weight"])


def test_a_single_output_and_classes_without_names_are_left(given, other, tmp_path):
    torch.manual_seed(1)
    one = TorchMoji(nb_classes=2, nb_tokens=34, embedding_dim=6, hidden_size=5)
    vocabulary = load_vocabulary(given[0] / "vocabulary.json")
    MojiPipeline(TorchEngine(one), vocabulary, list(EMOJIS[:2])).save_pretrained(tmp_path / "one")
    shutil.copytree(given[0], tmp_path / "unnamed")
    config = json.loads((given[0] / "config.json").read_text())
    (tmp_path / "unnamed" / "config.json").write_text(json.dumps({**config, "classes": None}))
    for name in ("one", "unnamed"):
        model, fresh = started(tmp_path / name, other)
        assert torch.equal(model.output_layer[0].weight, fresh["output_layer.0.weight"])
        assert not torch.equal(model.lstm_1.weight_hh_l0, fresh["lstm_1.weight_hh_l0"])


def test_a_model_of_64_classes_has_the_emojis(other, tmp_path):
    torch.manual_seed(1)
    many = TorchMoji(nb_classes=64, nb_tokens=len(other.vocabulary), embedding_dim=6, hidden_size=5)
    MojiPipeline(TorchEngine(many), other.vocabulary).save_pretrained(tmp_path / "many")
    config = json.loads((tmp_path / "many" / "config.json").read_text())
    (tmp_path / "many" / "config.json").write_text(json.dumps({**config, "classes": None}))
    model, _ = started(tmp_path / "many", other)
    rows = [torchmoji.EMOJIS.index(emoji) for emoji in other.classes[1:]]
    assert torch.equal(model.output_layer[0].weight[1:], many.output_layer[0].weight[rows])


def test_a_file_is_refused(given, other):
    with pytest.raises(ValueError, match=r"model.safetensors is a file: start from a folder with"):
        started(given[0] / "model.safetensors", other)


def test_a_path_is_a_setting_as_well(given):
    settings = dataclasses.replace(SETTINGS, start_from=given[0], soft_targets=given[0] / "x.npy")
    assert (settings.start_from, settings.soft_targets) == (str(given[0]), str(given[0] / "x.npy"))


def test_other_sizes_are_refused(given, other):
    with pytest.raises(
        ValueError, match=r"embedding_dim 6 and the hidden_size 5, the run 6 and 7: set those of the model"
    ):
        started(given[0], other, hidden_size=7)


def test_it_is_a_setting_that_excludes_another_start(given):
    with pytest.raises(ValueError, match="choose one"):
        dataclasses.replace(SETTINGS, start_from="default", word_passes=1)


def test_a_run_starts_once_and_resumes_to_the_same_weights(given, other, tmp_path, monkeypatch):
    settings = dataclasses.replace(SETTINGS, passes=1, learning_rate=1e-3, start_from=str(given[0]))
    whole = train(other, tmp_path / "whole", settings)
    scores = score_emojis(whole.model, other.rows("validation"), len(other.classes))
    assert scores.first > 0.8
    with interrupted_at(5):
        train(other, tmp_path / "stopped", settings, checkpoint_seconds=0)
    monkeypatch.setattr("torchmoji.pretraining.pretraining.start_with_model", None)  # it must not start again
    resumed = train(other, tmp_path / "stopped", settings)
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key])


def test_a_model_that_is_not_there_is_named(other, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no model 'no such'"):
        train(other, tmp_path, dataclasses.replace(SETTINGS, start_from="no such"))


def test_the_start_can_keep_a_share(given, other, tmp_path):
    settings = dataclasses.replace(
        SETTINGS, passes=1, start_from=given[0], embedding_targets=tmp_path / "seen.npy"
    )
    np.save(tmp_path / "seen.npy", np.ones((len(other.rows("train")), 2), dtype=np.float16))
    trained = train(other, tmp_path / "trained", settings).model.state_dict()
    mixed = train(
        other, tmp_path / "mixed", dataclasses.replace(settings, start_share=0.3)
    ).model.state_dict()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        start = new_model(settings, len(other.vocabulary), len(other.classes))
    start_with_model(start, given[0], other.vocabulary, other.classes)
    for name, weight in start.state_dict().items():
        assert torch.allclose(mixed[name], 0.7 * trained[name] + 0.3 * weight, atol=1e-6)
    assert not torch.equal(mixed["embed.weight"], trained["embed.weight"])


def test_a_share_of_no_start_is_refused():
    with pytest.raises(ValueError, match=r"start_share=0\.3 of which weights\? Set start_from"):
        Settings(start_share=0.3)
