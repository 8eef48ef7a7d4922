"""Processes that each load something once, such as a model, and apply it to items, on all cores of a machine.

    with Workers(load, workers=4) as pool:
        for result in pool.map(items):
            ...

A worker is a new Python that reads items from its standard input and writes results to its standard output,
so it may be started after torch has computed, on every system, and by a program without
`if __name__ == "__main__"`. Pools of joblib and `concurrent.futures` end as a whole when a worker of theirs
is killed, and outlive a program that is killed. Here a thread for each process starts it again, and
the end of its input tells a worker that its program has gone.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import suppress
from queue import SimpleQueue
from typing import IO, Any, Generic, TypeVar

from joblib import cpu_count, wrap_non_picklable_objects

from torchmoji.runtime.machine import THREADS_SWITCH, check_threads
from torchmoji.runtime.options import checked_count

T = TypeVar("T")
R = TypeVar("R")

ATTEMPTS = 4
"""Processes that may die over an item."""
_AHEAD = 2  # items for each worker that are read before the first result of them is taken
_PROGRAM = (
    "import pickle, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from torchmoji.runtime.workers import serve; serve()"
)
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", THREADS_SWITCH)
"""Environment variables that say how many threads torch, NumPy and ONNX Runtime take."""


class Workers(Generic[T, R]):
    """A pool of processes, to be used as a context manager, which ends them.

    `load` is called once in each process and returns the function that is applied to items; it is pickled,
    also where it is a closure or was defined in a program. There are at most so many `workers`, each started
    with its first item. `threads` of each process are for torch, NumPy and ONNX Runtime; by default the cores
    divided by the workers, at least 1. ValueError where `workers` or `threads` is no whole number from 1 on,
    and any other error where `load` cannot be pickled.
    """

    def __init__(
        self, load: Callable[[], Callable[[T], R]], workers: int, threads: int | None = None
    ) -> None:
        self.workers = checked_count("workers", workers)
        check_threads(threads)
        self.threads = threads or max(1, cpu_count() // self.workers)
        self._load = pickle.dumps(wrap_non_picklable_objects(load))
        self._jobs: SimpleQueue[tuple[bytes, Future[bytes]] | None] = SimpleQueue()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._starting = threading.Lock()
        self._is_closed = False
        self._threads = [threading.Thread(target=self._attend, daemon=True) for _ in range(self.workers)]

    def __enter__(self) -> "Workers[T, R]":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._starting:
            self._is_closed = True
            for process in self._processes:
                process.kill()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def map(self, items: Iterable[T]) -> Iterator[R]:
        """Apply the function to items, of which a few for each worker are read ahead.

        The results are in the order of the items. What the function, or `load`, raised for an item comes
        after the results of those before; where several processes died over one item, ChildProcessError.
        """
        pending: deque[Future[bytes]] = deque()
        remaining = iter(items)
        failed: Exception | None = None
        while True:
            try:
                while failed is None and len(pending) < _AHEAD * self.workers:
                    data = pickle.dumps(next(remaining), pickle.HIGHEST_PROTOCOL)
                    pending.append(Future())
                    self._jobs.put((data, pending[-1]))
            except Exception as error:  # StopIteration as well; told when its turn has come
                failed = error
            if failed and not pending:
                if isinstance(failed, StopIteration):
                    return
                raise failed
            while not pending[0].done():
                wait([pending[0]], timeout=1)  # without a limit Windows would not let Ctrl-C through
            yield result_of(pending.popleft().result())

    # --- in the threads, one for each process -------------------------------------------------------------

    def _attend(self) -> None:
        """Hand items to a process, which is started again when it dies."""
        process: subprocess.Popen[bytes] | None = None
        status: object = None
        while job := self._jobs.get():
            data, future = job
            for _ in range(1 if self._is_closed else ATTEMPTS):
                try:
                    if process is None:
                        process = self._start()
                        _send(process.stdin, sys.path)
                        _send(process.stdin, self._load)
                    _send(process.stdin, data)
                    future.set_result(_receive(process.stdout))
                    break
                except Exception as error:
                    status = self._end(process) if process else repr(error)
                    process = None
            else:
                future.set_exception(
                    ChildProcessError(
                        f"{ATTEMPTS} worker processes died over the same texts ({status}): memory may have "
                        "run out, of which fewer workers take less"
                    )
                )
        if process:
            self._end(process)

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._starting:
            if self._is_closed:
                raise EOFError
            process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | dict.fromkeys(_THREADS, str(self.threads)),
                start_new_session=True,  # the terminal's Ctrl-C is for the program alone
            )
            self._processes.add(process)
        return process

    def _end(self, process: "subprocess.Popen[bytes]") -> str:
        """End a process that does not answer; says how it ended."""
        process.kill()
        status = process.wait()
        with suppress(OSError):  # what could not be sent
            process.communicate()
        with self._starting:
            self._processes.discard(process)
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"


# --- in a process -------------------------------------------------------------------------------------------


def serve() -> None:
    """Apply the function that the first message loads to all others, until the input ends."""
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything prints is not an answer
    load = _receive(source)
    items: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_read, args=(source, items), daemon=True).start()
    function = None

    def apply(data: bytes) -> object:
        nonlocal function, load
        if function is None:
            function, load = pickle.loads(load)(), b""
        return function(pickle.loads(data))

    while True:
        _send(answers, answer_of(apply, items.get()))


def _read(source: IO[bytes], items: "SimpleQueue[bytes]") -> None:
    """Items as they come; at the end of the input the program has gone, so the process goes at once."""
    try:
        while True:
            items.put(_receive(source))
    finally:
        os._exit(0)


def answer_of(function: Callable[[Any], object], item: object) -> bytes:
    """A pickled result, or error, or what the error says where it cannot be pickled and back."""
    try:
        return pickle.dumps((function(item), None, ""), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        trace = traceback.format_exc()
        try:
            answer = pickle.dumps((None, error, trace))
            pickle.loads(answer)
        except Exception:
            answer = pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}"), trace))
        return answer


def result_of(answer: bytes) -> Any:
    """The result in what `answer_of` gave; raises where it is an error."""
    result, error, trace = pickle.loads(answer)
    if error is not None:
        raise error from RuntimeError(f"in a worker:\n{trace}")
    return result


# --- messages -----------------------------------------------------------------------------------------------


def _send(file: Any, message: object) -> None:
    pickle.dump(message, file, pickle.HIGHEST_PROTOCOL)
    file.flush()


def _receive(file: Any) -> bytes:
    """A message; EOFError or UnpicklingError where its sender has ended."""
    return bytes(pickle.load(file))
