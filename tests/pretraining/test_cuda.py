"""Training on a GPU: as on the CPU, in bfloat16, and going on after an interruption."""

import numpy as np
import pytest
import torch
from support.pretraining import curve_of, interrupted_at

from torchmoji import MojiPipeline
from torchmoji.pretraining import loop
from torchmoji.pretraining.pretraining import Settings, pretrain

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore"),  # torch's compiler warns of its own imports
]

SETTINGS = {
    "embedding_dim": 8,
    "hidden_size": 8,
    "passes": 3,
    "batch_size": 16,
    "learning_rate": 0.01,
    "warmup_steps": 4,
    "embed_dropout_rate": 0.0,
    "final_dropout_rate": 0.0,
    "average": 0.9,
}


@pytest.fixture(autouse=True)
def _report_all(monkeypatch):
    monkeypatch.setattr(loop, "_REPORT_EVERY", 1)


def losses(corpus, folder, device, **changes):
    pretrain(corpus, folder, Settings(**{**SETTINGS, **changes}), device=device, checkpoint_seconds=0)
    return curve_of(folder, "loss")


def test_a_gpu_gives_the_losses_of_the_cpu(corpus, tmp_path):
    expected = losses(corpus, tmp_path / "cpu", "cpu", bfloat16=False)
    got = losses(corpus, tmp_path / "gpu", "cuda", bfloat16=False)
    assert len(got) == len(expected) > 10
    assert np.allclose(got, expected, atol=1e-3)


def test_bfloat16_is_what_a_gpu_takes_by_itself(corpus, tmp_path):
    exact = losses(corpus, tmp_path / "exact", "cuda", bfloat16=False)
    got = losses(corpus, tmp_path / "bfloat16", "cuda", bfloat16=None)
    assert np.allclose(got, exact, atol=0.1)
    assert not np.array_equal(got, exact)
    assert MojiPipeline.from_pretrained(tmp_path / "bfloat16", device="cuda").predict("good morning")


def test_an_interrupted_run_goes_on(corpus, tmp_path):
    expected = losses(corpus, tmp_path / "whole", "cuda")
    with interrupted_at(7):
        losses(corpus, tmp_path / "halves", "cuda")
    got = losses(corpus, tmp_path / "halves", "cuda")
    assert np.allclose(got, expected, atol=1e-3)
