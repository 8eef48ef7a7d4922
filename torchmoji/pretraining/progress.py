"""The progress that a training reports, and signals that wait until one of its steps is done."""

import json
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

logger = logging.getLogger(__name__)

METRICS_NAME = "metrics.jsonl"
_OUR_LINE = re.compile(rb'\{"step": \d+, "kind": "(training|validation)"')


def check_metrics(folder: Path, is_ours: bool) -> None:
    """Raise FileExistsError where `metrics.jsonl` is a link, no file, or, unless `is_ours`, another's."""
    path = folder / METRICS_NAME
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_file():
        raise FileExistsError(f"{path} is a link or no file, and is not written into: remove it")
    with open(path, "rb") as file:
        start = file.read(100)
    if not is_ours and start and not _OUR_LINE.match(start):
        raise FileExistsError(
            f"{path} was not written by a training: name another folder, or force=True to replace the file"
        )


class TrainingProgress:
    """Reports how a training goes: as a bar, in the log and in `metrics.jsonl`.

    A run that goes on from a checkpoint cuts off what was written after it, so that each step stands there
    once: at `step` the file had `written` bytes. `shown` is for a bar where there is a terminal; a process
    that is not the first says nothing at all.
    """

    def __init__(
        self, folder: Path, total_steps: int, step: int, written: int, shown: bool, is_first: bool = True
    ) -> None:
        self.total_steps, self._is_first = total_steps, is_first
        self._path = folder / METRICS_NAME
        if is_first:
            with open(self._path, "ab") as file:
                file.truncate(min(written, os.fstat(file.fileno()).st_size))
        disable = None if shown and is_first else True  # None: where there is no terminal
        self._bar = tqdm(total=total_steps, initial=step, unit="step", disable=disable)
        self._texts, self._since = 0, time.monotonic()

    @property
    def written(self) -> int:
        """Bytes of the metrics so far."""
        return self._path.stat().st_size if self._is_first else 0

    def advance(self, texts: int) -> None:
        """A step with so many texts is done."""
        self._texts += texts
        self._bar.update()

    def report_training(self, step: int, seconds: float, metrics: dict[str, float]) -> None:
        """Report metrics, the loss among them, after so many steps and seconds of the run."""
        now = time.monotonic()
        speed = self._texts / max(now - self._since, 1e-9)
        left = seconds / max(step, 1) * (self.total_steps - step)
        self._texts, self._since = 0, now
        times = {"texts_per_second": speed, "seconds": seconds, "seconds_left": left}
        self._write(step, "training", metrics | times)
        if self._is_first:
            self._bar.set_postfix(loss=f"{metrics['loss']:.4f}", texts_per_second=f"{speed:.0f}")
            logger.info(
                "step %d of %d: loss %.4f, %.0f texts/s, %s left",
                *(step, self.total_steps, metrics["loss"], speed, tqdm.format_interval(left)),
            )

    def report_evaluation(self, step: int, metrics: dict[str, float]) -> None:
        """Say how well the model guesses after some steps."""
        self._write(step, "validation", metrics)
        if self._is_first:
            names = ("first", "first_five", "average_first", "average_first_five")
            logger.info(
                "step %d: first guess %.1f%%, first five %.1f%%, averaged over classes %.1f%%, %.1f%%",
                *(step, *(100 * metrics[name] for name in names)),
            )
        self._texts, self._since = 0, time.monotonic()  # the time was not training's

    def _write(self, step: int, kind: str, metrics: dict[str, float]) -> None:
        if self._is_first:
            rounded = {name: float(f"{value:.6g}") for name, value in metrics.items()}
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, "kind": kind, **rounded}) + "\n")

    def close(self) -> None:
        """Finish the bar."""
        self._bar.close()


@contextmanager
def deferred_signals() -> Iterator[list[signal.Signals]]:
    """Defer Ctrl-C (SIGINT) and SIGTERM to the end of the block; a second one takes effect at once.

    Yields the signals that came, none or one, at which the block is to look between two steps. Outside the
    main thread, where Python allows no handlers, nothing is deferred. Neither is a signal whose handler is
    not Python's default: another program has plans for it.
    """
    came: list[signal.Signals] = []
    before: dict[signal.Signals, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        came.append(signal.Signals(number))
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    if threading.current_thread() is threading.main_thread():
        defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
        for number, default in defaults.items():
            if signal.getsignal(number) is default:
                before[number] = signal.signal(number, note)
    try:
        yield came
    finally:
        restore()
    if came == [signal.SIGINT]:
        raise KeyboardInterrupt
    if came:
        os.kill(os.getpid(), came[0])
        raise SystemExit(128 + came[0])  # the first process of a container survives its own signals
