"""The layers of a model, their shapes, the check that a set of layers is one model's, and int8 rows.

    values = round(w / scale)    scale = max|w| / 127 of each row, halves rounded to even

A state dict here is a mapping from the keys of `LAYERS` to tensors or arrays. The output layer may be missing
as a whole: a feature encoder has none. torch is imported only where there are tensors.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LAYERS: dict[str, tuple[str, ...]] = {
    "embed.weight": ("tokens", "embedding"),
    "lstm_0.weight_ih_l0": ("gates", "embedding"),
    "lstm_0.weight_hh_l0": ("gates", "hidden"),
    "lstm_0.bias_ih_l0": ("gates",),
    "lstm_0.bias_hh_l0": ("gates",),
    "lstm_0.weight_ih_l0_reverse": ("gates", "embedding"),
    "lstm_0.weight_hh_l0_reverse": ("gates", "hidden"),
    "lstm_0.bias_ih_l0_reverse": ("gates",),
    "lstm_0.bias_hh_l0_reverse": ("gates",),
    "lstm_1.weight_ih_l0": ("gates", "directions"),
    "lstm_1.weight_hh_l0": ("gates", "hidden"),
    "lstm_1.bias_ih_l0": ("gates",),
    "lstm_1.bias_hh_l0": ("gates",),
    "lstm_1.weight_ih_l0_reverse": ("gates", "directions"),
    "lstm_1.weight_hh_l0_reverse": ("gates", "hidden"),
    "lstm_1.bias_ih_l0_reverse": ("gates",),
    "lstm_1.bias_hh_l0_reverse": ("gates",),
    "attention_layer.attention_vector": ("features",),
    "output_layer.0.weight": ("outputs", "features"),
    "output_layer.0.bias": ("outputs",),
}
"""Every layer of the model in order, with the names of its dimensions (see `dimensions`)."""

OUTPUT_LAYER = ("output_layer.0.weight", "output_layer.0.bias")
"""The layers that a feature encoder lacks."""


@dataclass(frozen=True)
class ModelSizes:
    """The sizes that fix every shape of the model.

    Attributes:
        nb_tokens: Rows of the embedding, the size of the vocabulary.
        embedding_dim: Columns of the embedding.
        hidden_size: Hidden units of one LSTM direction.
        nb_outputs: Rows of the output layer (1 for two classes), `None` without an output layer.
    """

    nb_tokens: int
    embedding_dim: int
    hidden_size: int
    nb_outputs: int | None


def dimensions(sizes: ModelSizes) -> dict[str, int]:
    """The length of every dimension that a table of layers names; `outputs` only with an output layer."""
    lengths = {
        "tokens": sizes.nb_tokens,
        "embedding": sizes.embedding_dim,
        "hidden": sizes.hidden_size,
        "directions": 2 * sizes.hidden_size,
        "gates": 4 * sizes.hidden_size,
        "features": 4 * sizes.hidden_size + sizes.embedding_dim,
        "one": 1,
    }
    if sizes.nb_outputs is not None:
        lengths["outputs"] = sizes.nb_outputs
    return lengths


class Int8Rows(NamedTuple):
    """A matrix with one scale for each row.

    Attributes:
        values: int8 (rows, columns).
        scales: float32 (rows,).
    """

    values: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return self.values.shape


Layer = Array | Int8Rows

_MAX_INT8 = 127


def quantize_rows(matrix: Array) -> Int8Rows:
    """Round a float32 matrix (rows, columns) to int8; no value moves by more than half its row's scale.

    Raises:
        ValueError: The matrix holds NaN or infinity.
    """
    if not np.isfinite(matrix).all():
        raise ValueError("a matrix holds NaN or infinity: only finite weights can be stored as int8")
    scales = np.abs(matrix).max(axis=1).astype(np.float32) / np.float32(_MAX_INT8)
    divisors = np.where(scales > 0, scales, np.float32(1))
    rows = np.rint(matrix / divisors[:, None]).clip(-_MAX_INT8, _MAX_INT8)
    return Int8Rows(rows.astype(np.int8), scales)


def as_float(layer: Layer) -> npt.NDArray[np.float32]:
    """A layer's values in float32."""
    if not isinstance(layer, Int8Rows):
        return layer.astype(np.float32, copy=False)
    values = layer.values.astype(np.float32)
    values *= layer.scales[:, None]
    return values


