"""Products equal torch's whichever library computes them; the rule of the machine."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from torchmoji.runtime import products

CAN_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-1}

needs_onednn = pytest.mark.skipif(not CAN_ONEDNN, reason="this torch has no oneDNN")


@pytest.fixture
def onednn(monkeypatch):
    monkeypatch.setattr(products, "prefers_onednn", lambda: True)


@pytest.fixture(params=["default", pytest.param("onednn", marks=needs_onednn)])
def _library(request, monkeypatch):
    monkeypatch.setattr(products, "prefers_onednn", lambda: request.param == "onednn")


def drawn(*shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator).to(dtype)


def assert_near(got, expected, tolerance):
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance)


OPERANDS = {
    "contiguous": lambda dtype: (drawn(5, 7, dtype=dtype), drawn(6, 7, dtype=dtype)),
    "columns": lambda dtype: (drawn(5, 9, dtype=dtype)[:, 1:8], drawn(6, 15, dtype=dtype)[:, ::2][:, :7]),
    "transposed": lambda dtype: (drawn(7, 9, dtype=dtype).t(), drawn(7, 6, dtype=dtype).t()),
    "one row": lambda dtype: (drawn(1, 7, dtype=dtype), drawn(6, 7, dtype=dtype)),
    "no rows": lambda dtype: (drawn(0, 7, dtype=dtype), drawn(6, 7, dtype=dtype)),
    "no columns": lambda dtype: (drawn(5, 0, dtype=dtype), drawn(6, 0, dtype=dtype)),
}


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", OPERANDS)
def test_products_are_those_of_torch(kind, dtype):
    x, weight = OPERANDS[kind](dtype)
    for added in (None, drawn(6, dtype=dtype), drawn(len(x), 6, dtype=dtype)):
        before = None if added is None else added.clone()
        expected = F.linear(x, weight) + (0 if added is None else added)
        assert_near(products.linear(x, weight, added), expected, TOLERANCE[dtype])
        assert added is None or torch.equal(added, before)


@needs_onednn
def test_other_types_are_not_given_to_onednn_and_torchs_own_switch_turns_it_off(onednn, monkeypatch):
    x, weight = drawn(5, 7), drawn(6, 7)
    assert products.uses_onednn(x, weight)
    assert not products.uses_onednn(x.double(), weight.double())
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert not products.uses_onednn(x, weight)


@needs_onednn
@pytest.mark.parametrize("rows", [9, 65, 130])
def test_rows_that_are_computed_beyond_the_last_change_nothing(onednn, rows):
    x, weight, other = drawn(rows, 64), drawn(32, 64), drawn(rows, 32)
    assert products.rounded_rows(rows) > rows
    assert_near(products.linear(x, weight), x @ weight.t(), 1e-4)
    assert_near(products.linear(x, weight, other), x @ weight.t() + other, 1e-4)


def test_few_numbers_of_rows_are_computed():
    computed = [products.rounded_rows(rows) for rows in range(513)]
    assert all(rows <= more <= rows + max(7, rows / 4) for rows, more in enumerate(computed))
    assert len(set(computed)) < 40


# --- the machine ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vendor", "onednn", "mkl", "expected"),
    [
        ("AuthenticAMD", True, True, True),
        ("AMD64 Family 25 Model 17 Stepping 1, AuthenticAMD", True, True, True),
        ("GenuineIntel", True, True, False),
        ("AuthenticAMD", False, True, False),
        ("AuthenticAMD", True, False, False),
    ],
)
def test_amd_processors_prefer_onednn_where_torch_has_it_and_mkl(monkeypatch, vendor, onednn, mkl, expected):
    monkeypatch.setattr(products, "cpuinfo", lambda field: vendor if field == "vendor_id" else "")
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace(_linear_pointwise=None))
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: onednn)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: mkl)
    assert products.prefers_onednn.__wrapped__() is expected
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    assert not products.prefers_onednn.__wrapped__()


def test_without_cpuinfo_the_platform_names_the_vendor(monkeypatch, tmp_path):
    monkeypatch.setattr("torchmoji.runtime.machine._PROCESSOR_INFO", tmp_path / "missing")
    monkeypatch.setattr(products.platform, "processor", lambda: "Intel64 Family 6, GenuineIntel")
    assert not products.prefers_onednn.__wrapped__()


@pytest.mark.parametrize(
    ("field", "flags", "asked", "is_fast"),
    [
        ("flags", "fpu sse2 avx2 fma", True, False),
        ("flags", "fpu avx2 avx512f avx512_bf16 avx512_vnni", False, True),
        ("flags", "fpu avx512f amx_bf16 amx_tile", False, True),
        ("Features", "fp asimd sve bf16 svebf16", False, True),
        ("flags", "", True, True),
        ("flags", "", False, False),
    ],
)
def test_bfloat16_is_fast_where_the_processor_has_it(monkeypatch, field, flags, asked, is_fast):
    monkeypatch.setattr(products, "cpuinfo", lambda name: flags if name == field else "")
    for name in products._BFLOAT16_QUESTIONS:
        monkeypatch.setattr(torch.cpu, name, lambda: asked, raising=False)
    products._processor_has_bfloat16.cache_clear()
    assert products.has_fast_bfloat16(torch.device("cpu")) == is_fast
    products._processor_has_bfloat16.cache_clear()


@pytest.mark.parametrize(("capability", "is_fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bfloat16_is_fast_from_ampere_on(monkeypatch, capability, is_fast):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert products.has_fast_bfloat16(torch.device("cuda", 0)) == is_fast
    assert not products.has_fast_bfloat16(torch.device("meta"))
    monkeypatch.setattr(torch.version, "hip", "6.2")  # calls itself cuda, with other numbers
    assert not products.has_fast_bfloat16(torch.device("cuda", 0))
