"""Runs of pretraining that are interrupted."""

from contextlib import contextmanager

import pytest

from torchmoji.pretraining_steps import Stepper


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
