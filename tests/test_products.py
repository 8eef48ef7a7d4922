"""torchmoji.products: products equal torch's, packed weights are never stale, the rule of the machine."""

import copy
import gc
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.small_task import small_model
from torch.nn import functional as F
from torch.utils.weak import WeakTensorKeyDictionary

from torchmoji import products
from torchmoji.lstm import LSTMHardSigmoid

OPERATORS = ("_linear_pointwise", "_reorder_linear_weight")
CAN_ONEDNN = torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, n) for n in OPERATORS)
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 5e-2}

needs_onednn = pytest.mark.skipif(not CAN_ONEDNN, reason="this torch has no oneDNN")


@pytest.fixture
def onednn(monkeypatch):
    """Products of float32 go to oneDNN, and no weight is packed yet."""
    monkeypatch.setattr(products, "prefers_onednn", lambda: True)
    monkeypatch.setattr(products, "_PACKED", WeakTensorKeyDictionary())


@pytest.fixture(params=["default", pytest.param("onednn", marks=needs_onednn)])
def _library(request, monkeypatch):
    monkeypatch.setattr(products, "prefers_onednn", lambda: request.param == "onednn")


def drawn(*shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator).to(dtype)


def assert_near(got, expected, tolerance):
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance)


# --- products ---------------------------------------------------------------------------------------------

OPERANDS = {
    "contiguous": lambda dtype: (drawn(5, 7, dtype=dtype), drawn(6, 7, dtype=dtype)),
    "transposed": lambda dtype: (drawn(7, 5, dtype=dtype).t(), drawn(7, 6, dtype=dtype).t()),
    "columns": lambda dtype: (drawn(5, 9, dtype=dtype)[:, 1:8], drawn(6, 15, dtype=dtype)[:, ::2][:, :7]),
    "one row": lambda dtype: (drawn(1, 7, dtype=dtype), drawn(6, 7, dtype=dtype)),
    "expanded": lambda dtype: (drawn(1, 7, dtype=dtype).expand(5, 7), drawn(6, 7, dtype=dtype)),
    "no rows": lambda dtype: (drawn(0, 7, dtype=dtype), drawn(6, 7, dtype=dtype)),
    "no columns": lambda dtype: (drawn(5, 0, dtype=dtype), drawn(6, 0, dtype=dtype)),
}


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("kind", OPERANDS)
def test_linear_is_that_of_torch(kind, has_bias, dtype):
    x, weight = OPERANDS[kind](dtype)
    bias = drawn(6, dtype=dtype) if has_bias else None
    got = products.linear(x, weight, bias)
    assert_near(got, F.linear(x, weight, bias), TOLERANCE[dtype])


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", OPERANDS)
def test_an_adder_gives_the_product_plus_the_other(kind, dtype):
    x, weight = OPERANDS[kind](dtype)
    other = drawn(len(x), 6, dtype=dtype)
    add = products.adder(weight, len(x))
    assert_near(add(x, other), F.linear(x, weight) + other, TOLERANCE[dtype])


@pytest.mark.usefixtures("_library")
def test_an_adder_leaves_the_other_alone():
    x, weight, other = drawn(5, 7), drawn(6, 7), drawn(5, 6)
    before = other.clone()
    products.adder(weight, 5)(x, other)
    assert torch.equal(other, before)


@pytest.mark.usefixtures("_library")
def test_an_adder_takes_a_strided_other():
    x, weight, other = drawn(5, 7), drawn(6, 7), drawn(6, 5).t()
    assert_near(products.adder(weight, 5)(x, other), F.linear(x, weight) + other, 1e-5)


@pytest.mark.usefixtures("_library")
def test_an_adder_takes_fewer_rows_too():
    x, weight, other = drawn(2, 7), drawn(6, 7), drawn(2, 6)
    assert_near(products.adder(weight, 5)(x, other), F.linear(x, weight) + other, 1e-5)


