"""Sessions of onnxruntime on the CPU: how many threads, which options, what errors become, no telemetry."""

import os
import platform
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from torchmoji.runtime.machine import THREADS_SWITCH, cpuinfo, require

if TYPE_CHECKING:
    from torchmoji.onnx.graph import Content

_CONTAINER_SHARE = Path("/sys/fs/cgroup/cpu.max")
_TELEMETRY_SWITCH = "ORT_DISABLE_TELEMETRY"


def require_onnx(package: str) -> Any:
    """Import a package of the extra `onnx` as `require` does, without telemetry.

    onnxruntime reports to its maker from its import on unless the environment tells it not to; where the
    environment has that switch, what it says holds.
    """
    is_set = _TELEMETRY_SWITCH in os.environ
    os.environ.setdefault(_TELEMETRY_SWITCH, "1")
    try:
        return require(package, "onnx", "the ONNX engine")
    finally:
        if not is_set:
            os.environ.pop(_TELEMETRY_SWITCH, None)


def default_threads() -> int:
    """How many threads an engine uses by default: torch's where it is in use, else the process's CPUs.

    In a worker of `torchmoji.runtime.workers` it is what the environment says.
    """
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        return int(torch.get_num_threads())
    if share := os.environ.get(THREADS_SWITCH):
        return int(share)
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(own or 1, _container_cpus())


@cache
def _container_cpus() -> int:
    """How many CPUs a container's share of time amounts to; without a container, many."""
    try:
        time, period = _CONTAINER_SHARE.read_text(encoding="utf-8").split()
        return max(1, int(time) // int(period))
    except (OSError, ValueError):  # no such file, or "max 100000"
        return sys.maxsize


def _adds_in_16_bits() -> bool:
    """Whether products of int8 may overflow: x86 without VNNI adds pairs of them in 16 bits."""
    if platform.machine().lower() not in ("x86_64", "amd64", "x86", "i386", "i686"):
        return False
    return "vnni" not in cpuinfo("flags")


def check_content(data: bytes, name: str) -> "Content":
    """Refuse a graph that has data outside its file, that could run for ever, or is larger than its file.

    Older versions of onnxruntime, 1.23 for one, read data from any path. Messages call the file `name`.
    Raises ValueError where there are such data, or anything that `export` does not write, or the file is
    damaged; ModuleNotFoundError without onnx.
    """
    onnx = require_onnx("onnx")
    from torchmoji.onnx.graph import check_graph

    try:
        _check_structure(data)
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's DecodeError has another base in every implementation
        raise _damaged(name, error) from error
    if not model.graph.node:
        raise _damaged(name, ValueError("it has no graph"))
    messages = [model]
    while messages:
        message = messages.pop()
        if isinstance(message, onnx.TensorProto):
            if message.data_location or message.external_data:
                raise ValueError(
                    f"{name} has data outside the file, for {message.name!r:.60}, which are not read: "
                    "save the graph as one file"
                )
            continue  # to list its fields would copy them
        for field, value in message.ListFields():
            if field.message_type is not None:
                messages.extend(value if isinstance(value, Sequence) else [value])
    try:
        return check_graph(model)
    except ValueError as error:
        raise ValueError(
            f"{name} has {error}, which torchmoji.onnx.export does not write: export the model again"
        ) from error


_MOST_STRUCTURE = 1 << 20
"""Bytes of an ONNX file beside its constants and texts, at most: each may take a hundred in memory."""
_GRAPH, _METADATA, _CONSTANT, _NUMBERS = 7, 14, (7, 5), (7, 5, 9)
"""Fields of ONNX's messages: of a model, of its graph, of a constant."""


def _check_structure(data: bytes) -> None:
    """Refuse a file of millions of parts, before protobuf makes an object of each."""
    total = 0
    for size in _structure(data, 0, len(data)):
        total += size
        if total > _MOST_STRUCTURE:
            raise ValueError(f"beside its constants it has more than {_MOST_STRUCTURE} bytes")


def _structure(data: bytes, start: int, end: int, path: tuple[int, ...] = ()) -> Iterator[int]:
    """The bytes of each part of a message of protobuf that is neither numbers of a constant nor metadata."""

    def number() -> int:
        nonlocal start
        value = 0
        for shift in range(0, 70, 7):
            byte, start = data[start], start + 1
            value |= (byte & 127) << shift
            if byte < 128:
                break
        return value

    while start < end:
        key = number()
        here, kind = (*path, key >> 3), key & 7
        size = {1: 8, 2: 0, 5: 4}.get(kind, 0) or number()  # of eight bytes, of a length, of four; a number
        stop = start if kind == 0 else start + size
        if kind not in (0, 1, 2, 5) or stop > end:
            raise ValueError("it is cut off, or no message of protobuf")
        yield 2
        if here in ((_GRAPH,), _CONSTANT):
            yield from _structure(data, start, stop, here)
        elif here not in ((_METADATA,), _NUMBERS):
            yield stop - start
        start = stop


def make_session(data: bytes, name: str, threads: int) -> Any:
    """Load the checked content of an ONNX file into onnxruntime, for the CPU; messages call the file `name`.

    `threads` are those of one call. Raises ValueError where the file is damaged or has operators that
    onnxruntime lacks, ModuleNotFoundError without onnxruntime.
    """
    onnxruntime = require_onnx("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised, so none needs printing
    # Without spinning one text at a time takes nearly twice as long with int8 on two cores.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if _adds_in_16_bits():
        options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )  # else it prints an error before it raises it
    except Exception as error:  # onnxruntime's exceptions have no base but this
        raise _damaged(name, error) from error
    _sessions.add(session)
    return session


class HeldSession:
    """A session that is made where it is first needed, from the checked content of an ONNX file.

    It is made once more where it cannot be used: after a pickle, after a fork, which its threads do not
    survive, and with another number of threads. Copies of a model share one, so each time it is made once.
    Messages call the file `name`.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name = data, name
        self._held: tuple[tuple[int, int], Any] | None = None

    def get(self, threads: int) -> Any:
        """The session of this process with so many threads; errors are those of `make_session`."""
        key = os.getpid(), threads
        held = self._held
        if held is None or held[0] != key:
            with _making:
                held = self._held  # another thread may have made it
                if held is None or held[0] != key:
                    held = self._held = key, make_session(self._data, self._name, threads)
        return held[1]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_held": None}


_making = threading.Lock()
_sessions: WeakSet[Any] = WeakSet()
_sessions_of_parents: list[Any] = []
"""Never closed: that would wait for threads which a forked process does not have."""


def _after_fork() -> None:
    global _making
    _making = threading.Lock()  # a thread that a forked process does not have may hold the old one
    _sessions_of_parents.extend(_sessions)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _damaged(name: str, error: Exception) -> ValueError:
    return ValueError(
        f"{name} is damaged or no ONNX model ({first_line(error)}): export or download it again"
    )


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error) or type(error).__name__).splitlines()[0]
