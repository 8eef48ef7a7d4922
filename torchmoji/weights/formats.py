"""Reading and writing the weights of a model, whatever the file format.

The 2017 package read torch files alone, let `torch.load` run code from them, and took the sizes for granted.
Here torch files are read as tensors only; safetensors, a compact form of it with int8 rows, and Keras's HDF5
files are read too. A file's content, not its name, says which of them it is, and every file is checked
against the table of layers in `torchmoji.weights.layers`.
"""

import io
import json
import os
import pickle
import pickletools
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors.torch import save_file

from torchmoji.files.atomic import atomic_path, writing
from torchmoji.weights.keras import read_keras_weights, single_or_double, write_keras_weights
from torchmoji.weights.layers import (
    EXPECTED,
    LARGEST_HEADER,
    LAYERS,
    QUANTIZATION,
    SCALE,
    Int8Rows,
    ModelSizes,
    as_float,
    damaged,
    model_sizes,
    quantize_rows,
    read_layers,
    weights_in,
)

__all__ = [
    "FILE_ENDINGS",
    "LAYERS",
    "ModelSizes",
    "describe",
    "load_state_dict",
    "model_sizes",
    "rewrite",
    "save_quantized",
    "save_state_dict",
]

TORCH_ENDINGS = (".bin", ".pt", ".pth")
SAFETENSORS_ENDINGS = (".safetensors",)
KERAS_ENDINGS = (".hdf5", ".h5")
FILE_ENDINGS = (*TORCH_ENDINGS, *SAFETENSORS_ENDINGS, *KERAS_ENDINGS)
"""The endings that `save_state_dict` writes."""

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MAKERS = ("_codecs", "builtin", "Counter", "torch Size", "_rebuild_device")
"""What torch lets a pickle call that weights need not, and with which a few bytes of it become gigabytes."""
_MOST_INSTRUCTIONS = 10_000
"""Of a pickle; a model's weights have about a thousand. With millions a small list grows again and again."""
_ZIP_SIGNATURE = b"PK\x03\x04"
_OLD_TORCH_PICKLES = 5  # a number, a version, sizes of types, the weights and the names of their arrays
# How pickle writes 0x1950A86A20F9469CFC6C, the number with which torch's old format starts.
_OLD_TORCH_NUMBER = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_MAX_SAFETENSORS_HEADER = 100_000_000  # bytes; the format's own limit


def load_state_dict(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """Read the weights of a model from a file of any supported format, and check them.

    The content says which format it is: a torch file (old format or zip), safetensors (plain or written by
    `save_quantized`), or HDF5 as Keras 2 saves it (needs h5py). Nothing in the file is run.

    Args:
        path: The file, or a folder with one: `model.safetensors` or `pytorch_model.bin`.

    Returns:
        The layers in the order of `LAYERS`, on the CPU, sharing no memory with each other or the file.
        float64 stays; everything else becomes float32.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is of another kind, damaged, or holds something other than the model's layers.
        ModuleNotFoundError: It is an HDF5 file and h5py is missing.
    """
    path = Path(path)
    if path.is_dir():
        path = weights_in(path)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no weights file {path}: check the path, or fetch the original weights with "
            f"`torchmoji download` (torchmoji.weights.hub does the same from Python)"
        )
    if not path.is_file():
        raise ValueError(f"{path} is not a file: give the path of a weights file")
    with path.open("rb") as file:
        read = _reader(path, file.read(64))
    if read is _load_safetensors:
        return read(path)
    loaded = read(path)
    try:
        model_sizes(loaded)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; expected {EXPECTED}") from error
    loaded = {name: _own_copy(tensor) for name, tensor in loaded.items()}
    return {name: single_or_double(loaded.pop(name)) for name in LAYERS if name in loaded}


def _reader(path: Path, head: bytes) -> Callable[[Path], dict[str, torch.Tensor]]:
    """The function that reads a file which starts with the 64 bytes `head`."""
    if head.startswith(_HDF5_SIGNATURE):
        return read_keras_weights
    if head.startswith(_ZIP_SIGNATURE) or _OLD_TORCH_NUMBER in head[:16]:
        return _load_torch
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _MAX_SAFETENSORS_HEADER:
        return _load_safetensors
    if not head:
        found = "is empty"
    elif head.lstrip().startswith(b"<"):
        found = "is an HTML page or other markup, as a failed download leaves it"
    elif head.startswith(b"version https://git-lfs"):
        found = "is a Git LFS pointer, not the file it points to"
    elif head.startswith(b"\x80"):
        found = "is a pickle that torch.save did not write"
    else:
        found = f"starts with {head[:16]!r}"
    raise ValueError(
        f"{path} {found}: expected a torch, safetensors or Keras HDF5 file; "
        f"download or save the weights again"
    )


