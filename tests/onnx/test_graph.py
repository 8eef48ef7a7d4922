"""The graph as such: sound, of standard operators, of any size, right without OnnxModel's help."""

import numpy as np
import onnx
import onnxruntime
import pytest
from support.onnx_models import made, outputs_of_torch, some_rows

from torchmoji.onnx.model import serialize


def graph_of(**options):
    return onnx.load_model_from_string(serialize(made(), **options))


@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize("output", [None, "features", ["logits", "probabilities"]])
def test_the_checker_finds_nothing(quantize, output):
    onnx.checker.check_model(graph_of(quantize=quantize, output=output), full_check=quantize is None)


def test_float32_has_standard_operators_alone():
    model = graph_of()
    assert {node.domain for node in model.graph.node} == {""}
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]


def test_the_lstms_are_one_node_each_with_the_hard_sigmoid_of_keras_2():
    nodes = [node for node in graph_of().graph.node if node.op_type == "LSTM"]
    assert len(nodes) == 2
    for node in nodes:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        assert attributes["activations"] == [b"HardSigmoid", b"Tanh", b"Tanh"] * 2
        assert attributes["activation_alpha"] == pytest.approx([0.2, 0.2])
        assert attributes["activation_beta"] == [0.5, 0.5]


def test_int8_stores_the_large_matrices_in_int8():
    stored = {t.name: t.data_type for t in graph_of(quantize="int8").graph.initializer}
    for name in ("embedding", "lstm_0_weight_ih", "lstm_0_weight_hh", "lstm_1_weight_ih", "lstm_1_weight_hh"):
        assert stored[name] == onnx.TensorProto.INT8


def test_any_runtime_gets_the_results_without_preparing_the_ids():
    session = onnxruntime.InferenceSession(serialize(made()), providers=["CPUExecutionProvider"])
    got = session.run(["probabilities", "features", "attention"], {"token_ids": some_rows()})
    for found, expected in zip(got, outputs_of_torch(made(), some_rows()), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
