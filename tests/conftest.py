"""What several test modules share."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with recorded outputs and data sets; tests that want it are skipped where it is missing."""
    root = Path(os.environ.get("TORCHMOJI_DATA") or REPOSITORY.parent / "shared")
    if not (root / "golden").is_dir():
        pytest.skip(f"no recorded outputs at {root}: set TORCHMOJI_DATA to the folder of golden/ and data/")
    return root


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the user's cache: no test sees or changes installed original weights."""
    monkeypatch.setenv("TORCHMOJI_HOME", str(tmp_path_factory.mktemp("home")))
