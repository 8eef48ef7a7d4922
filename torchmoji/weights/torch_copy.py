"""The default model's weights as the file that programs of 2017 give to `torch.load`.

The package comes with int8 rows, a quarter of the size, which `torch.load` cannot read. The torch file is
made in the cache when `PRETRAINED_PATH` is first used.
"""

import logging
from functools import cache
from pathlib import Path

from torchmoji import global_variables
from torchmoji.files.atomic import atomic_write_text, locked, sha256

logger = logging.getLogger(__name__)

LOCK_SECONDS = 600.0


@cache
def _digest(path: Path, size: int, changed: int) -> str:
    """The SHA-256 of a file, once for each state of it."""
    return sha256(path)


def _sha256(path: Path) -> str:
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


def torch_copy() -> Path:
    """Where the torch file of the default model's weights is, or will be: one for each version of these."""
    digest = _sha256(global_variables.default_weights_file())
    return (
        global_variables.cache_directory() / f"default-{digest[:12]}" / global_variables.ORIGINAL_WEIGHTS_NAME
    )


def made_torch_copy() -> Path:
    """The same path, with the file there: float32 tensors. A damaged one is made again.

    Where the cache cannot be written, the file is made in `WEIGHTS_DIR`, for this process alone. OSError
    where neither can be written.
    """
    path = torch_copy()
    if _is_whole(path):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name("lock"), f"{path} is being made by another process", LOCK_SECONDS):
            if not _is_whole(path):
                _make(path)
        return path
    except OSError as error:
        other = Path(global_variables.WEIGHTS_DIR) / path.parent.name / path.name
        if not _is_whole(other):
            logger.warning("%s cannot be made (%s): set TORCHMOJI_HOME to a folder that can", path, error)
            _make(other)
        return other


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _is_whole(path: Path) -> bool:
    try:
        return _record(path).read_text("ascii").strip() == _sha256(path)
    except (OSError, UnicodeDecodeError):
        return False


def _make(path: Path) -> None:
    from torchmoji.weights.formats import (
        load_state_dict,
        save_state_dict,
    )  # torch is loaded when it is needed

    save_state_dict(load_state_dict(global_variables.default_weights_file()), path)
    atomic_write_text(_record(path), sha256(path) + "\n")