def _load_torch(path: Path) -> dict[str, torch.Tensor]:
    # torch before 2.6 runs code from a tar archive even with weights_only=True (CVE-2025-32434).
    if tarfile.is_tarfile(path):
        raise ValueError(f"{path} is a tar archive: expected a file of torch.save(model.state_dict(), path)")
    try:
        with path.open("rb") as file:  # torch would go by the ending of a name
            _check_members(file)
            loaded = torch.load(file, map_location="cpu", weights_only=True)
        if isinstance(loaded, dict):
            _check_storages(loaded, path.stat().st_size)
    except pickle.UnpicklingError as error:
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        found = f"{foreign[1].rstrip('.'):.100}, which could run code" if foreign else "a damaged pickle"
        raise ValueError(
            f"{path} was not loaded, for it holds {found}: expected a file of "
            f"torch.save(model.state_dict(), path), that is tensors alone"
        ) from None  # torch's own message advises to load the file without the check
    except Exception as error:  # cut or changed bytes make torch raise nearly anything
        raise damaged(path, error) from error
    if not isinstance(loaded, dict):
        raise ValueError(
            f"{path} holds an object of type {type(loaded).__name__}: expected a state dict, as "
            f"torch.save(model.state_dict(), path) writes it"
        )
    return loaded


def _check_members(file: BinaryIO) -> None:
    """Refuse a zip whose members hold more than the file: torch would unpack them, whatever their size."""
    if file.read(len(_ZIP_SIGNATURE)) == _ZIP_SIGNATURE:
        with zipfile.ZipFile(file) as archive:
            members, place = archive.infolist(), archive.start_dir
            stored = [member for member in members if member.compress_type == zipfile.ZIP_STORED]
            for member in stored:
                if member.filename.endswith("data.pkl"):
                    _check_pickle(io.BytesIO(archive.read(member)))
        file.seek(-22, os.SEEK_END)
        signature, *_, stated, comment = struct.unpack("<4s4HIIH", file.read(22))
        if stated == 0xFFFFFFFF:  # as torch writes it: the place stands before, in 64 bits
            file.seek(-22 - 20 - 8, os.SEEK_END)
            stated = int.from_bytes(file.read(8), "little")
        if signature != b"PK\5\6" or comment or stated != place:
            raise ValueError("its list of contents is not where it says")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("its arrays are compressed, which torch.save does not do")
        if sum(member.file_size for member in members) > file.seek(0, os.SEEK_END):
            raise ValueError("it declares more than it holds")
    else:
        file.seek(0)
        for _ in range(_OLD_TORCH_PICKLES):
            _check_pickle(file)
    file.seek(0)


def _check_pickle(file: BinaryIO) -> None:
    """Refuse a pickle with what weights need not, before torch runs it."""
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if number == _MOST_INSTRUCTIONS:
            raise ValueError(f"its pickle has more than {_MOST_INSTRUCTIONS} instructions")
        if opcode.name == "GLOBAL" and any(maker in str(argument) for maker in _MAKERS):
            raise ValueError(
                f"it makes objects with {'.'.join(str(argument).split())}, which weights need not"
            )


def _check_storages(loaded: Mapping[Any, Any], size: int) -> None:
    """Refuse arrays that are larger than the file, such as one number in a hundred million rows."""
    for name, tensor in loaded.items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout is not torch.strided or tensor.is_meta:
            continue  # it is no layer, which `model_sizes` says
        if max(tensor.untyped_storage().nbytes(), tensor.numel() * tensor.element_size()) > size:
            raise ValueError(f"layer {name!r:.60} of shape {tuple(tensor.shape)} is larger than the file")


def _load_safetensors(path: Path) -> dict[str, torch.Tensor]:
    layers = read_layers(path)  # checked as they are stored; they share memory with nothing
    return {
        name: single_or_double(torch.from_numpy(as_float(layer) if isinstance(layer, Int8Rows) else layer))
        for name, layer in layers.items()
    }


