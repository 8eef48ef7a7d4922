"""Runs of pretraining that are interrupted."""

from contextlib import contextmanager

import pytest

from torchmoji.pretraining.loop import Stepper


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


def interrupted_answers(make, asked, number=3):
    """Make what `make` makes, a function of rows, so that one of its calls is interrupted.

    Args:
        make: Takes anything.
        asked: Receives how many rows each call is for; its length counts the calls.
        number: Of the call, from 1 on.
    """

    def made(*arguments):
        ask = make(*arguments)

        def answer(rows):
            asked.append(len(rows))
            if len(asked) == number:
                raise KeyboardInterrupt
            return ask(rows)

        return answer

    return made
