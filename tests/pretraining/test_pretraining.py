"""What `pretrain` stores: a folder like that of every model, scores, frequencies and a card."""

import json

import numpy as np
import pytest
import torch
from filelock import FileLock
from support.pretraining import changed, metrics_of
from support.small_corpus import EMOJIS, rules, small_corpus

from torchmoji import MojiPipeline
from torchmoji.pretraining.pretraining import (
    STORED,
    Settings,
    adjust_to_prior,
    learned_frequencies,
    new_model,
    pretrain,
    train,
)
from torchmoji.weights.formats import load_state_dict


@pytest.fixture(scope="module")
def pretrained(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "model"
    settings = changed(passes=8, batch_size=16, learning_rate=0.05, evaluate_every=20, average=0.9)
    return pretrain(corpus, out, settings, int8=True, command="make it", notes="A reader's view.")


def card_of(result):
    return (result.folder / "README.md").read_text(encoding="utf-8")


def test_training_learns_what_decides_the_emoji(pretrained, corpus):
    stored = pretrained.scores[STORED]
    assert stored.texts == len(corpus.rows("validation"))
    assert stored.first > 0.8
    assert stored.first > 2 * pretrained.scores["always the commonest emojis"].first
    assert [line["step"] for line in metrics_of(pretrained.folder, "validation")] == [20, 40]
    pipeline = MojiPipeline.from_pretrained(pretrained.folder)
    assert pipeline.classes == EMOJIS
    assert pipeline.vocabulary == corpus.vocabulary
    assert pipeline.emojize("such a sad day").endswith("😭")


def test_scores_are_those_of_each_stage(corpus, tmp_path):
    result = pretrain(corpus, tmp_path, changed(passes=0.5, prior_adjustment=1.0), int8=True)
    assert list(result.scores) == [
        "this model, as stored",
        "the same before rounding to int8",
        "before the adjustment to the prior",
        "always the commonest emojis",
    ]
    other = pretrain(corpus, tmp_path, changed(passes=0.5, prior_adjustment=0.5), int8=True)
    assert other.seconds == result.seconds  # it is the same training, stored in another way
    stage = "before the adjustment to the prior"
    assert other.scores[stage] == result.scores[stage]


def test_the_card_says_what_was_done_and_measured(pretrained, corpus, tmp_path):
    card, stored = card_of(pretrained), pretrained.scores[STORED]
    train_rows = corpus.manifest["splits"]["train"]["rows"]
    for part in (
        "# A torchMoji model for 4 emojis\n\n😂 😭 ❤ 😡\n",
        f"{train_rows} texts for training, {120 - train_rows} for validation",
        "`texts.txt`",
        "    make it\n",
        "A reader's view.",
        "passes=8",
        f"| this model, as stored | {stored.first:.2%} | {stored.first_five:.2%} |",
        f"| 😭 | {stored.counts[1]} | {stored.class_first[1]:.1%} |",
        "must not be used to judge persons",
    ):
        assert part in card
    settings = Settings(embedding_dim=6, hidden_size=5, passes=0.1, bfloat16=False)
    plain = " ".join(card_of(pretrain(corpus, tmp_path, settings)).split())
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (pretrained.folder, tmp_path)]
    assert sizes[0] < 0.75 * sizes[1]  # int8 and float32
    assert "defaults: embedding_dim=6, hidden_size=5, passes=0.1. Products in float32." in plain


def test_without_held_out_texts_there_are_no_scores(tmp_path):
    corpus = small_corpus(tmp_path, count=30, validation=0.0)
    result = pretrain(corpus, tmp_path / "model", changed(passes=0.5, evaluate_every=1))
    assert result.scores == {}
    assert "No texts were held out" in card_of(result)


def test_two_emojis_are_enough_and_one_is_not(tmp_path):
    two = rules(emojis=("😂", "😭"), keep_near_duplicates=True)
    corpus = small_corpus(tmp_path / "two", count=60, rules=two)
    pretrain(corpus, tmp_path / "model", changed(passes=1))
    assert len(load_state_dict(tmp_path / "model" / "model.safetensors")["output_layer.0.weight"]) == 2
    assert MojiPipeline.from_pretrained(tmp_path / "model").emojize("such a sad day")[-1] in "😂😭"
    one = small_corpus(tmp_path / "one", rules=rules(emojis=("😂",), keep_near_duplicates=True))
    with pytest.raises(ValueError, match="a model needs at least two emojis"):
        train(one, tmp_path / "run", changed())


def test_two_programs_do_not_train_in_one_folder(corpus, tmp_path):
    message = "another process is training in"
    with FileLock(tmp_path / ".lock"), pytest.raises(BlockingIOError, match=message):
        pretrain(corpus, tmp_path, changed())


def test_hashtags_that_share_ids_travel_with_the_model(tmp_path):
    corpus = small_corpus(tmp_path, hashtags=5)
    result = pretrain(corpus, tmp_path / "model", changed(passes=1))
    hashtags = [word for word in corpus.vocabulary if word[0] == "#"]
    assert len(hashtags) == 5
    assert corpus.nb_tokens < len(corpus.vocabulary)
    pipeline = MojiPipeline.from_pretrained(result.folder)
    assert np.array_equal(pipeline.encode(hashtags), pipeline.encode([word[1:] for word in hashtags]))
    assert "Words share their embeddings with their hashtags, the 5 commonest at most." in card_of(result)


def test_the_prior_can_be_taken_off_the_output():
    with torch.random.fork_rng(devices=[]):
        model = new_model(changed(), 20, 3)
    before = model.output_layer[0].bias.detach().clone()
    adjust_to_prior(model, [1000, 100, 1], changed(prior_adjustment=0.5))
    change = (model.output_layer[0].bias - before).detach()
    assert change[1] - change[0] == pytest.approx(0.5 * np.log(10), rel=1e-5)
    assert change[2] - change[0] == pytest.approx(0.5 * np.log(1000), rel=1e-5)


def test_the_frequencies_are_those_that_the_stored_model_has_learned(pretrained, corpus):
    config = json.loads((pretrained.folder / "config.json").read_text())
    counts = np.array(corpus.class_counts("train"))
    np.testing.assert_allclose(config["class_frequencies"], counts / counts.sum(), rtol=1e-4)
    roots = np.sqrt(counts) / np.sqrt(counts).sum()
    np.testing.assert_allclose(learned_frequencies(counts, changed(prior_adjustment=0.5)), roots, rtol=1e-4)
    alike = learned_frequencies([0, 10**9, 5], changed(prior_adjustment=1))
    assert alike == pytest.approx([1 / 3] * 3, rel=1e-5)
    assert learned_frequencies([0, 10**9, 5], Settings())[0] > 0


def test_a_model_is_not_stored_in_its_corpus(corpus):
    with pytest.raises(ValueError, match="is the corpus, whose vocabulary would be lost"):
        pretrain(corpus.folder, corpus.folder)
