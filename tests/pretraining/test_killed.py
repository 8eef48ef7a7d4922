"""A run of one process that is killed at any moment, and started again, ends with bit-identical weights."""

import os
import signal
import subprocess
import sys

import pytest
import torch
from support.small_corpus import small_corpus

from torchmoji.pretraining.loop import load_training
from torchmoji.pretraining.pretraining import Settings, train

PROGRAM = """
import os, signal, sys
from pathlib import Path
import torch
from torchmoji.pretraining import loop as pretraining_steps
from torchmoji.pretraining import loop as training_checkpoint
from torchmoji.corpus.shards import Corpus
from torchmoji.pretraining.pretraining import Settings, train

corpus, folder, step, moment = sys.argv[1:]
torch.set_num_threads(1)
saved = [0]

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def killing_save(state, path):
    saved[0] += 1
    if saved[0] < int(step):
        return save(state, path)
    save(state, path)
    if moment == "half written":
        Path(path).write_bytes(Path(path).read_bytes()[:1000])
    kill()

def killing_replace(path, target):
    result = replace(path, target)
    if saved[0] == int(step):
        kill()
    return result

def killing_step(stepper, number, *rest):
    result = do_step(stepper, number, *rest)
    if number + 1 == int(step):
        kill()
    return result

save, replace, do_step = torch.save, Path.replace, pretraining_steps.Stepper.step
if moment == "renamed":
    torch.save = lambda state, path: (saved.__setitem__(0, saved[0] + 1), save(state, path))
    Path.replace = killing_replace
elif moment == "between":
    pretraining_steps.Stepper.step = killing_step
else:
    torch.save = killing_save
settings = Settings(**eval({settings!r}))
train(Corpus.load(corpus), folder, settings, checkpoint_seconds=0)
"""
SETTINGS = {
    "embedding_dim": 6,
    "hidden_size": 5,
    "passes": 2,
    "batch_size": 8,
    "learning_rate": 0.02,
    "warmup_steps": 4,
    "average": 0.9,
    "balanced_sampling": 0.5,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("small"), count=100, validation=0.2)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "train.py"
    path.write_text(PROGRAM.format(settings=repr(SETTINGS)))
    return path


@pytest.fixture(autouse=True)
def _one_thread():
    """As in the program: sums over several threads could be rounded in another way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def undisturbed(corpus, tmp_path):
    return train(corpus, tmp_path / "undisturbed", Settings(**SETTINGS)).model.state_dict()


@pytest.mark.parametrize(
    ("step", "moment", "done"),
    [
        (1, "half written", None),
        (7, "half written", 6),
        (10, "whole but not renamed", 9),
        (12, "renamed", 12),
        (9, "between", 8),
    ],
)
def test_a_killed_run_ends_with_bit_identical_weights(
    corpus, program, undisturbed, tmp_path, step, moment, done
):
    folder = tmp_path / "killed"
    command = [sys.executable, program, corpus.folder, folder, step, moment]
    killed = subprocess.run(list(map(str, command)), env=environment(), check=False)
    assert killed.returncode == -signal.SIGKILL
    state = load_training(folder / "checkpoint.pt")
    assert (state and state["step"]) == done
    resumed = train(corpus, folder, Settings(**SETTINGS), checkpoint_seconds=0)
    found = resumed.model.state_dict()
    assert all(torch.equal(weight, found[name]) for name, weight in undisturbed.items())
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.pt", "metrics.jsonl"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_stores_where_it_is(corpus, program, undisturbed, tmp_path, number):
    """However seldom checkpoints are written, no step is done twice."""
    folder = tmp_path / "asked"
    asking = program.with_name(f"asked-{number.name}.py")
    source = program.read_text().replace("checkpoint_seconds=0", "checkpoint_seconds=1000")
    asking.write_text(source.replace("signal.SIGKILL", f"signal.{number.name}"))
    command = [sys.executable, asking, corpus.folder, folder, 9, "between"]
    stopped = subprocess.run(
        list(map(str, command)), env=environment(), check=False, capture_output=True, text=True
    )
    assert stopped.returncode == -number
    assert "stopped after step 9 of 22: the same run goes on from here" in stopped.stderr
    assert load_training(folder / "checkpoint.pt")["step"] == 9
    resumed = train(corpus, folder, Settings(**SETTINGS))
    found = resumed.model.state_dict()
    assert all(torch.equal(weight, found[name]) for name, weight in undisturbed.items())


def environment():
    return os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
