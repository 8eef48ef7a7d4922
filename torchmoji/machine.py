"""What a measurement was made on: processor and versions, for tables and model cards."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

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


def versions(*packages: str) -> str:
    """The versions of Python and of installed packages, by their names on PyPI."""
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{package} {version(package)}" for package in packages)]
    )
