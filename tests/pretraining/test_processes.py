"""Training in several processes that torchrun starts: on the CPU with gloo; with nccl where GPUs are."""

import dataclasses
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from support.pretraining import changed, curve_of, interrupted_at, metrics_of

from torchmoji import MojiPipeline
from torchmoji.pretraining import loop
from torchmoji.pretraining.distributed import Processes, batch_dropout, joined_processes
from torchmoji.pretraining.loop import Stepper
from torchmoji.pretraining.loss import PretrainingLoss
from torchmoji.pretraining.pretraining import new_model, pretrain, train

PROGRAM = """
import json, os, sys
import torch
from torchmoji.pretraining import loop
from torchmoji.pretraining.pretraining import Settings, pretrain

torch.set_num_threads(1)
loop._REPORT_EVERY = 1
corpus, out, settings, device = sys.argv[1:]
result = pretrain(corpus, out, Settings(**json.loads(settings)), device=device, checkpoint_seconds=0)
assert (result.scores is None) == (os.environ["RANK"] != "0")
"""
SETTINGS = changed(learning_rate=0.01, evaluate_every=10)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def one(corpus, tmp_path_factory):
    """A run of one process with the whole batch."""
    return in_one(corpus, tmp_path_factory.mktemp("one"), SETTINGS)


def in_one(corpus, out, settings):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_REPORT_EVERY", 1)
        pretrain(corpus, out, settings, device="cpu", checkpoint_seconds=0)
    return out


def command_of(folder, corpus, out, settings=SETTINGS, device="cpu"):
    """The program and its arguments, the environment of its processes, and a free port."""
    program = folder / "program.py"
    program.write_text(PROGRAM)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    arguments = (program, corpus.folder, out, json.dumps(dataclasses.asdict(settings)), device)
    return [*map(str, arguments)], os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}, str(port)


def in_two(*arguments, **options):
    """Run both processes with torchrun."""
    program, environment, port = command_of(*arguments, **options)
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
        *("--master-addr", "127.0.0.1", "--master-port", port, *program),
    ]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def assert_as_one(corpus, one, out):
    names = ("step", "loss", "gradient_norm", "learning_rate")
    assert len(curve_of(one, *names)) == 26
    assert np.allclose(curve_of(out, *names), curve_of(one, *names), rtol=1e-4)
    expected, scores = metrics_of(one, "validation"), metrics_of(out, "validation")
    assert [line["texts"] for line in scores] == [line["texts"] for line in expected]
    assert np.allclose(*([line["loss"] for line in lines] for lines in (scores, expected)), rtol=1e-3)
    assert MojiPipeline.from_pretrained(out).classes == tuple(corpus.classes)
    assert "2 processes" in (out / "README.md").read_text(encoding="utf-8")


def test_two_processes_give_the_loss_curve_of_one(corpus, one, tmp_path, monkeypatch):
    """The first is this one, which began alone. Dropout is on, and texts have different numbers of labels."""
    out = tmp_path / "two"
    with interrupted_at(11):
        in_one(corpus, out, SETTINGS)
    program, environment, port = command_of(tmp_path, corpus, out)
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    second = {**shared, "RANK": "1", "LOCAL_RANK": "1"}
    with subprocess.Popen([sys.executable, *program], env=environment | second) as process:
        for name, value in {**shared, "RANK": "0", "LOCAL_RANK": "0"}.items():
            monkeypatch.setenv(name, value)
        in_one(corpus, out, SETTINGS)
    assert process.returncode == 0
    assert_as_one(corpus, one, out)


@pytest.mark.nightly
def test_torchrun_starts_the_processes(corpus, one, tmp_path):
    result = in_two(tmp_path, corpus, tmp_path / "two")
    assert result.returncode == 0, result.stderr
    assert_as_one(corpus, one, tmp_path / "two")


class Part(Processes):
    """A process whose gradients are looked at, not summed."""

    def total(self, values):
        return values

    def parallel(self, model):
        return model


@pytest.mark.parametrize("texts", [7, 1])
def test_the_mean_of_the_gradients_of_two_processes_is_that_of_one(corpus, monkeypatch, texts):
    """A step of one text leaves nothing for the second process, which computes something all the same."""
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda parameters, norm: torch.zeros(()))
    rows, loss = corpus.rows("train"), PretrainingLoss(corpus, SETTINGS)

    def gradients(processes):
        torch.manual_seed(0)
        model = new_model(SETTINGS, corpus.nb_tokens, len(corpus.classes)).train()
        with batch_dropout(model, SETTINGS.seed) as batch:
            stepper = Stepper(model, rows, loss, SETTINGS, processes, batch)
            value, _ = stepper.step(3, np.arange(texts), 0.0)
        return value, [weight.grad for weight in model.parameters()]

    with torch.random.fork_rng(devices=[]):
        whole, expected = gradients(Processes(CPU))
        parts = [gradients(Part(CPU, rank, 2)) for rank in range(2)]
    assert sum(value for value, _ in parts) == pytest.approx(whole, rel=1e-5)
    for weight, one, two in zip(expected, *(part for _, part in parts), strict=True):
        assert torch.allclose(weight, (one + two) / 2, atol=1e-6)


@pytest.mark.nightly
def test_all_processes_stop_when_the_loss_is_not_finite(corpus, tmp_path):
    result = in_two(tmp_path, corpus, tmp_path / "two", dataclasses.replace(SETTINGS, learning_rate=1e38))
    assert result.returncode != 0
    assert result.stderr.count("FloatingPointError: step") == 2


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_give_the_loss_curve_of_one_process(corpus, tmp_path):
    settings = dataclasses.replace(SETTINGS, embed_dropout_rate=0, final_dropout_rate=0)
    result = in_two(tmp_path, corpus, tmp_path / "two", settings, device="cuda")
    assert result.returncode == 0, result.stderr
    expected = curve_of(in_one(corpus, tmp_path / "one", settings), "loss")
    assert np.allclose(curve_of(tmp_path / "two", "loss"), expected, rtol=1e-3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_device_that_is_not_there_is_refused():
    message = "there is no device cuda: 0 CUDA devices are there"
    with pytest.raises(ValueError, match=message), joined_processes("cuda"):
        pass


def test_processes_that_find_different_checkpoints_are_stopped(corpus, tmp_path):
    class Second(Part):
        """The other process, the first, finds a checkpoint at step 5."""

        def total(self, values):
            return values + 5 if values.item() == 0 else values

    with pytest.raises(ValueError, match=r"process 1 finds .* at step 0, the first one at step 5: all proc"):
        train(corpus, tmp_path, SETTINGS, processes=Second(CPU, 1, 2))
