"""What this machine has: its processor, threads, the versions of packages, and packages of an extra."""

import os
import platform
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

THREADS_SWITCH = "TORCHMOJI_THREADS"
"""Environment variable with the number of threads that `torchmoji.runtime.workers` gives its processes."""
MOST_THREADS = 1024
"""Of a call: more are a slip, and would take the machine."""

_PROCESSOR_INFO = Path("/proc/cpuinfo")


def cpuinfo(field: str) -> str:
    """A field of the first processor in Linux's /proc/cpuinfo, such as "model name"; empty where unknown."""
    try:
        lines = _PROCESSOR_INFO.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def processor() -> str:
    """The processor's name, and how many of its cores this process may use."""
    name = cpuinfo("model name") or platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def check_threads(threads: int | None) -> None:
    """Refuse, by a ValueError, what is neither None nor a whole number from 1 to `MOST_THREADS`."""
    if threads is not None and not (type(threads) is int and 1 <= threads <= MOST_THREADS):
        raise ValueError(f"threads must be a whole number from 1 to {MOST_THREADS}, got {threads!r}")


def versions(*packages: str) -> str:
    """The versions of Python and of installed packages, by their names on PyPI."""
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{package} {version(package)}" for package in packages)]
    )


def require(package: str, extra: str, purpose: str) -> Any:
    """Import a package of an extra, or a module in it.

    `purpose` is what needs it, a noun in the singular: "the ONNX engine". Where the package is missing,
    ModuleNotFoundError names the command that installs it.
    """
    name = package.partition(".")[0]
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name not in (name, package):
            raise  # the package is there, and lacks another one
        raise ModuleNotFoundError(
            f'{purpose} needs {name}, which is not installed: pip install "torchmoji[{extra}]"', name=name
        ) from error
