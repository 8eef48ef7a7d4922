"""The fast time step: its gradient, and compiled, on the CPU, where torch compiles to C++, not to Triton."""

import shutil

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from torchmoji import recurrence
from torchmoji.lstm import LSTMHardSigmoid
from torchmoji.recurrence import cell, cell_backward, fused


@pytest.fixture
def compiled_on_cpu(monkeypatch):
    monkeypatch.setattr(recurrence, "COMPILED_DEVICES", ("cpu",))
    fused.cache_clear()
    yield
    fused.cache_clear()


def test_nothing_is_compiled_on_the_cpu_nor_without_triton(monkeypatch):
    monkeypatch.setattr(recurrence, "find_spec", lambda name: None)
    assert fused.__wrapped__(cell, "cpu") is fused.__wrapped__(cell, "cuda") is cell


def test_where_compiling_fails_the_plain_operations_are_used(monkeypatch, compiled_on_cpu, caplog):
    def failing(*_):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", lambda function, dynamic: failing)
    lstm = LSTMHardSigmoid(4, 3)
    lstm(torch.randn(6, 2, 4))[0].sum().backward()
    assert lstm.weight_hh_l0.grad.abs().sum() > 0
    assert "not compiled on cpu: no compiler here" in caplog.text


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++ on the CPU")
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own imports
def test_the_compiled_steps_give_what_the_plain_ones_give(compiled_on_cpu, monkeypatch):
    torch.manual_seed(0)
    lstm = LSTMHardSigmoid(4, 3, num_layers=2, bidirectional=True)
    x = torch.randn(6, 5, 4, requires_grad=True)
    leaves = [x, *lstm.parameters()]
    output = lstm(x)[0]
    gradients = torch.autograd.grad(output.square().sum(), leaves)
    assert fused(cell, "cpu") is not cell
    assert fused(cell_backward, "cpu") is not cell_backward

    monkeypatch.setattr(recurrence, "COMPILED_DEVICES", ())
    fused.cache_clear()
    expected = lstm(x)[0]
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)
    wanted = torch.autograd.grad(expected.square().sum(), leaves)
    torch.testing.assert_close(gradients, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 7])
def test_the_number_of_inputs_multiplied_at_once_changes_nothing(monkeypatch, rows):
    torch.manual_seed(0)
    lstm = LSTMHardSigmoid(4, 3, num_layers=2, bidirectional=True).double()
    packed = pack_sequence([torch.randn(n, 4, dtype=torch.float64) for n in (6, 4, 4, 1)])
    expected = lstm(packed)[0].data
    monkeypatch.setattr(recurrence, "PRODUCT_ROWS", rows)
    torch.testing.assert_close(lstm(packed)[0].data, expected, rtol=0, atol=1e-12)
