"""The layers of a model and their shapes, int8 rows, and safetensors files read without torch.

    values = round(w / scale)    scale = max|w| / 127 of each row, halves rounded to even

A state dict here is a mapping from the keys of `LAYERS` to tensors or arrays. The output layer may be missing
as a whole: a feature encoder has none. torch is imported only where there are tensors.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchmoji.global_variables import ORIGINAL_WEIGHTS_NAME

Array = npt.NDArray[Any]

WEIGHTS_NAME = "model.safetensors"

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

QUANTIZATION = "int8 rows"
"""Value of the key `quantization` in the header of a file with int8 rows."""
LARGEST_HEADER = 1 << 20
"""Bytes of the list of arrays in a safetensors file, at most."""
SCALE = ".scale"
"""Follows a matrix's name in the name of its scales."""

OUTPUT_LAYER = ("output_layer.0.weight", "output_layer.0.bias")
"""The layers that a feature encoder lacks."""


@dataclass(frozen=True)
class ModelSizes:
    """The sizes that fix every shape of the model.

    `hidden_size` is that of one LSTM direction. `nb_outputs` is 1 for two classes, `None` without an output
    layer.
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
    """A matrix, int8 (rows, columns), with one scale for each row, float32 (rows,)."""

    values: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return self.values.shape


Layer = Array | Int8Rows

EXPECTED = (
    "the bare state dict of a TorchMoji model, as save_state_dict or torch.save(model.state_dict(), path) "
    "writes it"
)
"""For messages: what a file of weights holds."""

_MAX_INT8 = 127
_MAX_FLOAT = float(np.finfo(np.float32).max)


def quantize_rows(matrix: Array) -> Int8Rows:
    """Round a finite float32 matrix (rows, columns) to int8, no value by more than half its row's scale."""
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
        ValueError: A layer is missing, surplus, misshapen, not of dense floats, or holds a number that is not
            finite in float32; the message names it.
    """
    check_names(state_dict, LAYERS, optional=OUTPUT_LAYER)
    for name, value in state_dict.items():
        if not isinstance(value, Int8Rows):
            _check_float(name, value)
    sizes = read_sizes({name: tuple(layer.shape) for name, layer in state_dict.items()}, LAYERS)
    for name, value in state_dict.items():
        _check_finite(name, value)
    return sizes


def _check_finite(name: str, value: Any) -> None:
    if isinstance(value, Int8Rows):
        extremes: list[Any] = [float(value.scales.min()), float(value.scales.max())]
        extremes = [number * (_MAX_INT8 + 1) for number in extremes]
    elif isinstance(value, np.ndarray):
        extremes = [value.min(), value.max()]
    else:
        extremes = list(value.detach().aminmax())  # one pass; NaN is the extreme of all that hold it
    if not all(abs(float(number)) <= _MAX_FLOAT for number in extremes):
        raise ValueError(f"layer {name} holds NaN, infinity or a number above those of float32")


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

    Each size is taken from the first layer of `table` that has it as a dimension. ValueError where a layer
    has another shape than the sizes give it.
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
    """Name surplus and missing layers in a ValueError; those of `optional` may be missing together."""
    surplus = [name for name in found if name not in expected]
    if surplus:
        raise ValueError(f"unexpected layers {listed(surplus)}; expected only {listed(expected)}")
    without = set(optional).isdisjoint(found)
    missing = [name for name in expected if name not in found and not (without and name in optional)]
    if missing:
        raise ValueError(f"missing layers {listed(missing)}; found {listed(found) or 'none'}")


def listed(names: Collection[object], most: int = 5) -> str:
    """Some of the names, for a message."""
    shown = ", ".join(f"{name!r:.60}" for name in list(names)[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def damaged(path: Path, error: Exception) -> ValueError:
    """What to say of a file that a library cannot read."""
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return ValueError(f"{path} is truncated or damaged ({reason:.300}): download or save the weights again")


# --- safetensors files


def read_layers(path: str | os.PathLike[str]) -> dict[str, Layer]:
    """Read and check a safetensors file; its layers are in the order of `LAYERS`.

    Matrices of a file of `save_quantized` are `Int8Rows`. FileNotFoundError where there is no such file,
    ValueError where it is of another kind, damaged, or holds something other than the model's layers.
    """
    path = Path(path)
    layers = read_safetensors(path)
    try:
        model_sizes(layers)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected {EXPECTED}") from error
    return {name: layers[name] for name in LAYERS if name in layers}


def weights_in(folder: Path) -> Path:
    """A folder's file of weights: `model.safetensors`, or 2017's torch file where there is only that."""
    old = folder / ORIGINAL_WEIGHTS_NAME
    return old if old.is_file() and not (folder / WEIGHTS_NAME).is_file() else folder / WEIGHTS_NAME


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file that starts as safetensors does: eight bytes, then a JSON object."""
    if not Path(path).is_file():
        return False
    with open(path, "rb") as file:
        return file.read(9)[8:] == b"{"


def read_safetensors(path: Path) -> dict[str, Layer]:
    """What a safetensors file holds, unchecked; bfloat16, which NumPy lacks, is read by torch as float32.

    ValueError where the file is damaged, or int8 matrices lack their scales.
    """
    import safetensors

    with open(path, "rb") as start:
        if int.from_bytes(start.read(8), "little") > LARGEST_HEADER:
            raise damaged(path, ValueError(f"its header has more than {LARGEST_HEADER} bytes"))
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            names = list(file.keys())
            if any(file.get_slice(name).get_dtype() == "BF16" for name in names):
                stored = _read_with_torch(path)
            else:
                stored = {name: file.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, AttributeError, TypeError) as error:  # types that NumPy lacks
        raise damaged(path, error) from error
    quantization = metadata.get("quantization")
    if quantization not in (None, QUANTIZATION):
        raise ValueError(
            f"{path} has the quantization {quantization!r}, expected {QUANTIZATION!r}, as save_quantized "
            f"writes it: update torchmoji or get the file in full precision"
        )
    layers: dict[str, Layer] = dict(stored)
    for name, values in stored.items():
        if quantization and values.dtype == np.int8 and values.ndim == 2:
            scales = stored.get(name + SCALE)
            if scales is None or scales.dtype.kind != "f" or scales.shape != values.shape[:1]:
                found = "nothing" if scales is None else f"{scales.dtype} of shape {scales.shape}"
                raise ValueError(
                    f"{path}: layer {name + SCALE}: found {found}, expected {len(values)} floats"
                )
            del layers[name + SCALE]
            with np.errstate(over="ignore"):  # infinity is refused
                layers[name] = Int8Rows(values, scales.astype(np.float32))
    return layers


def _read_with_torch(path: Path) -> dict[str, Array]:
    import torch
    from safetensors.torch import load_file

    tensors = load_file(path)
    return {name: (t.float() if t.dtype is torch.bfloat16 else t).numpy() for name, t in tensors.items()}
