import dataclasses

import numpy as np
import pytest
import torch

from torchmoji import pretraining
from torchmoji.corpus import build_vocabulary, make_corpus
from torchmoji.pretraining import Settings, evaluate, learning_rate, train

SETTINGS = Settings(
    nb_tokens=14,
    nb_classes=6,
    embedding_dim=6,
    hidden_size=5,
    passes=3,
    batch_size=8,
    learning_rate=0.02,
    warmup_steps=4,
    bfloat16=False,
)


@pytest.fixture(scope="module")
def corpus():
    """Texts of one to five words whose first word decides the class."""
    generator = np.random.default_rng(3)
    words = [
        ["w" + str(index) for index in generator.integers(0, 4, generator.integers(1, 6))] for _ in range(96)
    ]
    return make_corpus(
        words, [[int(text[0][1:])] for text in words], build_vocabulary(words, SETTINGS.nb_tokens)
    )


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    return train(corpus, SETTINGS, tmp_path_factory.mktemp("run") / "checkpoint.pt", progress=False)


def same_weights(one, two):
    return all(
        torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    )


def test_training_learns_what_decides_the_class(corpus, tmp_path):
    settings = dataclasses.replace(SETTINGS, passes=25)
    result = train(corpus, settings, tmp_path / "checkpoint.pt", progress=False)
    assert result.steps == 300
    assert not result.model.training
    assert evaluate(result.model, corpus).first > 0.9


def test_the_same_seed_gives_the_same_weights(corpus, trained, tmp_path):
    again = train(corpus, SETTINGS, tmp_path / "checkpoint.pt", progress=False)
    assert same_weights(trained.model, again.model)


@pytest.mark.parametrize("steps", [1, 11, 12, 13, 30])
def test_an_interrupted_run_ends_with_the_same_weights(corpus, trained, tmp_path, monkeypatch, steps):
    done = 0
    step = pretraining._training_step

    def interrupt(*arguments):
        nonlocal done
        if done == steps:
            raise KeyboardInterrupt
        done += 1
        return step(*arguments)

    checkpoint = tmp_path / "checkpoint.pt"
    with monkeypatch.context() as patch:
        patch.setattr(pretraining, "_training_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(corpus, SETTINGS, checkpoint, checkpoint_seconds=0, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    resumed = train(corpus, SETTINGS, checkpoint, checkpoint_seconds=0, progress=False)
    assert resumed.steps == 36
    assert same_weights(trained.model, resumed.model)


def test_a_finished_run_is_read_from_its_checkpoint(corpus, trained, tmp_path, monkeypatch):
    checkpoint = tmp_path / "checkpoint.pt"
    train(corpus, SETTINGS, checkpoint, progress=False)
    monkeypatch.setattr(pretraining, "_training_step", None)
    assert same_weights(trained.model, train(corpus, SETTINGS, checkpoint, progress=False).model)


def test_a_checkpoint_of_other_settings_is_refused(corpus, tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    train(corpus, dataclasses.replace(SETTINGS, passes=0.1), checkpoint, progress=False)
    with pytest.raises(ValueError, match=r"checkpoint\.pt is of a run with other settings \(passes\)"):
        train(corpus, SETTINGS, checkpoint, progress=False)


def test_training_leaves_the_global_generator_alone(corpus, tmp_path):
    before = torch.get_rng_state()
    train(corpus, dataclasses.replace(SETTINGS, passes=0.1), tmp_path / "checkpoint.pt", progress=False)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_that_is_not_finite_stops_the_run(corpus, tmp_path):
    settings = dataclasses.replace(SETTINGS, learning_rate=1e38)
    with pytest.raises(FloatingPointError, match=r"the loss is nan: try a lower learning_rate than 1e\+38"):
        train(corpus, settings, tmp_path / "checkpoint.pt", progress=False)


def test_bfloat16_products_give_nearly_the_same_weights(corpus, tmp_path):
    runs = []
    for bfloat16 in (False, True):
        settings = dataclasses.replace(SETTINGS, passes=0.25, bfloat16=bfloat16)
        run = train(corpus, settings, tmp_path / f"{bfloat16}.pt", progress=False)
        runs.append(run.model.state_dict()["output_layer.0.weight"])
    assert not torch.equal(*runs)
    assert torch.allclose(*runs, atol=0.05)


def test_the_learning_rate_rises_then_falls_to_zero():
    rates = [learning_rate(step, 100, SETTINGS) for step in range(101)]
    assert rates[:4] == pytest.approx([0.005, 0.01, 0.015, 0.02])
    assert np.all(np.diff(rates[4:]) < 0)
    assert rates[52] == pytest.approx(0.01)
    assert rates[100] == pytest.approx(0)


class FixedGuesses(torch.nn.Module):
    """Guesses the classes 5, 4, 3, 2, 1 for every text, best first."""

    nb_classes = 6

    def forward(self, ids):
        return torch.arange(6.0).expand(len(ids), 6)


def test_scores_count_any_of_a_texts_emojis_and_average_over_classes():
    corpus = make_corpus([["a"]] * 4, [[5], [4, 0], [0], [5, 4]], {"a": 2})
    scores = evaluate(FixedGuesses(), corpus, batch_size=3)
    assert scores.first == 0.5
    assert scores.first_five == 0.75
    assert scores.counts == [2, 0, 0, 0, 2, 2]
    assert scores.class_first == [0, 0, 0, 0, 0, 1]
    assert scores.class_first_five == [0, 0, 0, 0, 1, 1]
    assert scores.average_first == pytest.approx(1 / 3)
    assert scores.average_first_five == pytest.approx(2 / 3)
