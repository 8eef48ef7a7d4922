"""Training in several processes that torchrun starts: on the CPU with gloo; with nccl where GPUs are."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from support.curves import curve_of
from support.small_corpus import small_corpus
from support.stopping import interrupted_at

from torchmoji import MojiPipeline
from torchmoji.pretraining import loop as pretraining_run
from torchmoji.pretraining.distributed import Processes, joined_processes
from torchmoji.pretraining.pretraining import STORED, Settings, pretrain, train

PROGRAM = """
import dataclasses, json, os, sys
import torch
from torchmoji.pretraining import loop as pretraining_run
from torchmoji.pretraining.pretraining import Settings, pretrain

torch.set_num_threads(1)
pretraining_run._TELL_EVERY = 1
corpus, out, settings, device = sys.argv[1:]
made = pretrain(corpus, out, Settings(**json.loads(settings)), device=device, checkpoint_seconds=0)
assert (made.scores is None) == (os.environ["RANK"] != "0")
"""
SETTINGS = {
    "embedding_dim": 6,
    "hidden_size": 5,
    "passes": 2,
    "batch_size": 8,
    "learning_rate": 0.01,
    "warmup_steps": 4,
    "bfloat16": False,
    "class_weights": 0.5,
    "evaluate_every": 10,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The last step of a pass has an odd number of texts, and texts have one or two labels."""
    corpus = small_corpus(tmp_path_factory.mktemp("small"), count=120, validation=0.15)
    assert len(corpus.rows("train")) % 8 % 2 == 1
    return corpus


@pytest.fixture(scope="module")
def one(corpus, tmp_path_factory):
    """A run of one process with the whole batch."""
    out = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining_run, "_TELL_EVERY", 1)
        pretrain(corpus, out, Settings(**SETTINGS))
    return out


def torchrun(folder, corpus, out, processes, device="cpu", **changes):
    program = folder / "program.py"
    program.write_text(PROGRAM)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)),
        *("--master-addr", "127.0.0.1", "--master-port", str(port)),
        *map(str, (program, corpus.folder, out, json.dumps({**SETTINGS, **changes}), device)),
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    environment |= {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_two_processes_give_the_loss_curve_of_one(corpus, one, tmp_path):
    """Dropout is on, classes have weights, and texts have different numbers of labels."""
    result = torchrun(tmp_path, corpus, tmp_path / "two", 2)
    assert result.returncode == 0, result.stderr
    names = ("step", "loss", "gradient_norm", "learning_rate")
    expected, found = curve_of(one, *names), curve_of(tmp_path / "two", *names)
    assert len(expected) > 20
    assert np.allclose(found, expected, rtol=1e-4)
    evaluations = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines() if "first" in line]
        for folder in (one, tmp_path / "two")
    ]
    assert [line["texts"] for line in evaluations[0]] == [line["texts"] for line in evaluations[1]]
    assert np.allclose(*([line["loss"] for line in lines] for lines in evaluations), rtol=1e-3)
    pipeline = MojiPipeline.from_pretrained(tmp_path / "two")
    assert pipeline.classes == tuple(corpus.classes)
    assert "2 processes" in (tmp_path / "two" / "README.md").read_text(encoding="utf-8")


def test_a_run_of_one_process_goes_on_in_two(corpus, one, tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining_run, "_TELL_EVERY", 1)
    with interrupted_at(11):
        pretrain(corpus, tmp_path / "run", Settings(**SETTINGS), checkpoint_seconds=0)
    result = torchrun(tmp_path, corpus, tmp_path / "run", 2)
    assert result.returncode == 0, result.stderr
    assert np.allclose(curve_of(tmp_path / "run", "step", "loss"), curve_of(one, "step", "loss"), rtol=1e-4)


def test_a_step_may_have_fewer_texts_than_parts(corpus, tmp_path, monkeypatch):
    """A step of one text leaves nothing for the second process, which must not be waited for in vain."""
    changes = {"batch_size": len(corpus.rows("train")) - 1, "passes": 1, "accumulation": 2}
    result = torchrun(tmp_path, corpus, tmp_path / "two", 2, **changes)
    assert result.returncode == 0, result.stderr
    monkeypatch.setattr(pretraining_run, "_TELL_EVERY", 1)
    pretrain(corpus, tmp_path / "one", Settings(**{**SETTINGS, **changes, "accumulation": 1}))
    expected = curve_of(tmp_path / "one", "step", "loss", "gradient_norm")
    assert len(expected) == 2
    assert np.allclose(curve_of(tmp_path / "two", "step", "loss", "gradient_norm"), expected, rtol=1e-4)


def test_all_processes_stop_when_the_loss_is_not_finite(corpus, tmp_path):
    result = torchrun(tmp_path, corpus, tmp_path / "two", 2, learning_rate=1e38)
    assert result.returncode != 0
    assert result.stderr.count("FloatingPointError: step") == 2


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_give_the_loss_curve_of_one_process(corpus, one, tmp_path):
    result = torchrun(
        tmp_path, corpus, tmp_path / "two", 2, device="cuda", embed_dropout_rate=0, final_dropout_rate=0
    )
    assert result.returncode == 0, result.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining_run, "_TELL_EVERY", 1)
        settings = Settings(**{**SETTINGS, "embed_dropout_rate": 0, "final_dropout_rate": 0})
        made = pretrain(corpus, tmp_path / "one", settings, device="cpu")
    assert made.scores[STORED].texts
    assert np.allclose(curve_of(tmp_path / "two", "loss"), curve_of(tmp_path / "one", "loss"), rtol=1e-3)


def test_one_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined_processes("cpu") as processes:
        assert processes == Processes(torch.device("cpu"), 0, 1)
        assert processes.is_first
        model = torch.nn.Linear(1, 1)
        assert processes.parallel(model) is model
        assert processes.total(torch.ones(2)).tolist() == [1, 1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_device_that_is_not_there_is_refused():
    with (
        pytest.raises(ValueError, match="there is no device cuda: 0 CUDA devices are there"),
        joined_processes("cuda"),
    ):
        pass


class Others(Processes):
    """Two processes of which the other one, the first, finds a checkpoint at step 5."""

    def total(self, values):
        return values + 5 if values.item() == 0 else values

    def parallel(self, model):
        return model


def test_processes_that_find_different_checkpoints_are_stopped(corpus, tmp_path):
    processes = Others(torch.device("cpu"), 1, 2)
    with pytest.raises(ValueError, match=r"process 1 finds .* at step 0, the first one at step 5: all proc"):
        train(corpus, tmp_path, Settings(**SETTINGS), processes=processes)
