"""The compiled time step against the equations, on the CPU, where torch compiles to C++, not to Triton."""

import shutil

import pytest
import torch

from torchmoji import compiled as module
from torchmoji.compiled import cell, cell_backward, compiled
from torchmoji.lstm import LSTMHardSigmoid

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++ on the CPU")
no_warnings = pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own imports


@pytest.fixture
def compiled_on_cpu(monkeypatch):
    monkeypatch.setattr(module, "COMPILED_DEVICES", ("cpu",))
    compiled.cache_clear()
    yield
    compiled.cache_clear()


def arguments():
    torch.manual_seed(0)
    return torch.randn(5, 12, dtype=torch.float64) * 3, torch.randn(5, 3, dtype=torch.float64)


def test_the_backward_step_is_the_gradient_of_the_step():
    gates, c = (tensor.requires_grad_() for tensor in arguments())
    h, c_after, activated, tanh_c = cell(gates, c)
    dh, dc = torch.randn(2, 5, 3, dtype=torch.float64)
    expected = torch.autograd.grad([h, c_after], [c, gates], [dh, dc])
    got = cell_backward(dh, dc, activated.detach(), c.detach(), tanh_c.detach())
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-14)
    assert (activated.detach() == 0).any()
    assert (activated.detach() == 1).any()


def test_nothing_is_compiled_for_the_cpu_by_default():
    assert compiled(cell, "cpu") is None


def test_without_triton_nothing_is_compiled_for_cuda(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    compiled.cache_clear()
    assert compiled(cell, "cuda") is None
    compiled.cache_clear()


def test_where_compiling_fails_the_plain_operations_are_used(monkeypatch, compiled_on_cpu, caplog):
    def failing(*_):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", lambda function, dynamic: failing)
    lstm = LSTMHardSigmoid(4, 3)
    lstm(torch.randn(6, 2, 4))[0].sum().backward()
    assert lstm.weight_hh_l0.grad.abs().sum() > 0
    assert "not compiled on cpu: no compiler here" in caplog.text


@needs_compiler
@no_warnings
def test_the_compiled_steps_give_what_the_plain_ones_give(compiled_on_cpu, monkeypatch):
    torch.manual_seed(0)
    lstm = LSTMHardSigmoid(4, 3, num_layers=2, bidirectional=True)
    x = torch.randn(6, 5, 4, requires_grad=True)
    leaves = [x, *lstm.parameters()]
    output = lstm(x)[0]
    gradients = torch.autograd.grad(output.square().sum(), leaves)
    with torch.no_grad():
        without_gradients = lstm(x)[0]
    assert compiled(cell, "cpu") is not None
    assert compiled(cell_backward, "cpu") is not None

    monkeypatch.setattr(module, "COMPILED_DEVICES", ())
    compiled.cache_clear()
    expected = lstm(x)[0]
    torch.testing.assert_close((output, without_gradients), (expected, expected), rtol=0, atol=1e-6)
    wanted = torch.autograd.grad(expected.square().sum(), leaves)
    torch.testing.assert_close(gradients, wanted, rtol=1e-5, atol=1e-5)
