"""A run of one process that is killed at any moment, and started again, ends with bit-identical weights."""

import dataclasses
import os
import signal
import subprocess
import sys

import pytest
from support.pretraining import changed, notes_of, same, weights_of

from torchmoji.pretraining.loop import load_training
from torchmoji.pretraining.pretraining import train

PROGRAM = """
import os, signal, sys
from pathlib import Path
import torch
from torchmoji.corpus.shards import Corpus
from torchmoji.pretraining import loop
from torchmoji.pretraining.pretraining import Settings, train

corpus, folder, number, step, moment, seconds = sys.argv[1:]
torch.set_num_threads(1)
saves, step = 0, int(step)
save, do_step = loop.save_file, loop.Stepper.step

def end():
    os.kill(os.getpid(), int(number))

def killing_save(state, path, metadata):
    global saves
    saves += 1
    save(state, path, metadata)
    if saves == step:
        if moment == "half written":
            Path(path).write_bytes(Path(path).read_bytes()[:1000])
        end()

def killing_step(stepper, number, *rest):
    result = do_step(stepper, number, *rest)
    if number + 1 == step:
        end()
    return result

if moment == "between":
    loop.Stepper.step = killing_step
else:
    loop.save_file = killing_save
train(Corpus.load(corpus), folder, Settings(**{settings!r}), checkpoint_seconds=float(seconds))
"""
SETTINGS = changed(average=0.9)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "train.py"
    path.write_text(PROGRAM.replace("{settings!r}", repr(dataclasses.asdict(SETTINGS))))
    return path


def ended(program, corpus, folder, number, *arguments):
    """The error output of the program, which a signal ends."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, *map(str, (program, corpus.folder, folder, int(number), *arguments))]
    result = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert result.returncode == -number, result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("step", "moment", "done"),
    [
        (7, "half written", 6),
        pytest.param(1, "half written", None, marks=pytest.mark.nightly),
        pytest.param(10, "whole but not renamed", 9, marks=pytest.mark.nightly),
        pytest.param(9, "between", 8, marks=pytest.mark.nightly),
    ],
)
def test_a_killed_run_ends_with_the_same_weights(corpus, averaged, program, tmp_path, step, moment, done):
    folder = tmp_path / "killed"
    ended(program, corpus, folder, signal.SIGKILL, step, moment, 0)
    state = load_training(folder / "checkpoint.safetensors")
    assert (state and state[1]["step"]) == done
    resumed = train(corpus, folder, SETTINGS, checkpoint_seconds=0)
    assert same(weights_of(resumed), weights_of(averaged))
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.safetensors", "metrics.jsonl"]


@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_by_a_signal_stores_where_it_is(corpus, averaged, program, tmp_path, number):
    """However seldom checkpoints are written, no step is done twice."""
    errors = ended(program, corpus, tmp_path / "stopped", number, 9, "between", 1000)
    assert "stopped after step 9 of 26: the same run goes on from here" in errors
    assert notes_of(tmp_path / "stopped")["step"] == 9
    assert same(weights_of(train(corpus, tmp_path / "stopped", SETTINGS)), weights_of(averaged))
