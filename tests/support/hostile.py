"""Damaged and hostile files: seeded mutations of a good one, and a limit of memory to read them under."""

import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

MUTATIONS = int(os.environ.get("TORCHMOJI_MUTATIONS", "40"))
"""Mutated files for each loader; .ci/nightly asks for 10 000."""
_NUMBERS = [b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"1" * 30]
_PIECES = [
    *(b"\x00", b"\xff", b"\n", b"\r", b'"', b",", b"{", b"[", b"[" * 3000),
    *(b"-1", b"1e999", b"NaN", b"null", b"\xef\xbb\xbf"),
]


def mutations(data: bytes, count: int = MUTATIONS, seed: int = 0) -> Iterator[bytes]:
    """Give changed copies of a file: flipped bits, other numbers, parts that are gone, doubled or put in."""
    choices = random.Random(seed)
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(choices.choice((1, 1, 1, 2, 4, 16))):
            # half of the changes near the start, where formats say what follows
            most = len(changed) if choices.random() < 0.5 else min(len(changed), 512)
            start = choices.randrange(most + 1)
            length = choices.choice((1, 2, 8, 64, 1024))
            match choices.randrange(6):
                case 0 if start < len(changed):
                    changed[start] ^= 1 << choices.randrange(8)
                case 1:
                    number = choices.choice(_NUMBERS)
                    changed[start : start + len(number)] = number
                case 2:
                    del changed[start : start + length]
                case 3:
                    changed[start:start] = changed[start : start + length]
                case 4:
                    changed[start:start] = choices.choice(_PIECES)
                case _:
                    del changed[choices.randrange(len(changed) + 1) :]
        yield bytes(changed)


def check_mutations(
    good: Path, load: Callable[[Path], object], admitted: tuple[type[Exception], ...], count: int = MUTATIONS
) -> None:
    """Read mutated copies of the file `good` in its place: `load` gives something or an admitted error."""
    data = good.read_bytes()
    try:
        for number, changed in enumerate(mutations(data, count)):
            good.write_bytes(changed)
            try:
                load(good)
            except admitted as error:
                message = str(error)
                if len(message) > 2000:
                    raise AssertionError(f"mutation {number} of {good.name}: a message of a page") from error
            except BaseException as error:
                raise AssertionError(f"mutation {number} of {good.name}: {type(error).__name__}") from error
    finally:
        good.write_bytes(data)


def run_with_memory(code: str, *arguments: object, gigabytes: float = 1.0, timeout: float = 60) -> str:
    """Run Python code in a process that may use so much memory beyond torch's own, and give what it prints.

    The code finds the arguments in `sys.argv[1:]`. What torch and the library need does not count.
    """
    limit = (
        "import resource, sys, torch, torchmoji\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        f"most = pages * resource.getpagesize() + int({gigabytes} * 2**30)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (most, most))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", limit + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def disk_of(size: int) -> Callable[[], None]:
    """A `preexec_fn` for a process that cannot write files of more bytes, as on a full disk."""

    def limit() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then writing raises OSError (EFBIG)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit
