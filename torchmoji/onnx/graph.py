"""The model as an ONNX graph of opset 17, made node by node from its layers.

    token_ids (batch, time) -> probabilities, logits (batch, C), features (batch, F), attention (batch, time)

Id 0 is padding wherever it stands: the graph moves each row's tokens to its left, which is where the LSTM
operator wants them, and the attention back. In float32 all operators are standard ones; with int8 the two
LSTMs are `com.microsoft.DynamicQuantizeLSTM`, which rounds its inputs to 8 bits with one scale for the batch,
and the embedding is stored in int8. Weights that come as int8 rows stay so in a float32 graph too, which
scales them: a quarter of the size, the same results, and quicker to load.

Time steps come first inside, as the operator has them. An LSTM's gates are in torch's order i, f, g, o in a
layer and in ONNX's, i, o, f, g, in the graph.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from torchmoji import __version__
from torchmoji.weights.layers import (
    LAYERS,
    Array,
    Int8Rows,
    Layer,
    ModelSizes,
    as_float,
    dimensions,
    model_sizes,
    quantize_rows,
)

OPSET = 17
IR_VERSION = 8
"""Of opset 17: what onnxruntime 1.12 and later read."""

MICROSOFT = "com.microsoft"
PRODUCER = "torchmoji"
INPUT = "token_ids"

_DIRECTIONS = ("", "_reverse")
_SLOPE, _OFFSET = 0.2, 0.5


class _Graph:
    """Nodes and constants, in order; a value is known by its name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: Any, dtype: Any = None) -> str:
        array = np.ascontiguousarray(np.asarray(value, dtype)).reshape(np.shape(value))
        self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output


def build_graph(
    layers: Mapping[str, Layer],
    outputs: Sequence[str],
    int8: bool,
    metadata: Mapping[str, str],
    multi_label: bool = False,
) -> onnx.ModelProto:
    """Make the graph.

    `layers` are those of `torchmoji.weights.layers.LAYERS`, with or without the output layer; `outputs` are
    some of `probabilities`, `logits`, `features` and `attention`. `int8` rounds the embedding and the LSTMs'
    matrices to int8, one scale for each row; with `multi_label` each output is a class on its own. The
    strings of `metadata` go with the graph. ValueError where the layers are not those of a model.
    """
    sizes = model_sizes(layers)
    features = 4 * sizes.hidden_size + sizes.embedding_dim
    shapes: dict[str, list[str | int | None]] = {
        "probabilities": ["batch", sizes.nb_outputs],
        "logits": ["batch", sizes.nb_outputs],
        "features": ["batch", features],
        "attention": ["batch", "time"],
    }
    graph = _Graph()
    _features(graph, layers, sizes.hidden_size, int8)
    if "attention" in outputs:
        graph.node("Squeeze", ["weights_of_rows", "axis_1"], "weights_on_the_left")
        scattered = ["weights_on_the_left", "columns", "weights_on_the_left"]  # each to its token's column
        graph.node("ScatterElements", scattered, "attention", axis=1)
    if "logits" in outputs or "probabilities" in outputs:
        weight = graph.constant("output_weight", as_float(layers["output_layer.0.weight"]))
        bias = graph.constant("output_bias", as_float(layers["output_layer.0.bias"]))
        graph.node("Gemm", ["features", weight, bias], "logits", transB=1)
    if "probabilities" in outputs:
        if sizes.nb_outputs == 1 or multi_label:
            graph.node("Sigmoid", ["logits"], "probabilities")
        else:
            graph.node("Softmax", ["logits"], "probabilities", axis=1)

    opsets = [helper.make_opsetid("", OPSET)]
    if int8:
        opsets.append(helper.make_opsetid(MICROSOFT, 1))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            PRODUCER,
            [helper.make_tensor_value_info(INPUT, TensorProto.INT64, ["batch", "time"])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
            list(graph.constants.values()),
        ),
        opset_imports=opsets,
        ir_version=IR_VERSION,
        producer_name=PRODUCER,
        producer_version=__version__,
    )
    helper.set_model_props(model, dict(metadata))
    return model


def _features(graph: _Graph, layers: Mapping[str, Layer], hidden_size: int, int8: bool) -> None:
    """From `token_ids` to `features` and `weights` (time, batch, 1)."""
    for name, number in (("zero", 0), ("minus_one", -1)):
        graph.constant(name, number, np.int64)
    for name, axis in (("axis_0", 0), ("axis_1", 1), ("axis_2", 2)):
        graph.constant(name, [axis], np.int64)

    # tokens to the left, in their order: the first has the highest score, padding the lowest
    graph.node("Equal", [INPUT, "zero"], "is_padding")
    graph.node("Cast", [graph.node("Not", ["is_padding"], "is_token")], "ones", to=TensorProto.INT64)
    graph.node("ReduceSum", ["ones", "axis_1"], "token_counts", keepdims=0)
    graph.node("Cast", ["token_counts"], "lengths", to=TensorProto.INT32)
    graph.node("Shape", [INPUT], "time", start=1, end=2)
    graph.node("Squeeze", ["time"], "steps")
    graph.node("Range", ["steps", "zero", "minus_one"], "from_steps_to_1")
    graph.node("Mul", ["ones", "from_steps_to_1"], "scores")
    top = helper.make_node("TopK", ["scores", "time"], ["sorted_scores", "columns"], name="columns", axis=1)
    graph.nodes.append(top)
    graph.node("GatherElements", [INPUT, "columns"], "ids_on_the_left", axis=1)
    graph.node("Transpose", ["ids_on_the_left"], "ids", perm=[1, 0])

    _embedding(graph, layers["embed.weight"], int8)
    graph.node("Tanh", ["embedded"], "x")
    graph.constant("both_directions", [0, 0, 2 * hidden_size], np.int64)
    _lstm(graph, layers, hidden_size, int8, "lstm_0", "x")
    _lstm(graph, layers, hidden_size, int8, "lstm_1", "lstm_0")

    # attention: softmax over the row's own tokens
    vector = as_float(layers["attention_layer.attention_vector"])
    graph.constant("attention_vector", vector[:, None])
    graph.constant("lowest", np.finfo(np.float32).min, np.float32)
    graph.node("Concat", ["lstm_1", "lstm_0", "x"], "z", axis=2)
    graph.node("MatMul", ["z", "attention_vector"], "attention_logits")
    graph.node("Unsqueeze", ["ids", "axis_2"], "ids_of_z")
    graph.node("Equal", ["ids_of_z", "zero"], "is_padding_of_z")
    graph.node("Where", ["is_padding_of_z", "lowest", "attention_logits"], "own_logits")
    graph.node("Softmax", ["own_logits"], "softmax", axis=0)
    graph.node("Not", ["is_padding_of_z"], "is_token_of_z")
    graph.node("Cast", ["is_token_of_z"], "ones_of_z", to=TensorProto.FLOAT)
    graph.node("Mul", ["softmax", "ones_of_z"], "weights")
    graph.node("Transpose", ["weights"], "weights_of_rows", perm=[1, 2, 0])
    graph.node("Transpose", ["z"], "z_of_rows", perm=[1, 0, 2])
    graph.node("MatMul", ["weights_of_rows", "z_of_rows"], "sums")
    graph.node("Squeeze", ["sums", "axis_1"], "features")


def _embedding(graph: _Graph, layer: Layer, int8: bool) -> None:
    """`ids` (time, batch) to `embedded` (time, batch, E), zero on padding."""
    if not int8 and not isinstance(layer, Int8Rows):
        graph.constant("embedding", _without_padding(as_float(layer)))
        graph.node("Gather", ["embedding", "ids"], "embedded")
        return
    rows = _as_int8(layer)
    graph.constant("embedding", _without_padding(rows.values))
    graph.constant("embedding_scales", rows.scales[:, None])
    graph.node("Gather", ["embedding", "ids"], "embedded_int8")
    graph.node("Gather", ["embedding_scales", "ids"], "scales")
    graph.node("Cast", ["embedded_int8"], "embedded_values", to=TensorProto.FLOAT)
    graph.node("Mul", ["embedded_values", "scales"], "embedded")


def _as_int8(layer: Layer) -> Int8Rows:
    """A matrix's int8 rows: those stored, else rounded ones."""
    return layer if isinstance(layer, Int8Rows) else quantize_rows(as_float(layer))


def _without_padding(rows: Array) -> Array:
    """The embedding with zeros for id 0, which no result depends on: they keep the range of int8 small."""
    rows = rows.copy()
    rows[0] = 0
    return rows


def _lstm(
    graph: _Graph, layers: Mapping[str, Layer], hidden_size: int, int8: bool, name: str, x: str
) -> None:
    """Both directions of a layer: `x` (time, batch, input) to `name` (time, batch, 2H).

    In int8 the operator wants each matrix transposed, and a scale and a zero point for each column then.
    """
    matrices, scales = [], []
    for kind in ("ih", "hh"):
        matrix = f"{name}_weight_{kind}"
        matrices.append(matrix)
        both = [layers[f"{name}.weight_{kind}_l0{direction}"] for direction in _DIRECTIONS]
        if not int8:
            _float_matrix(graph, matrix, both)
            continue
        rows = [_as_int8(layer) for layer in both]
        graph.constant(matrix, np.stack([_onnx_gates(r.values).T for r in rows]))
        scale = np.stack([_onnx_gates(r.scales) for r in rows])
        scales.append(graph.constant(f"{matrix}_scales", scale))
        scales.append(graph.constant(f"{matrix}_zeros", np.zeros(scale.shape, np.int8)))
    biases = [
        [_onnx_gates(as_float(layers[f"{name}.bias_{kind}_l0{direction}"])) for kind in ("ih", "hh")]
        for direction in _DIRECTIONS
    ]
    bias = graph.constant(f"{name}_bias", np.stack([np.concatenate(pair) for pair in biases]))  # (2, 8H)
    graph.node(
        "DynamicQuantizeLSTM" if int8 else "LSTM",
        [x, *matrices, bias, "lengths", *(["", "", "", *scales] if int8 else [])],
        f"{name}_directions",  # (time, 2, batch, H)
        hidden_size=hidden_size,
        direction="bidirectional",
        activations=["HardSigmoid", "Tanh", "Tanh"] * 2,
        activation_alpha=[_SLOPE] * 2,
        activation_beta=[_OFFSET] * 2,
        **({"domain": MICROSOFT} if int8 else {}),
    )
    graph.node("Transpose", [f"{name}_directions"], f"{name}_by_row", perm=[0, 2, 1, 3])
    graph.node("Reshape", [f"{name}_by_row", "both_directions"], name)


def _float_matrix(graph: _Graph, name: str, both: Sequence[Layer]) -> None:
    """The matrices of both directions in float32; int8 rows stay so in the file, scaled on loading."""
    rows = [layer for layer in both if isinstance(layer, Int8Rows)]
    if len(rows) < len(both):
        graph.constant(name, np.stack([_onnx_gates(as_float(layer)) for layer in both]))
        return
    graph.constant(f"{name}_int8", np.stack([_onnx_gates(r.values) for r in rows]))
    graph.constant(f"{name}_scales", np.stack([_onnx_gates(r.scales)[:, None] for r in rows]))
    graph.node("Cast", [f"{name}_int8"], f"{name}_values", to=TensorProto.FLOAT)
    graph.node("Mul", [f"{name}_values", f"{name}_scales"], name)


def _onnx_gates(rows: Array) -> Array:
    """Rows of the gates i, f, g, o in the order i, o, f, g."""
    i, f, g, o = np.split(rows, 4)
    return np.concatenate([i, o, f, g])


# --- graphs of files, which may be damaged or wish harm


class Content(NamedTuple):
    """What a graph is made of."""

    shapes: dict[str, tuple[int, ...]]  # of its constants, by name
    hidden_size: int  # of its LSTMs
    int8: bool  # whether these run in int8


_TYPES: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype("<f4"),
    TensorProto.INT8: np.dtype("i1"),
    TensorProto.INT64: np.dtype("<i8"),
}


