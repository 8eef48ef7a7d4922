"""Weights as NumPy arrays, without torch: safetensors files, plain or with int8 rows.

    values = round(w / scale)    scale = max|w| / 127 of each row, halves rounded to even

`torchmoji.weights.formats` reads every format into tensors; here is what an engine needs that does without
torch. An
int8 matrix stays as it is stored.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import safetensors

from torchmoji.weights.layers import LAYERS, OUTPUT_LAYER, ModelSizes, check_names, read_sizes

Array = npt.NDArray[Any]

QUANTIZATION = "int8 rows"
"""Value of the key `quantization` in the header of a file with int8 rows."""

SCALE = ".scale"
"""Follows a matrix's name in the name of its scales."""

MAX_INT8 = 127


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


def quantize_rows(matrix: Array) -> Int8Rows:
    """Round a float32 matrix (rows, columns) to int8; no value moves by more than half its row's scale.

    Raises:
        ValueError: The matrix holds NaN or infinity.
    """
    if not np.isfinite(matrix).all():
        raise ValueError("a matrix holds NaN or infinity: only finite weights can be stored as int8")
    scales = np.abs(matrix).max(axis=1).astype(np.float32) / np.float32(MAX_INT8)
    divisors = np.where(scales > 0, scales, np.float32(1))
    rows = np.rint(matrix / divisors[:, None]).clip(-MAX_INT8, MAX_INT8)
    return Int8Rows(rows.astype(np.int8), scales)


def as_float(layer: Layer) -> npt.NDArray[np.float32]:
    """A layer's values in float32."""
    if isinstance(layer, Int8Rows):
        return layer.values.astype(np.float32) * layer.scales[:, None]
    return layer.astype(np.float32, copy=False)


def as_int8(layer: Layer) -> Int8Rows:
    """A matrix's int8 rows: those stored, else rounded ones."""
    return layer if isinstance(layer, Int8Rows) else quantize_rows(as_float(layer))


def layer_sizes(layers: dict[str, Layer]) -> ModelSizes:
    """Check that these are the layers of a TorchMoji model, and read its sizes.

    Raises:
        ValueError: A layer is missing, surplus, misshapen or not of floats; the message names it.
    """
    check_names(layers, LAYERS, optional=OUTPUT_LAYER)
    for name, layer in layers.items():
        if not isinstance(layer, Int8Rows) and layer.dtype.kind != "f":
            raise ValueError(f"layer {name}: found numbers of {layer.dtype}, expected floats")
    return read_sizes({name: tuple(layer.shape) for name, layer in layers.items()}, LAYERS)


def read_layers(path: str | os.PathLike[str]) -> dict[str, Layer]:
    """Read and check a weights file, safetensors without torch, any other format with it.

    Args:
        path: A file of any format that `torchmoji.weights.formats.load_state_dict` reads.

    Returns:
        The layers in the order of `LAYERS`; matrices of a file of `save_quantized` as `Int8Rows`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is of another kind, damaged, or holds something other than the model's layers.
    """
    path = Path(path)
    layers = _read_safetensors(path) if is_safetensors(path) else None
    if layers is None:
        from torchmoji.weights.formats import load_state_dict

        return {name: tensor.float().numpy() for name, tensor in load_state_dict(path).items()}
    try:
        layer_sizes(layers)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected the layers of a TorchMoji model") from error
    return {name: layers[name] for name in LAYERS if name in layers}


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file that starts as safetensors does: eight bytes, then a JSON object."""
    path = Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def has_int8_rows(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file of `torchmoji.weights.formats.save_quantized`."""
    if not is_safetensors(path):
        return False
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return (file.metadata() or {}).get("quantization") == QUANTIZATION
    except safetensors.SafetensorError:
        return False


def _read_safetensors(path: Path) -> dict[str, Layer] | None:
    """The layers of a file, or None where it has a type of numbers that NumPy lacks, such as bfloat16."""
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except safetensors.SafetensorError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path} is truncated or damaged ({reason}): download or save the weights again"
        ) from error
    except (AttributeError, TypeError):
        return None
    if any(array.dtype.kind == "V" for array in stored.values()):  # known to NumPy through ml_dtypes
        return None
    quantization = metadata.get("quantization")
    if quantization is None:
        return stored
    if quantization != QUANTIZATION:
        raise ValueError(
            f"{path} has the quantization {quantization!r}, expected {QUANTIZATION!r}: "
            "update torchmoji or get the file in full precision"
        )
    return _paired(stored, path)


def _paired(stored: dict[str, Array], path: Path) -> dict[str, Layer]:
    """Join int8 matrices with their scales; what is no such pair stays, to be refused."""
    layers: dict[str, Layer] = dict(stored)
    for name, values in stored.items():
        if values.dtype == np.int8 and values.ndim == 2:
            scales = stored.get(name + SCALE)
            if scales is None or scales.dtype.kind != "f" or scales.shape != values.shape[:1]:
                found = "nothing" if scales is None else f"{scales.dtype} of shape {scales.shape}"
                raise ValueError(
                    f"{path}: layer {name + SCALE}: found {found}, expected {len(values)} floats"
                )
            del layers[name + SCALE]
            layers[name] = Int8Rows(values, scales.astype(np.float32))
    return layers
