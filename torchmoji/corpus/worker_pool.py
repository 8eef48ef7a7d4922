"""Runs a function on many tasks in several processes, results in order, few tasks at a time.

On top of `concurrent.futures`: tasks are taken from their iterator only when there is room, so that memory
does not grow with their number, and the processes end when the one that started them is killed.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_TASKS_A_WORKER = 2
"""One that runs and one that waits."""


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin() -> None:
    """Set a worker up: Ctrl-C is for the first process, whose end is also this one's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


class WorkerPool:
    """Processes that are started at first use; with one worker everything runs in this process.

    Args:
        workers: How many.

    Raises:
        ValueError: There are fewer than one.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *error: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Give the results in the order of the tasks.

        Args:
            function: Of a module's top level, so that other processes find it.
            tasks: Anything that can be pickled; read a few ahead.

        Raises:
            ChildProcessError: A worker was killed.
        """
        if self.workers == 1:
            yield from map(function, tasks)
            return
        if self._executor is None:
            # a fork would copy the state of threads, such as pyarrow's
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self.workers, context, initializer=_begin)
        waiting: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                waiting.append(self._executor.submit(function, task))
                if len(waiting) >= self.workers * _TASKS_A_WORKER:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "a worker process died: memory may have run out, or a program that is not guarded by "
                'if __name__ == "__main__" was started again; workers=1 does without processes'
            ) from error
        finally:
            for future in waiting:
                future.cancel()
