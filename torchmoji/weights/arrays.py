"""Safetensors files as NumPy arrays, without torch; int8 matrices stay as they are stored."""

import os
from pathlib import Path

import numpy as np
import safetensors

from torchmoji.weights.layers import LAYERS, Array, Int8Rows, Layer, model_sizes

QUANTIZATION = "int8 rows"
"""Value of the key `quantization` in the header of a file with int8 rows."""

SCALE = ".scale"
"""Follows a matrix's name in the name of its scales."""


def read_layers(path: str | os.PathLike[str]) -> dict[str, Layer]:
    """Read and check a safetensors file.

    Args:
        path: The file.

    Returns:
        The layers in the order of `LAYERS`; matrices of a file of `save_quantized` as `Int8Rows`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is of another kind, damaged, or holds something other than the model's layers.
    """
    path = Path(path)
    layers = read_safetensors(path)
    try:
        model_sizes(layers)
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


def read_safetensors(path: Path) -> dict[str, Layer]:
    """What a safetensors file holds, unchecked; bfloat16, which NumPy lacks, is read by torch as float32.

    Raises:
        ValueError: The file is damaged, or int8 matrices lack their scales.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            names = list(file.keys())
            if any(file.get_slice(name).get_dtype() == "BF16" for name in names):
                stored = _read_with_torch(path)
            else:
                stored = {name: file.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, AttributeError, TypeError) as error:  # types that NumPy lacks
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path} is truncated or damaged ({reason}): download or save the weights again"
        ) from error
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
            layers[name] = Int8Rows(values, scales.astype(np.float32))
    return layers


def _read_with_torch(path: Path) -> dict[str, Array]:
    import torch
    from safetensors.torch import load_file

    tensors = load_file(path)
    return {name: (t.float() if t.dtype is torch.bfloat16 else t).numpy() for name, t in tensors.items()}
