"""The start with words alone."""

import dataclasses

import numpy as np
import pytest
import torch
from support.small_corpus import small_corpus
from support.stopping import interrupted_at

from torchmoji.pretraining.loss import PretrainingLoss
from torchmoji.pretraining.pretraining import Settings, new_model, train
from torchmoji.pretraining.start import start_with_words

SETTINGS = Settings(
    embedding_dim=6,
    hidden_size=5,
    passes=1,
    word_passes=30,
    batch_size=8,
    warmup_steps=4,
    bfloat16=False,
    max_length=12,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("small"))


def started(corpus, **changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    rows, counts = corpus.rows("train"), corpus.class_counts("train")
    torch.manual_seed(3)
    model = new_model(settings, len(corpus.vocabulary), len(counts))
    start_with_words(model, rows, PretrainingLoss(settings, counts), settings)
    return model.eval()


def test_words_alone_learn_which_emoji_is_meant(corpus):
    model, rows = started(corpus, word_passes=200), corpus.rows("validation")
    numbers = np.arange(len(rows))
    guesses = model(rows.token_ids(numbers)).argmax(1)
    owners, classes = rows.labels(numbers)
    hits = {(owner, label) for owner, label in zip(owners.tolist(), classes.tolist(), strict=True)}
    right = sum((number, guess) in hits for number, guess in enumerate(guesses.tolist()))
    assert right > 0.8 * len(rows) > 10


def test_the_lstms_have_no_part_in_the_output_yet(corpus):
    model = started(corpus)
    ids = corpus.rows("train").token_ids(np.arange(5))
    before = model(ids)
    torch.nn.init.normal_(model.lstm_1.weight_hh_l0)
    np.testing.assert_array_equal(model(ids), before)
    assert model.output_layer[0].weight[:, :-6].count_nonzero() == 0
    assert model.output_layer[0].weight[:, -6:].count_nonzero() > 0


def test_the_seed_decides_and_the_global_generator_is_not_used(corpus):
    one = started(corpus)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    new_model(SETTINGS, len(corpus.vocabulary), 4)
    assert torch.equal(after, torch.get_rng_state())
    two, three = started(corpus), started(corpus, seed=1)
    assert torch.equal(one.embed.weight, two.embed.weight)
    assert not torch.equal(one.embed.weight, three.embed.weight)


def test_a_run_starts_with_words_once_and_resumes_to_the_same_weights(corpus, tmp_path, monkeypatch):
    whole = train(corpus, tmp_path / "whole", SETTINGS).model.state_dict()
    plain = train(corpus, tmp_path / "plain", dataclasses.replace(SETTINGS, word_passes=0)).model.state_dict()
    with interrupted_at(5):
        train(corpus, tmp_path / "half", SETTINGS, checkpoint_seconds=0)
    monkeypatch.setattr("torchmoji.pretraining.pretraining.start_with_words", None)  # it must not start again
    resumed = train(corpus, tmp_path / "half", SETTINGS).model.state_dict()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert not torch.equal(plain["embed.weight"], whole["embed.weight"])


def test_a_loss_that_is_not_finite_is_named(corpus, monkeypatch):
    monkeypatch.setattr("torchmoji.pretraining.start.LEARNING_RATE", float("inf"))
    with pytest.raises(FloatingPointError, match=r"loss of words alone is .*: set word_passes to 0"):
        started(corpus)
