"""Looking for processes, as on Linux."""

import time
from pathlib import Path

import pytest

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for them as on Linux")


def is_running(pid):
    """Whether a process has not ended."""
    return _stat(pid)[0] not in "ZX"


def children(pid):
    """The processes that another one has started."""
    running = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [child for child in running if _stat(child)[1] == str(pid)]


def _stat(pid):
    """State and parent; an ended process has none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return "X", ""


def wait_for(condition, seconds=30):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return found
