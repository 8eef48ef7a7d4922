"""Asks to stop (Ctrl-C, SIGTERM) that wait until a piece of work is whole.

A long run looks between two steps whether it was asked, stores what it has, and stops then. Whoever asks
twice stops it at once.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

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