def check_graph(model: onnx.ModelProto) -> Content:
    """Check that a graph is one of `build_graph`, node by node, with constants that are whole and finite.

    So nothing in it runs for ever, or grows beyond what the file holds and a batch needs. ValueError says
    what else it has.
    """
    graph = model.graph
    if model.functions or graph.sparse_initializer or model.training_info:
        raise ValueError("functions, sparse constants or training steps")
    shapes = {tensor.name: _checked_shape(tensor) for tensor in graph.initializer}
    expected = _alike(model, shapes)
    if list(map(_bare, graph.node)) != list(map(_bare, expected.graph.node)):
        others = {node.op_type for node in graph.node} - {node.op_type for node in expected.graph.node}
        names = sorted(map(str, others))
        raise ValueError(f"the operators {names!s:.200}" if names else "other nodes")
    sizes = {a.i for node in graph.node for a in node.attribute if a.name == "hidden_size"}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    if len(sizes) != 1 or set(constants) != {tensor.name for tensor in expected.graph.initializer}:
        raise ValueError("other sizes or constants")
    content = Content(shapes, sizes.pop(), _is_int8(model))
    for tensor in expected.graph.initializer:
        if tensor.data_type == TensorProto.INT64:
            numbers = numpy_helper.to_array(tensor)
            right = numbers * content.hidden_size if tensor.name == "both_directions" else numbers
            if constants[tensor.name].raw_data != right.tobytes():
                raise ValueError(f"another number {tensor.name}")
    for scales in (name for name in shapes if name.endswith("_scales")):
        name = scales.removesuffix("_scales")
        if not content.int8 or name == "embedding":  # which are multiplied by their scales, and must not grow
            rows = shapes.get(f"{name}_int8") or shapes[name]
            if shapes[scales] != (*rows[:-1], 1):
                raise ValueError(f"scales of shape {shapes[scales]!s:.100} for {name}")
    return content


def _checked_shape(tensor: onnx.TensorProto) -> tuple[int, ...]:
    shape, dtype, data = tuple(tensor.dims), _TYPES.get(tensor.data_type), tensor.raw_data
    if dtype is None or min(shape, default=1) < 1 or len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{len(data)} bytes for the constant {tensor.name!s:.60} of shape {shape!s:.100}")
    numbers = np.frombuffer(data, dtype)
    if dtype.kind == "f" and not np.isfinite([numbers.min(), numbers.max()]).all():
        raise ValueError(f"NaN or infinity in the constant {tensor.name!s:.60}")
    return shape


def _is_int8(model: onnx.ModelProto) -> bool:
    return any(node.op_type == "DynamicQuantizeLSTM" for node in model.graph.node)


def _alike(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> onnx.ModelProto:
    """A graph of this kind of a model of size 1."""
    outputs = [value.name for value in model.graph.output]
    classes = shapes.get("output_weight")
    if not set(outputs) <= {"features", "attention", *(["probabilities", "logits"] if classes else [])}:
        raise ValueError(f"the outputs {outputs!s:.200}")
    sizes = ModelSizes(1, 1, 1, classes[0] if classes else None)
    layers: dict[str, Layer] = {}
    for name, names in LAYERS.items():
        if classes or not name.startswith("output_layer"):
            zeros = np.zeros([dimensions(sizes)[length] for length in names], np.float32)
            constant = name.replace(".", "_").partition("_l0")[0]  # of both directions
            has_rows = f"{constant}_int8" in shapes or (
                name == "embed.weight" and "embedding_scales" in shapes
            )
            layers[name] = quantize_rows(zeros) if has_rows else zeros
    multi_label = any((entry.key, entry.value) == ("multi_label", "true") for entry in model.metadata_props)
    return build_graph(layers, outputs, _is_int8(model), {}, multi_label)


def _bare(node: onnx.NodeProto) -> tuple[Any, ...]:
    """All of a node but the size of its LSTM."""
    attributes = [a.SerializeToString() for a in node.attribute if a.name != "hidden_size"]
    return node.op_type, node.domain, list(node.input), list(node.output), sorted(attributes)
