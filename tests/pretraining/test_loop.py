"""The loop: the same weights for a seed, also after an interruption; checkpoint, precision."""

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch
from support.hostile import check_mutations, disk_of, run_with_memory
from support.pretraining import SETTINGS, changed, interrupted_at, metrics_of, notes_of, same, weights_of
from support.small_corpus import small_corpus
from torch import nn

from torchmoji.files.tables import npy_header
from torchmoji.pretraining import loop
from torchmoji.pretraining.loop import CHECKPOINT_NAME, Stepper, load_training, save_training, weight_average
from torchmoji.pretraining.pretraining import pretrain, train
from torchmoji.pretraining.settings import Settings, learning_rate

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
        assert notes_of(tmp_path)["step"] == step
    resumed = train(corpus, tmp_path, settings)
    assert resumed.steps == averaged.steps == 26
    assert same(weights_of(averaged), weights_of(resumed))


def test_a_checkpoint_of_another_run_is_refused(corpus, tmp_path):
    settings = changed(passes=0.1)
    train(corpus, tmp_path / "run", settings)
    with pytest.raises(
        ValueError, match=r"checkpoint\.safetensors is of a run with other settings .passes was"
    ):
        train(corpus, tmp_path / "run", SETTINGS)
    with pytest.raises(ValueError, match=r"other settings \(corpus was .*: use those, name another folder"):
        train(small_corpus(tmp_path, count=40), tmp_path / "run", settings)