def model_sizes(state_dict: Mapping[str, Any]) -> ModelSizes:
    """Check that a state dict is one of a TorchMoji model, and read the model's sizes from it.

    Args:
        state_dict: The keys of `LAYERS`, with or without the output layer, and float tensors or arrays.

    Raises:
        ValueError: A layer is missing, surplus, misshapen or not of dense floats; the message names it.
    """
    check_names(state_dict, LAYERS, optional=OUTPUT_LAYER)
    for name, value in state_dict.items():
        if not isinstance(value, Int8Rows):
            _check_float(name, value)
    return read_sizes({name: tuple(layer.shape) for name, layer in state_dict.items()}, LAYERS)


def _check_float(name: str, value: object) -> None:
    if isinstance(value, np.ndarray):
        if value.dtype.kind != "f":
            raise ValueError(f"layer {name}: found numbers of {value.dtype}, expected floats")
        return
    import torch

    expected = "expected a dense tensor of float16, bfloat16, float32 or float64"
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"layer {name}: found an object of type {type(value).__name__}, {expected}")
    dense = value.layout is torch.strided and not value.is_meta
    if not dense or value.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise ValueError(f"layer {name}: found {value.layout} {value.dtype} on {value.device}, {expected}")


def read_sizes(shapes: Mapping[str, tuple[int, ...]], table: Mapping[str, tuple[str, ...]]) -> ModelSizes:
    """Read the model's sizes from the shapes of its layers, and check every shape against them.

    Each size is taken from the first layer of `table` that has it as a dimension.

    Args:
        shapes: Layer name to shape; every layer of `table`, but for the output layer, which may be missing.
        table: Layer name to names of dimensions, as in `LAYERS`.

    Raises:
        ValueError: A layer has another shape than the sizes give it.
    """
    present = {name: names for name, names in table.items() if name in shapes}
    read: dict[str, int] = {}
    for name, names in present.items():
        if len(shapes[name]) != len(names) or 0 in shapes[name]:
            raise ValueError(f"layer {name}: found shape {shapes[name]}, expected ({', '.join(names)})")
        for dimension, length in zip(names, shapes[name], strict=True):
            read.setdefault(dimension, length)
    sizes = ModelSizes(read["tokens"], read["embedding"], read["hidden"], read.get("outputs"))
    lengths = dimensions(sizes)
    for name, names in present.items():
        expected = tuple(lengths[dimension] for dimension in names)
        if shapes[name] != expected:
            raise ValueError(
                f"layer {name}: found shape {shapes[name]}, expected {expected}, that is "
                f"({', '.join(names)}), as the layers before it have {sizes}"
            )
    return sizes


def check_names(found: Collection[str], expected: Collection[str], optional: Collection[str]) -> None:
    """Refuse surplus and missing layers; those of `optional` may be missing together.

    Raises:
        ValueError: Names some of them.
    """
    surplus = [name for name in found if name not in expected]
    if surplus:
        raise ValueError(f"unexpected layers {listed(surplus)}; expected only {listed(expected)}")
    without = set(optional).isdisjoint(found)
    missing = [name for name in expected if name not in found and not (without and name in optional)]
    if missing:
        raise ValueError(f"missing layers {listed(missing)}; found {listed(found) or 'none'}")


def listed(names: Collection[object], most: int = 5) -> str:
    """Some of the names, for a message."""
    shown = ", ".join(repr(name) for name in list(names)[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
