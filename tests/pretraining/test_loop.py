"""The loop: the same weights for a seed, also after an interruption; checkpoint, precision."""

import os
import signal

import numpy as np
import pytest
import torch
from support.pretraining import SETTINGS, changed, interrupted_at, metrics_of, same, weights_of
from support.small_corpus import small_corpus
from torch import nn

from torchmoji.pretraining import loop
from torchmoji.pretraining.loop import Stepper, load_training, save_training, weight_average
from torchmoji.pretraining.pretraining import train
from torchmoji.pretraining.settings import Settings, learning_rate


def checkpoint_of(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)


# --- the run ------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights(corpus, trained, tmp_path, monkeypatch):
    before = torch.get_rng_state()
    assert same(weights_of(trained), weights_of(train(corpus, tmp_path / "a", SETTINGS)))
    assert torch.equal(torch.get_rng_state(), before)
    assert not same(weights_of(trained), weights_of(train(corpus, tmp_path / "b", changed(seed=1))))
    monkeypatch.setattr(Stepper, "step", None)  # a finished run is read from its checkpoint
    again = train(corpus, tmp_path / "a", SETTINGS)
    assert same(weights_of(trained), weights_of(again))
    assert not any(module.training for module in again.model.modules())


def test_a_run_interrupted_again_and_again_ends_with_the_same_weights(corpus, averaged, tmp_path):
    settings = changed(average=0.9)
    for step in (1, 12, 13, 25):  # 13 are a pass
        with interrupted_at(step):
            train(corpus, tmp_path, settings, checkpoint_seconds=0)
        assert checkpoint_of(tmp_path)["step"] == step
    resumed = train(corpus, tmp_path, settings)
    assert resumed.steps == averaged.steps == 26
    assert same(weights_of(averaged), weights_of(resumed))


def test_a_checkpoint_of_another_run_is_refused(corpus, tmp_path):
    settings = changed(passes=0.1)
    train(corpus, tmp_path / "run", settings)
    with pytest.raises(
        ValueError, match=r"checkpoint\.pt is of a run with other settings \(passes was 0\.1, is"
    ):
        train(corpus, tmp_path / "run", SETTINGS)
    with pytest.raises(ValueError, match=r"other settings \(corpus was .*: use those, name another folder"):
        train(small_corpus(tmp_path, count=40), tmp_path / "run", settings)


def test_a_loss_that_is_not_finite_stops_the_run_before_it_changes_weights(corpus, tmp_path):
    message = r"step \d+ has the loss .* try a lower learning_rate than 1e\+38, more warmup"
    with pytest.raises(FloatingPointError, match=message):
        train(corpus, tmp_path, changed(learning_rate=1e38), checkpoint_seconds=0)
    state = checkpoint_of(tmp_path)
    assert state["step"] >= 1
    assert all(weight.isfinite().all() for weight in state["model"].values())


def test_metrics_are_those_of_a_run_without_interruption(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_REPORT_EVERY", 5)
    settings = changed(evaluate_every=10)
    train(corpus, tmp_path / "whole", settings)
    with interrupted_at(7):
        train(corpus, tmp_path / "parts", settings, checkpoint_seconds=0)
    with interrupted_at(18):
        train(corpus, tmp_path / "parts", settings, checkpoint_seconds=1000)  # steps 7 to 17 are done twice
    train(corpus, tmp_path / "parts", settings)
    for kind, steps in (("training", [5, 10, 15, 20, 25, 26]), ("validation", [10, 20])):
        whole, parts = (metrics_of(tmp_path / name, kind) for name in ("whole", "parts"))
        assert [line["step"] for line in whole] == steps
        for one, two in zip(whole, parts, strict=True):
            assert {n: v for n, v in one.items() if "second" not in n} == {
                n: v for n, v in two.items() if "second" not in n
            }


def test_a_signal_stores_where_the_run_is_without_an_evaluation(
    corpus, trained, tmp_path, monkeypatch, caplog
):
    step = Stepper.step

    def signal_at_five(self, number, rows, rate):
        if number == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, number, rows, rate)

    settings = changed(evaluate_every=5)
    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "step", signal_at_five)
        with pytest.raises(KeyboardInterrupt):
            train(corpus, tmp_path, settings, checkpoint_seconds=1000)
    assert checkpoint_of(tmp_path)["step"] == 5
    assert metrics_of(tmp_path, "validation") == []
    assert "stopped after step 5 of 26: the same run goes on from here" in caplog.text
    assert same(weights_of(train(corpus, tmp_path, settings)), weights_of(trained))


# --- the average of the weights -----------------------------------------------------------------------------


def test_the_average_follows_the_weights():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average, expected = weight_average(model, 0.9), 0.0
    nn.init.ones_(model.weight)
    for step in range(200):
        average.update_parameters(model)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay)
        assert average.module.weight.item() == pytest.approx(expected)


def test_the_average_of_the_weights_is_what_comes_out(corpus, trained, averaged, tmp_path):
    train(corpus, tmp_path, changed(average=0.9))
    state = checkpoint_of(tmp_path)
    assert same(state["model"], weights_of(trained))
    for name, weight in weights_of(averaged).items():
        assert torch.equal(weight, state["average"][f"module.{name}"])
    assert not same(weights_of(averaged), weights_of(trained))


# --- the checkpoint -----------------------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_state(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    assert load_training(path) is None
    save_training(path, {"step": 1})

    def fail(state, file):
        file.write_bytes(b"half of")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="no space left"):
        save_training(path, {"step": 2})
    assert load_training(path) == {"step": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"checkpoint\.pt is damaged .*: remove it to start again"):
        load_training(path)


# --- precision ----------------------------------------------------------------------------------------------


def test_bfloat16_is_left_to_the_machine_and_stays_as_it_was(corpus, tmp_path, monkeypatch):
    settings, weights = changed(passes=0.25, bfloat16=None), []
    for is_fast in (True, False):
        monkeypatch.setattr(loop, "has_fast_bfloat16", lambda device, fast=is_fast: fast)
        run = train(corpus, tmp_path / str(is_fast), settings)
        weights.append(weights_of(run)["output_layer.0.weight"])
        assert run.settings == changed(passes=0.25, bfloat16=is_fast)
        assert checkpoint_of(tmp_path / str(is_fast))["identity"]["bfloat16"] is is_fast
    assert not torch.equal(*weights)
    assert torch.allclose(*weights, atol=0.05)
    with pytest.raises(ValueError, match="bfloat16 was True, is False"):
        train(corpus, tmp_path / "True", settings)


# --- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"passes": float("nan")}, "passes must be above 0, got nan"),
        ({"average": 1.0}, r"average must be a share from 0 to 1, got 1\.0"),
        ({"soft_share": 1.5}, r"soft_share must be a share from 0 to 1, got 1\.5"),
        ({"warmup_steps": -1}, "warmup_steps must not be negative, got -1"),
        ({"word_passes": 1, "start_from": "default"}, "word_passes makes new embeddings, .*: choose one"),
        ({"start_share": 0.3}, r"start_share=0\.3 of which weights\? Set start_from"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Settings(**changes)


def test_the_learning_rate_rises_then_falls_to_zero():
    rates = [learning_rate(step, 100, SETTINGS) for step in range(101)]
    assert rates[:4] == pytest.approx([0.005, 0.01, 0.015, 0.02])
    assert np.all(np.diff(rates[4:]) < 0)
    assert rates[52] == pytest.approx(0.01)
    assert rates[100] == pytest.approx(0)