def save_state_dict(state_dict: Mapping[str, torch.Tensor], path: str | os.PathLike[str]) -> None:
    """Write weights in the format that the ending of `path` names, whole or not at all.

    Args:
        state_dict: The model's layers (see `model_sizes`), float, on any device; dtypes are kept, but for
            Keras, which has single and double precision alone.
        path: A name with one of `FILE_ENDINGS`.

    Raises:
        ValueError: The ending is unknown, or `state_dict` is not one of a TorchMoji model.
        ModuleNotFoundError: The file is to be HDF5 and h5py is missing.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in FILE_ENDINGS:
        raise ValueError(
            f"unknown file ending {path.suffix!r} of {path}: use one of {', '.join(FILE_ENDINGS)}"
        )
    model_sizes(state_dict)
    if ending in KERAS_ENDINGS:
        write_keras_weights(state_dict, path)
        return
    tensors = {name: _own_copy(state_dict[name]) for name in LAYERS if name in state_dict}
    with atomic_path(path) as temporary, writing(temporary):
        if ending in TORCH_ENDINGS:
            torch.save(tensors, temporary)
        else:
            save_file(tensors, temporary, metadata={"format": "pt"})


def _own_copy(tensor: torch.Tensor) -> torch.Tensor:
    """A dense copy on the CPU that shares memory with nothing: views and tied layers come apart."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def save_quantized(
    state_dict: Mapping[str, torch.Tensor],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write weights compactly as safetensors: int8 with one scale a row for matrices, float32 for vectors.

    A row `w` of a matrix becomes `round(w / s)` with `s = max|w| / 127`, halves rounded to even. The scales,
    float32, have the matrix's name + ".scale". `load_state_dict` gives `s * round(w / s)`, no further than
    `s / 2` from `w`.

    Args:
        state_dict: The model's layers (see `model_sizes`).
        path: A name that ends in .safetensors.
        metadata: More strings for the header. Its own keys, `format` and `quantization`, win.

    Raises:
        ValueError: The ending is another one, `state_dict` is not one of a TorchMoji model, or there is more
            metadata than readers take.
        TypeError: `metadata` holds something other than strings.
    """
    path = Path(path)
    if path.suffix.lower() not in SAFETENSORS_ENDINGS:
        raise ValueError(
            f"unknown file ending {path.suffix!r} of {path}: int8 weights are written as .safetensors"
        )
    model_sizes(state_dict)
    tensors = {name: _own_copy(state_dict[name]).float() for name in LAYERS if name in state_dict}
    for name in list(tensors):
        if tensors[name].dim() == 2:
            rows = quantize_rows(tensors[name].numpy())
            tensors[name], tensors[name + SCALE] = map(torch.from_numpy, rows)
    header = {**(metadata or {}), "format": "pt", "quantization": QUANTIZATION}
    if len(json.dumps(header)) > LARGEST_HEADER // 2:  # which reading refuses with the names of layers
        raise ValueError(f"metadata must have at most {LARGEST_HEADER // 2} characters as JSON")
    with atomic_path(path) as temporary, writing(temporary):
        save_file(tensors, temporary, metadata=header)


# --- From one format into another


def rewrite(
    source: str | os.PathLike[str], target: str | os.PathLike[str], overwrite: bool = False
) -> dict[str, torch.Tensor]:
    """Write the weights in `source` to `target` in the format of its ending, and read them back.

    Args:
        source: A torch, safetensors or Keras HDF5 file; its content says which.
        target: The new file, with one of the endings `FILE_ENDINGS`.
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
    if target.suffix.lower() not in FILE_ENDINGS:  # before the work of reading
        raise ValueError(f"unknown file ending {target.suffix!r} of {target}: use {', '.join(FILE_ENDINGS)}")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists: give another name, or overwrite=True (--force)")
    weights = load_state_dict(source)
    with atomic_path(target) as temporary:
        save_state_dict(weights, temporary)
        expected, found = weights, load_state_dict(temporary)
        if target.suffix.lower() in KERAS_ENDINGS:
            expected, found = with_summed_biases(expected), with_summed_biases(found)
        wrong = [name for name in expected if not _same(expected[name], found.get(name))]
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


def _same(first: torch.Tensor, second: torch.Tensor | None) -> bool:
    """Whether type, shape and all values are the same."""
    if second is None or (first.dtype, first.shape) != (second.dtype, second.shape):
        return False
    return torch.allclose(first, second, rtol=0, atol=0)


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