def test_another_run_takes_the_place_of_one_by_force(corpus, trained, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(loop, "_REPORT_EVERY", 5)
    train(corpus, tmp_path, changed(passes=0.5), force=True)
    with pytest.raises(FileNotFoundError, match="there is no model"):
        train(corpus, tmp_path, changed(start_from="no such"), force=True)
    assert notes_of(tmp_path)["identity"]["passes"] == 0.5  # a run that cannot begin removes nothing
    with interrupted_at(3):
        train(corpus, tmp_path, SETTINGS, force=True)
    assert not (tmp_path / CHECKPOINT_NAME).exists()
    assert metrics_of(tmp_path, "training") == []
    assert "(passes was 0.5, is 2): another run begins in its place" in caplog.text
    with interrupted_at(7):
        train(corpus, tmp_path, SETTINGS, force=True, checkpoint_seconds=0)
    assert same(weights_of(train(corpus, tmp_path, SETTINGS, force=True)), weights_of(trained))
    assert [line["step"] for line in metrics_of(tmp_path, "training")] == [5, 10, 15, 20, 25, 26]


def test_files_of_other_programs_stay(corpus, tmp_path):
    (tmp_path / "metrics.jsonl").write_text("mine")
    with pytest.raises(FileExistsError, match=r"metrics\.jsonl was not written by a training: .*force=True"):
        pretrain(corpus, tmp_path, changed(passes=0.1))
    assert (tmp_path / "metrics.jsonl").read_text() == "mine"
    pretrain(corpus, tmp_path, changed(passes=0.1), force=True)
    assert metrics_of(tmp_path, "training")


def test_a_file_is_the_same_whatever_it_is_called(corpus, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    for name in ("soft.npy", "other/soft.npy"):
        np.save(tmp_path / name, np.ones((len(corpus.rows("train")), 4), dtype=np.float16))
    run = tmp_path / "run"
    monkeypatch.chdir(tmp_path)
    train(corpus, run, changed(soft_targets="soft.npy", passes=0.1))
    tensors, notes = load_training(run / CHECKPOINT_NAME)
    for name in ("./soft.npy", tmp_path / "soft.npy", "other/../soft.npy"):
        train(corpus, run, changed(soft_targets=name, passes=0.1))
    monkeypatch.chdir(tmp_path / "other")
    train(corpus, run, changed(soft_targets="../soft.npy", passes=0.1))
    with pytest.raises(ValueError, match=r"soft_targets was 'soft\.npy', is '\./soft\.npy'"):
        train(corpus, run, changed(soft_targets="./soft.npy", passes=0.1))
    del notes["paths"]  # a checkpoint of before
    save_training(run / CHECKPOINT_NAME, tensors, notes)
    monkeypatch.chdir(tmp_path)
    for name in ("soft.npy", "./soft.npy"):
        train(corpus, run, changed(soft_targets=name, passes=0.1))


def test_a_loss_that_is_not_finite_stops_the_run_before_it_changes_weights(corpus, tmp_path):
    message = r"step \d+ has the loss .* try a lower learning_rate than 1e\+38 or more warmup_steps, in"
    with pytest.raises(FloatingPointError, match=message):
        train(corpus, tmp_path, changed(learning_rate=1e38), checkpoint_seconds=0)
    tensors, notes = load_training(tmp_path / CHECKPOINT_NAME)
    assert notes["step"] >= 1
    assert all(tensors[name].isfinite().all() for name in tensors)


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
            assert one.keys() == two.keys()
            assert all(one[name] == two[name] for name in one if "second" not in name)


def test_a_signal_stores_where_the_run_is_and_no_scores(corpus, trained, tmp_path, monkeypatch, caplog):
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
    assert notes_of(tmp_path)["step"] == 5
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
    tensors, _ = load_training(tmp_path / CHECKPOINT_NAME)
    for name, weight in weights_of(averaged).items():
        assert torch.equal(weight, tensors[f"average.module.{name}"])
        assert torch.equal(weights_of(trained)[name], tensors[f"model.{name}"])
    assert not same(weights_of(averaged), weights_of(trained))


# --- the checkpoint -----------------------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_state(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    assert load_training(path) is None
    save_training(path, {"a": torch.ones(3)}, {"step": 1})
    code = (
        "import sys, torch; from pathlib import Path; from torchmoji.pretraining.loop import save_training\n"
        "save_training(Path(sys.argv[1]), {'a': torch.ones(100_000)}, {'step': 2})"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, preexec_fn=disk_of(100_000), capture_output=True, text=True)
    error = done.stderr.strip().splitlines()[-1]
    assert re.match(r"OSError: (?=.*checkpoint\.safetensors).*File too large", error)
    assert load_training(path)[1] == {"step": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.safetensors"]


@pytest.fixture(scope="module")
def stopped(corpus, tmp_path_factory):
    """The folder of a run with an average that was interrupted after its first step."""
    folder = tmp_path_factory.mktemp("stopped")
    with interrupted_at(1):
        train(corpus, folder, changed(average=0.9), checkpoint_seconds=0)
    return folder


@pytest.mark.parametrize(
    ("changes", "notes", "message"),
    [
        ({"adam.embed.weight.exp_avg": torch.zeros(3)}, {}, r"adam\.embed\.weight\.exp_avg is \(\(3,\), "),
        ({"adam.embed.weight.exp_avg": None}, {}, r"adam\.embed\.weight\.exp_avg is nothing where \(\("),
        ({"adam.embed.weight.step": torch.ones((), dtype=torch.int64)}, {}, r"step is \(\(\), torch\.int64"),
        ({"model.output_layer.0.bias": torch.zeros(4).double()}, {}, r"float64\) where .*float32\) is expe"),
        ({"more": torch.ones(1)}, {}, r"more is \(\(1,\), torch\.float32\) where nothing is expected"),
        ({"random": torch.zeros(5, dtype=torch.uint8)}, {}, r"random is \(\(5,\)"),
        ({"random": torch.full((5056,), 255, dtype=torch.uint8)}, {}, "Invalid mt19937"),
        ({"average.n_averaged": torch.tensor(-9)}, {}, "average is of another number of steps"),
        ({}, {"step": 10**30}, "its numbers of steps"),
        ({}, {"step": True}, "its numbers of steps"),
        ({}, {"losses": ["1"]}, "its numbers of steps"),
        ({}, {"seconds": float("nan")}, "its numbers of steps"),
        ({}, {"written": -1}, "its numbers of steps"),
        ({}, {"identity": []}, "it has no settings"),
    ],
)
def test_a_checkpoint_with_other_parts_is_refused_before_torch_sees_it(
    corpus, stopped, tmp_path, changes, notes, message
):
    tensors, own = load_training(stopped / CHECKPOINT_NAME)
    changed_tensors = {name: tensor for name, tensor in {**tensors, **changes}.items() if tensor is not None}
    save_training(tmp_path / CHECKPOINT_NAME, changed_tensors, own | notes)
    with pytest.raises(ValueError, match=rf"checkpoint\.safetensors is damaged \(.*{message}.*: remove it"):
        train(corpus, tmp_path, changed(average=0.9))


def test_a_damaged_checkpoint_is_named(corpus, stopped, tmp_path):
    """Whatever is changed: a bit of a weight does not get into a run."""
    path = tmp_path / CHECKPOINT_NAME
    shutil.copy(stopped / CHECKPOINT_NAME, path)
    data = path.read_bytes()

    def load(path):
        if path.read_bytes() != data:
            with pytest.raises(ValueError, match=r"checkpoint\.safetensors is damaged .*: remove it to"):
                load_training(path)

    check_mutations(path, load, ())
    path.write_bytes(b"\xff\xff\xff\0\0\0\0\0" + b"[" * 0xFFFFFF)
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors is damaged"):
        load_training(path)


def test_files_that_declare_more_than_they_hold_take_no_memory(tmp_path):
    about = {"dtype": "F32", "shape": [10**10], "data_offsets": [0, 4 * 10**10]}
    header = json.dumps({"a": about, "__metadata__": {"notes": "{}", "sha256": ""}}).encode()
    (tmp_path / CHECKPOINT_NAME).write_bytes(struct.pack("<Q", len(header)) + header)
    (tmp_path / "targets.npy").write_bytes(npy_header(10**9, 300, "<f2"))
    code = """
from pathlib import Path
from torchmoji.pretraining.loop import load_training
from torchmoji.pretraining.loss import open_float16
checkpoint, targets = map(Path, sys.argv[1:])
for read in (lambda: load_training(checkpoint), lambda: open_float16(targets, "", "", (10**9, 300), "")):
    try:
        read()
    except ValueError as error:
        print(error)
"""
    lines = run_with_memory(code, tmp_path / CHECKPOINT_NAME, tmp_path / "targets.npy").splitlines()
    assert [line.split(" (")[0].split(": ")[0] for line in lines] == [
        f"{tmp_path / CHECKPOINT_NAME} is damaged",
        f"{tmp_path / 'targets.npy'} is not an .npy file of numbers",
    ]


# --- precision ----------------------------------------------------------------------------------------------


def test_bfloat16_is_left_to_the_machine_and_stays_as_it_was(corpus, tmp_path, monkeypatch):
    settings, weights = changed(passes=0.25, bfloat16=None), []
    for is_fast in (True, False):
        monkeypatch.setattr(loop, "has_fast_bfloat16", lambda device, fast=is_fast: fast)
        run = train(corpus, tmp_path / str(is_fast), settings)
        weights.append(weights_of(run)["output_layer.0.weight"])
        assert run.settings == changed(passes=0.25, bfloat16=is_fast)
        assert notes_of(tmp_path / str(is_fast))["identity"]["bfloat16"] is is_fast
    assert not torch.equal(*weights)
    assert torch.allclose(*weights, atol=0.05)
    with pytest.raises(ValueError, match="bfloat16 was True, is False"):
        train(corpus, tmp_path / "True", settings)


# --- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 2.5}, r"batch_size must be a whole number, got 2\.5"),
        ({"seed": 1.5}, r"seed must be a whole number, got 1\.5"),
        ({"passes": "2"}, "passes must be a number, got '2'"),
        ({"passes": float("nan")}, "passes must be above 0, got nan"),
        ({"average": 1.0}, r"average must be a share from 0 to 1, got 1\.0"),
        ({"soft_share": 1.5}, r"soft_share must be a share from 0 to 1, got 1\.5"),
        ({"warmup_steps": -1}, "warmup_steps must not be negative, got -1"),
        ({"passes": float("inf")}, "passes must be below 1e9, got inf"),
        ({"learning_rate": float("inf")}, "learning_rate must be finite, got inf"),
        ({"seed": -1}, r"seed must be from 0 to below 2\^63, got -1"),
        ({"evaluation_texts": 0}, "evaluation_texts must be at least 1, got 0"),
        ({"word_passes": 1, "start_from": "default"}, "word_passes makes new embeddings, .*: choose one"),
        ({"start_share": 0.3}, r"start_share=0\.3 of which weights\? Set start_from"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Settings(**changes)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1])
def test_a_time_between_checkpoints_that_is_none_is_refused(corpus, tmp_path, seconds):
    message = f"checkpoint_seconds must be a finite number of 0 or more, got {seconds}"
    with pytest.raises(ValueError, match=message):
        pretrain(corpus, tmp_path, SETTINGS, checkpoint_seconds=seconds)


def test_the_learning_rate_rises_then_falls_to_zero():
    rates = [learning_rate(step, 100, SETTINGS) for step in range(101)]
    assert rates[:4] == pytest.approx([0.005, 0.01, 0.015, 0.02])
    assert np.all(np.diff(rates[4:]) < 0)
    assert rates[52] == pytest.approx(0.01)
    assert rates[100] == pytest.approx(0)