@needs_onednn
@pytest.mark.usefixtures("onednn")
def test_torchs_own_switch_turns_onednn_off(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert not products.uses_onednn(drawn(5, 7), drawn(6, 7))


@needs_onednn
@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_are_not_given_to_onednn(dtype):
    assert products.uses_onednn(drawn(5, 7), drawn(6, 7))
    assert not products.uses_onednn(drawn(5, 7, dtype=dtype), drawn(6, 7, dtype=dtype))


@needs_onednn
@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("follows", ["nothing", "nan"])
@pytest.mark.parametrize("rows", [9, 65, 130])
def test_rows_that_are_computed_beyond_the_last_change_nothing(rows, follows):
    after = 0 if follows == "nothing" else 40
    x, other = (F.pad(drawn(rows, size), (0, 0, 0, after), value=float("nan"))[:rows] for size in (64, 32))
    weight = drawn(32, 64)
    assert products.rounded_rows(rows) > rows
    assert_near(products.linear(x, weight), x @ weight.t(), 1e-4)
    assert_near(products.adder(weight, rows)(x, other), x @ weight.t() + other, 1e-4)


def test_few_numbers_of_rows_are_computed():
    computed = [products.rounded_rows(rows) for rows in range(513)]
    assert all(more >= rows for rows, more in enumerate(computed))
    assert all(more <= rows + max(7, rows / 4) for rows, more in enumerate(computed))
    assert len(set(computed)) < 40


# --- packed weights ---------------------------------------------------------------------------------------


@needs_onednn
@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("rows", [1, 8, 50])
def test_a_packed_weight_gives_the_same_products(rows):
    x, weight, bias, other = drawn(rows, 32), drawn(24, 32), drawn(24), drawn(rows, 24)
    ready = products.packed(weight, 8)
    assert ready.is_mkldnn
    assert_near(products.linear(x, ready, bias), F.linear(x, weight, bias), 1e-5)
    assert_near(products.adder(ready, rows)(x, other), F.linear(x, weight) + other, 1e-5)


@needs_onednn
@pytest.mark.usefixtures("onednn")
def test_an_unchanged_weight_is_packed_once():
    weight = drawn(6, 4)
    assert products.packed(weight, 8) is products.packed(weight, 20)


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize(
    ("weight", "rows"),
    [
        pytest.param(drawn(6, 4), products.PACKING_PAYS_FROM - 1, id="few rows"),
        pytest.param(drawn(4, 6).t(), 8, id="strided"),
        pytest.param(drawn(3, 5), 8, id="odd"),
        pytest.param(drawn(6, 4, dtype=torch.float64), 8, id="float64"),
        pytest.param(drawn(0, 4), 8, id="empty"),
    ],
)
def test_a_weight_that_does_not_pay_stays_itself(weight, rows):
    assert products.packed(weight, rows) is weight


@pytest.mark.usefixtures("onednn")
def test_weights_stay_themselves_while_onednn_is_off(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    weight = drawn(6, 4)
    assert products.packed(weight, 8) is weight


@needs_onednn
@pytest.mark.usefixtures("onednn")
def test_an_entry_goes_with_its_weight():
    weight = drawn(6, 4)
    products.packed(weight, 8)
    assert len(products._PACKED) == 1
    del weight
    gc.collect()
    assert len(products._PACKED) == 0


@needs_onednn
@pytest.mark.usefixtures("onednn")
def test_a_weight_made_in_inference_mode_is_packed():
    with torch.inference_mode():
        weight = drawn(6, 4).clone()
        assert_near(products.linear(drawn(8, 4), products.packed(weight, 8)), drawn(8, 4) @ weight.t(), 1e-5)


def scale_in_place(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(-1.5)


def scale_through_data(module):
    for parameter in module.parameters():
        parameter.data.mul_(-1.5)


def replace_data(module):
    for parameter in module.parameters():
        parameter.data = -1.5 * parameter.data


def turn_rows_through_data(module):
    for parameter in module.parameters():
        parameter.data.copy_(parameter.data.flip(0))


def turn_rows_by_new_data(module):
    for parameter in module.parameters():
        parameter.data = parameter.data.flip(0)


def change_one_number_through_data(module):
    for parameter in module.parameters():
        parameter.data.view(-1)[0] += 0.5


def load_scaled(module):
    module.load_state_dict({name: -1.5 * weight for name, weight in module.state_dict().items()})


def assign_scaled(module):
    state = {name: -1.5 * weight for name, weight in module.state_dict().items()}
    module.load_state_dict(state, assign=True)


CHANGES = [
    scale_in_place,
    scale_through_data,
    replace_data,
    turn_rows_through_data,
    turn_rows_by_new_data,
    change_one_number_through_data,
    load_scaled,
    assign_scaled,
]


@needs_onednn
@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("change", CHANGES)
def test_the_lstm_notices_a_change(change):
    lstm, x = LSTMHardSigmoid(6, 4, bidirectional=True), drawn(3, 8, 6)
    with torch.no_grad():
        before, _ = lstm(x)
        assert len(products._PACKED) == 4
        change(lstm)
        got, _ = lstm(x)
        fresh = LSTMHardSigmoid(6, 4, bidirectional=True)
        fresh.load_state_dict(lstm.state_dict())
        expected, _ = fresh(x)
    assert not torch.allclose(before, expected, atol=1e-3)
    assert_near(got, expected, 1e-6)


def some_texts(rows=10):
    return np.random.default_rng(0).integers(1, 40, (rows, 5))


@needs_onednn
@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("change", [scale_in_place, scale_through_data, replace_data, load_scaled])
def test_the_model_notices_a_change(change):
    model = small_model().eval()
    torch.nn.init.normal_(model.output_layer[0].weight)
    before = model(some_texts())
    assert len(products._PACKED) == 8
    change(model)
    fresh = small_model().eval()
    fresh.load_state_dict(model.state_dict())
    expected = fresh(some_texts())
    assert not np.allclose(before, expected, atol=1e-3)
    np.testing.assert_allclose(model(some_texts()), expected, rtol=0, atol=1e-6)


@needs_onednn
@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_model_with_packed_weights_can_be_copied(copied):
    model = small_model().eval()
    torch.nn.init.normal_(model.output_layer[0].weight)
    expected = model(some_texts())
    assert len(products._PACKED) == 8
    np.testing.assert_allclose(copied(model)(some_texts()), expected, rtol=0, atol=1e-6)


@needs_onednn
@pytest.mark.usefixtures("onednn")
def test_a_changed_copy_leaves_the_original_alone():
    lstm, x = LSTMHardSigmoid(6, 4), drawn(3, 8, 6)
    with torch.no_grad():
        expected, _ = lstm(x)
        other = copy.deepcopy(lstm)
        scale_in_place(other)
        other(x)
        got, _ = lstm(x)
    assert_near(got, expected, 0)


# --- the rule ---------------------------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch):
    """Sets up a machine and gives the rule's answer there."""

    def decide(vendor="AuthenticAMD", operators=OPERATORS, mkldnn=True, mkl=True):
        monkeypatch.setattr(products, "_processor_vendor", lambda: vendor)
        monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace(**dict.fromkeys(operators)))
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: mkldnn)
        monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: mkl)
        products.prefers_onednn.cache_clear()
        return products.prefers_onednn()

    yield decide
    products.prefers_onednn.cache_clear()


