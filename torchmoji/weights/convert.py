"""Weights from one file format into another, read back and compared before the new file gets its name."""

import os
from collections.abc import Mapping
from pathlib import Path

import torch

from torchmoji.files.atomic import atomic_path
from torchmoji.weights.formats import FILE_ENDINGS, KERAS_ENDINGS, load_state_dict, save_state_dict
from torchmoji.weights.layers import model_sizes


def rewrite(
    source: str | os.PathLike[str], target: str | os.PathLike[str], overwrite: bool = False
) -> dict[str, torch.Tensor]:
    """Write the weights in `source` to `target` in the format of its ending, and read them back.

    Args:
        source: A torch, safetensors or Keras HDF5 file; its content says which.
        target: The new file, with one of the endings `torchmoji.weights.formats.FILE_ENDINGS`.
        overwrite: Replace a file of that name.

    Returns:
        The weights.

    Raises:
        FileExistsError: There is a file `target`, and `overwrite` is not set.
        ValueError: `source` cannot be read, the ending of `target` is unknown, or what was written differs.
        OSError: `source` is missing, or `target` cannot be written.
        ModuleNotFoundError: One of them is HDF5 and h5py is missing.
    """
    target = Path(target)
    if target.suffix.lower() not in FILE_ENDINGS:
        raise ValueError(f"unknown file ending {target.suffix!r} of {target}: use {', '.join(FILE_ENDINGS)}")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists: give another name, or overwrite=True (--force)")
    weights = load_state_dict(source)
    with atomic_path(target) as temporary:
        save_state_dict(weights, temporary)
        expected, found = weights, load_state_dict(temporary)
        if target.suffix.lower() in KERAS_ENDINGS:
            expected, found = with_summed_biases(expected), with_summed_biases(found)
        wrong = [name for name in {**expected, **found} if not _same(expected.get(name), found.get(name))]
        if wrong:
            raise ValueError(f"{target} was not written: read back, these layers differ: {', '.join(wrong)}")
    return weights


def with_summed_biases(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The layers with each LSTM's two biases as their sum, which is all that Keras stores of them."""
    summed = dict(state_dict)
    for name in state_dict:
        if "bias_ih" in name:
            summed[name] = state_dict[name] + summed.pop(name.replace("bias_ih", "bias_hh"))
    return summed


def _same(first: torch.Tensor | None, second: torch.Tensor | None) -> bool:
    """Whether type, shape and all values are the same."""
    if first is None or second is None or (first.dtype, first.shape) != (second.dtype, second.shape):
        return False
    return torch.allclose(first, second, rtol=0, atol=0, equal_nan=True)


def describe(
    state_dict: Mapping[str, torch.Tensor], source: str | os.PathLike[str], target: str | os.PathLike[str]
) -> str:
    """What `rewrite` did: a line for each layer with its shape and type, and one with the model's sizes."""
    lines = [
        f"{name:34} {' x '.join(map(str, tensor.shape)):>14}  {str(tensor.dtype).removeprefix('torch.')}"
        for name, tensor in state_dict.items()
    ]
    count = sum(tensor.numel() for tensor in state_dict.values())
    lines.append(
        f"{os.fspath(target)}: {len(state_dict)} layers, {count} weights, {model_sizes(state_dict)}, "
        f"read back and the same as {os.fspath(source)}"
    )
    return "\n".join(lines)
