"""A lock file that one process at a time holds."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def locked(path: str | os.PathLike[str], message: str, timeout: float = 0) -> Iterator[None]:
    """Hold the lock file `path` for the length of a `with` block.

    Args:
        path: The lock file, made where it is missing; its folder is there.
        message: What to say where another process holds it.
        timeout: Seconds to wait for the other process.

    Raises:
        BlockingIOError: Another process holds it.
    """
    from filelock import FileLock, Timeout  # imported here: it takes longer to load than its users

    lock = FileLock(path)
    try:
        lock.acquire(timeout=timeout)
    except Timeout as error:
        raise BlockingIOError(message) from error
    try:
        yield
    finally:
        lock.release()