@pytest.mark.parametrize("vendor", ["AuthenticAMD", "AMD64 Family 25 Model 17 Stepping 1, AuthenticAMD"])
def test_amd_processors_prefer_onednn(machine, vendor):
    assert machine(vendor=vendor) is True


@pytest.mark.parametrize("vendor", ["GenuineIntel", "Intel64 Family 6 Model 85 Stepping 7, GenuineIntel"])
def test_intel_processors_keep_the_default(machine, vendor):
    assert machine(vendor=vendor) is False


@pytest.mark.parametrize("kept", OPERATORS)
def test_a_torch_without_one_of_the_operators_keeps_the_default(machine, kept):
    assert machine(operators=[kept]) is False


@pytest.mark.parametrize("missing", ["mkldnn", "mkl"])
def test_a_torch_without_one_of_the_libraries_keeps_the_default(machine, missing):
    assert machine(**{missing: False}) is False


def test_the_vendor_is_read_from_cpuinfo(monkeypatch, tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 85\nvendor_id\t: Other\n")
    monkeypatch.setattr("torchmoji.machine._PROCESSOR_INFO", cpuinfo)
    assert products._processor_vendor() == "GenuineIntel"


def test_without_cpuinfo_the_platform_names_the_vendor(monkeypatch, tmp_path):
    monkeypatch.setattr("torchmoji.machine._PROCESSOR_INFO", tmp_path / "missing")
    monkeypatch.setattr(products.platform, "processor", lambda: "Intel64 Family 6, GenuineIntel")
    assert products._processor_vendor() == "Intel64 Family 6, GenuineIntel"


# --- bfloat16 ---------------------------------------------------------------------------------------------


@pytest.fixture
def processor(monkeypatch):
    """Set the processor's flags: a field and its content."""

    def set_flags(field, flags):
        monkeypatch.setattr(products, "cpuinfo", lambda name: flags if name == field else "")

    products._processor_has_bfloat16.cache_clear()
    yield set_flags
    products._processor_has_bfloat16.cache_clear()


@pytest.mark.parametrize(
    ("field", "flags", "is_fast"),
    [
        ("flags", "fpu sse2 avx2 fma", False),
        ("flags", "fpu avx2 avx512f avx512_bf16 avx512_vnni", True),
        ("flags", "fpu avx512f amx_bf16 amx_tile", True),
        ("Features", "fp asimd crc32", False),
        ("Features", "fp asimd sve bf16 svebf16", True),
    ],
)
def test_bfloat16_is_fast_where_the_processor_has_instructions_for_it(processor, field, flags, is_fast):
    processor(field, flags)
    assert products.has_fast_bfloat16(torch.device("cpu")) == is_fast


@pytest.mark.parametrize("question", products._BFLOAT16_QUESTIONS)
@pytest.mark.parametrize("is_supported", [True, False])
def test_torch_is_asked_where_the_system_names_no_flags(processor, monkeypatch, question, is_supported):
    processor("flags", "")
    for name in products._BFLOAT16_QUESTIONS:
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, question, lambda: is_supported)
    assert products.has_fast_bfloat16(torch.device("cpu")) == is_supported


def test_a_torch_that_does_not_know_says_no(processor, monkeypatch):
    processor("flags", "")
    for name in products._BFLOAT16_QUESTIONS:
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not products.has_fast_bfloat16(torch.device("cpu"))


@pytest.mark.parametrize(("capability", "is_fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bfloat16_is_fast_from_ampere_on(monkeypatch, capability, is_fast):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert products.has_fast_bfloat16(torch.device("cuda", 0)) == is_fast
    assert not products.has_fast_bfloat16(torch.device("meta"))
    monkeypatch.setattr(torch.version, "hip", "6.2")  # calls itself cuda, with other numbers
    assert not products.has_fast_bfloat16(torch.device("cuda", 0))
