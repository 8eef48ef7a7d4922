"""Small runs of pretraining: their settings, what they have written, and how to interrupt them."""

import dataclasses
import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from torchmoji.pretraining.loop import CHECKPOINT_NAME, Stepper, load_training
from torchmoji.pretraining.settings import Settings

SETTINGS = Settings(
    embedding_dim=6, hidden_size=5, passes=2, batch_size=8, learning_rate=0.02, warmup_steps=4, bfloat16=False
)


def changed(**changes):
    return dataclasses.replace(SETTINGS, **changes)


def weights_of(trained):
    return trained.model.state_dict()


def notes_of(folder):
    """What the checkpoint in a folder holds but for tensors."""
    return load_training(folder / CHECKPOINT_NAME)[1]


def same(one, two):
    """Whether two state dicts are bit for bit the same."""
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def metrics_of(folder, kind):
    """The lines of a kind, "training" or "validation"."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == kind]


def curve_of(folder, *names):
    """Values of each report of training, (reports, names)."""
    return np.array([[line[name] for name in names] for line in metrics_of(folder, "training")])


@contextmanager
def interrupted_at(number):
    """Interrupt what trains in the block before a step, counted from 0."""
    step = Stepper.step

    def stop(self, current, rows, rate):
        if current == number:
            raise KeyboardInterrupt
        return step(self, current, rows, rate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stepper, "step", stop)
        with pytest.raises(KeyboardInterrupt):
            yield
