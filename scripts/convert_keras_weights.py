"""Convert the weights of a model between Keras HDF5, torch and safetensors files, of any layer sizes.

The format of IN is read from its content, that of OUT from its ending. OUT is read back and compared with IN,
layer by layer, before it gets its name.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from torchmoji.files import atomic_path
from torchmoji.weights import (
    FILE_ENDINGS,
    KERAS_ENDINGS,
    load_state_dict,
    model_sizes,
    save_state_dict,
)


def with_summed_biases(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The layers with each LSTM's two biases as their sum, which is all that Keras stores of them."""
    summed = dict(state_dict)
    for name in state_dict:
        if "bias_ih" in name:
            summed[name] = state_dict[name] + summed.pop(name.replace("bias_ih", "bias_hh"))
    return summed


def differing_layers(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> list[str]:
    """The names of the layers that only one has, or whose type, shape or any value differs."""
    return [name for name in {**first, **second} if not _same(first.get(name), second.get(name))]


def _same(first: torch.Tensor | None, second: torch.Tensor | None) -> bool:
    if first is None or second is None or (first.dtype, first.shape) != (second.dtype, second.shape):
        return False
    return torch.allclose(first, second, rtol=0, atol=0, equal_nan=True)


def convert(source: Path, target: Path) -> dict[str, torch.Tensor]:
    """Write the weights in `source` to `target` in the format of its ending, and read them back.

    Returns:
        The weights.

    Raises:
        ValueError: `source` cannot be read, the ending of `target` is unknown, or what was written differs.
        OSError: `source` is missing, or `target` cannot be written.
        ModuleNotFoundError: One of them is HDF5 and h5py is missing.
    """
    weights = load_state_dict(source)
    with atomic_path(target) as temporary:
        save_state_dict(weights, temporary)
        expected, found = weights, load_state_dict(temporary)
        if target.suffix.lower() in KERAS_ENDINGS:
            expected, found = with_summed_biases(expected), with_summed_biases(found)
        wrong = differing_layers(expected, found)
        if wrong:
            raise ValueError(f"{target} was not written: read back, these layers differ: {', '.join(wrong)}")
    return weights


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert; returns 0 when all went well, 1 with the reason on standard error when not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", metavar="IN", type=Path, help="file to read; its content says what it is")
    parser.add_argument("target", metavar="OUT", type=Path, help=f"file to write: {', '.join(FILE_ENDINGS)}")
    parser.add_argument("--force", action="store_true", help="overwrite OUT where it exists")
    options = parser.parse_args(arguments)
    if options.target.exists() and not options.force:
        print(
            f"error: {options.target} exists: give another name, or --force to overwrite it", file=sys.stderr
        )
        return 1
    try:
        weights = convert(options.source, options.target)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, tensor in weights.items():
        print(
            f"{name:34} {' x '.join(map(str, tensor.shape)):>14}  {str(tensor.dtype).removeprefix('torch.')}"
        )
    count = sum(tensor.numel() for tensor in weights.values())
    print(
        f"{options.target}: {len(weights)} layers, {count} weights, {model_sizes(weights)}, "
        f"read back and the same as {options.source}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
