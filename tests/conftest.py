"""What several test modules share."""

import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several: torch's threads would fight for the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

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


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tiny model of random weights for the 64 emojis; it knows the words a, day and not."""
    import torch

    from torchmoji import MojiPipeline, TorchMoji
    from torchmoji.pipeline.engines import TorchEngine

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = TorchMoji(64, 14, embedding_dim=4, hidden_size=3)
    folder = tmp_path_factory.mktemp("tiny") / "model"
    MojiPipeline(TorchEngine(model), {"a": 10, "day": 11, "not": 12}).save_pretrained(folder)
    return str(folder)
