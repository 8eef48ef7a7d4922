"""What a training says while it runs: a bar, the log, `metrics.jsonl` and TensorBoard.

A run that goes on from a checkpoint cuts off what was written after it, so that each step stands there once.
"""

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

logger = logging.getLogger(__name__)

METRICS_NAME = "metrics.jsonl"
TENSORBOARD_NAME = "tensorboard"


class TrainingProgress:
    """Tells how a training goes on.

    Args:
        folder: For the files.
        total_steps: Of the run.
        shown: Show a bar, write to the log.
        tensorboard: Write for TensorBoard as well.
        is_first: Whether this process says anything at all.

    Raises:
        ModuleNotFoundError: TensorBoard is missing.
    """

    def __init__(
        self, folder: Path, total_steps: int, shown: bool, tensorboard: bool, is_first: bool = True
    ) -> None:
        self.total_steps, self._is_first = total_steps, is_first
        self._path = folder / METRICS_NAME
        self._shown = shown and is_first
        self._make_board = _summary_writer(folder / TENSORBOARD_NAME) if tensorboard and is_first else None
        self._board: Any = None
        self._bar: Any = None
        self._texts = 0
        self._since = time.monotonic()

    def begin(self, step: int, written: int) -> None:
        """Start at a step.

        Args:
            step: Those done.
            written: Bytes of the metrics at that step.
        """
        if self._is_first:
            with open(self._path, "ab") as file:
                file.truncate(min(written, os.fstat(file.fileno()).st_size))
        if self._make_board is not None:
            self._board = self._make_board(step)
        # None: where there is a terminal
        disable = None if self._shown else True
        self._bar = tqdm(total=self.total_steps, initial=step, unit="step", disable=disable)
        self._since = time.monotonic()

    @property
    def written(self) -> int:
        """Bytes of the metrics so far."""
        return self._path.stat().st_size if self._is_first and self._path.is_file() else 0

    def advance(self, texts: int) -> None:
        """A step is done."""
        self._texts += texts
        self._bar.update()

    def tell_training(self, step: int, seconds: float, metrics: dict[str, float]) -> None:
        """Say how training goes.

        Args:
            step: Those done.
            seconds: Of the run so far.
            metrics: Name -> number.
        """
        now = time.monotonic()
        speed = self._texts / max(now - self._since, 1e-9)
        left = seconds / max(step, 1) * (self.total_steps - step)
        self._texts, self._since = 0, now
        self._write(
            step,
            "training",
            metrics | {"texts_per_second": speed, "seconds": seconds, "seconds_left": left},
        )
        if self._is_first:
            self._bar.set_postfix(loss=f"{metrics['loss']:.4f}", texts_per_second=f"{speed:.0f}")
            logger.info(
                "step %d of %d: loss %.4f, %.0f texts/s, %s left",
                *(step, self.total_steps, metrics["loss"], speed, tqdm.format_interval(left)),
            )

    def tell_evaluation(self, step: int, metrics: dict[str, float]) -> None:
        """Say how well the model guesses after some steps."""
        self._write(step, "validation", metrics)
        if self._is_first:
            logger.info(
                "step %d: first guess %.1f%%, first five %.1f%%, averaged over classes %.1f%%, %.1f%%",
                step,
                *(100 * metrics[name] for name in ("first", "first_five", "average_first")),
                100 * metrics["average_first_five"],
            )
        self._texts, self._since = 0, time.monotonic()  # the time was not training's

    def _write(self, step: int, kind: str, metrics: dict[str, float]) -> None:
        if not self._is_first:
            return
        rounded = {name: float(f"{value:.6g}") for name, value in metrics.items()}
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "kind": kind, **rounded}) + "\n")
        if self._board is not None:
            for name, value in metrics.items():
                self._board.add_scalar(f"{kind}/{name}", value, step)
            self._board.flush()

    def close(self) -> None:
        """Finish the bar and the files."""
        if self._bar is not None:
            self._bar.close()
        if self._board is not None:
            self._board.close()


def _summary_writer(folder: Path) -> Callable[[int], Any]:
    """What makes a writer at a step, from which on it hides what was written before."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "TensorBoard's files need tensorboard, which is not installed: pip install tensorboard",
            name="tensorboard",
        ) from error
    return lambda step: SummaryWriter(os.fspath(folder), purge_step=step + 1 if step else None)


# --- Asks to stop (Ctrl-C, SIGTERM) that wait until a piece of work is whole

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether somebody asked to stop.

    Attributes:
        signal: Who asked, None for nobody.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None


@contextmanager
def waiting_stop() -> Iterator[StopRequest]:
    """Note asks to stop within the block; in the end handlers are as before, and what was asked happens.

    Outside the main thread, where Python allows no handlers, nothing is noted and nothing changes. Neither
    is a signal whose handler is not Python's default: another program has plans for it.

    Yields:
        What the block is to look at between two steps.
    """
    asked = StopRequest()
    before: dict[signal.Signals, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        asked.signal = signal.Signals(number)
        put_back()  # so that a second time ends it at once

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    if threading.current_thread() is threading.main_thread():
        for number, default in zip(_SIGNALS, (signal.default_int_handler, signal.SIG_DFL), strict=True):
            if signal.getsignal(number) is default:
                before[number] = signal.signal(number, note)
    try:
        yield asked
    finally:
        put_back()
    if asked.signal is signal.SIGINT:
        raise KeyboardInterrupt
    if asked.signal is not None:
        os.kill(os.getpid(), asked.signal)
        raise SystemExit(128 + asked.signal)  # the first process of a container survives its own signals
