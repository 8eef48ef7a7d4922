"""The layers of a model as Keras names them, and Keras's HDF5 files, read and written.

DeepMoji was published as weights of Keras 2.0; the 2017 PyTorch package came with a copy of them as a torch
file of one fixed size. Here sizes are read from the file, one that does not fit `KERAS_WEIGHTS` is refused,
and conversion goes both ways. A state dict is as in `torchmoji.weights.layers`, with tensors.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch

from torchmoji.files.atomic import atomic_path, writing
from torchmoji.runtime.machine import require
from torchmoji.weights.layers import LAYERS, ModelSizes, check_names, dimensions, model_sizes, read_sizes

_MOST_NAMES = 100  # of layers or of a layer's weights; DeepMoji has fewer than ten


class KerasWeight(NamedTuple):
    """One array of a Keras file.

    Attributes:
        layer: The layer it belongs to.
        name: Its name in the layer, as Keras 2.0 writes it. Reading goes by order: the numbers in it vary.
        dimensions: Those of `key` in `LAYERS`, or the transposed array's.
        key: What it is in a state dict; an LSTM's one bias is torch's `bias_ih`, and `bias_hh` is zero.
    """

    layer: str
    name: str
    dimensions: tuple[str, ...]
    key: str


KERAS_WEIGHTS = [
    KerasWeight(*row)
    for row in (
        ("embedding", "embeddings", ("tokens", "embedding"), "embed.weight"),
        ("bi_lstm_0", "forward_lstm_1/kernel", ("embedding", "gates"), "lstm_0.weight_ih_l0"),
        ("bi_lstm_0", "forward_lstm_1/recurrent_kernel", ("hidden", "gates"), "lstm_0.weight_hh_l0"),
        ("bi_lstm_0", "forward_lstm_1/bias", ("gates",), "lstm_0.bias_ih_l0"),
        ("bi_lstm_0", "backward_lstm_1/kernel", ("embedding", "gates"), "lstm_0.weight_ih_l0_reverse"),
        ("bi_lstm_0", "backward_lstm_1/recurrent_kernel", ("hidden", "gates"), "lstm_0.weight_hh_l0_reverse"),
        ("bi_lstm_0", "backward_lstm_1/bias", ("gates",), "lstm_0.bias_ih_l0_reverse"),
        ("bi_lstm_1", "forward_lstm_2/kernel", ("directions", "gates"), "lstm_1.weight_ih_l0"),
        ("bi_lstm_1", "forward_lstm_2/recurrent_kernel", ("hidden", "gates"), "lstm_1.weight_hh_l0"),
        ("bi_lstm_1", "forward_lstm_2/bias", ("gates",), "lstm_1.bias_ih_l0"),
        ("bi_lstm_1", "backward_lstm_2/kernel", ("directions", "gates"), "lstm_1.weight_ih_l0_reverse"),
        ("bi_lstm_1", "backward_lstm_2/recurrent_kernel", ("hidden", "gates"), "lstm_1.weight_hh_l0_reverse"),
        ("bi_lstm_1", "backward_lstm_2/bias", ("gates",), "lstm_1.bias_ih_l0_reverse"),
        ("attlayer", "attlayer_W", ("features", "one"), "attention_layer.attention_vector"),
        ("softmax", "kernel", ("features", "outputs"), "output_layer.0.weight"),
        ("softmax", "bias", ("outputs",), "output_layer.0.bias"),
    )
]
"""Every array of a Keras file in order. The gates have torch's order, i, f, g, o."""

KERAS_LAYERS = tuple(
    "input_1 embedding activation_1 bi_lstm_0 bi_lstm_1 concatenate_1 attlayer softmax".split()
)
"""Every layer of a Keras file in order, also those without weights; a feature encoder lacks `softmax`."""


def read_keras_weights(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """Read an HDF5 file of Keras 2: DeepMoji's weights, of any sizes.

    Takes what `model.save_weights` writes and the weights of what `model.save` writes. Layers are found by
    name, the arrays of a layer by their order.

    Args:
        path: The file.

    Returns:
        A state dict on the CPU with the sizes of the file; float64 stays, half precision becomes float32.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or of another kind, or a layer is missing, surplus or misshapen.
        ModuleNotFoundError: h5py is missing.
    """
    h5py = require("h5py", "keras", "a Keras HDF5 file")
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no Keras weights file {path}: check the path")
    try:
        with h5py.File(path, "r") as file:
            within = _member(h5py, file, "model_weights") if "model_weights" in file else file
            return _from_keras(_read_layers(h5py, within, path.stat().st_size))
    except Exception as error:  # cut or changed bytes make h5py raise nearly anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path} is not a sound Keras file of DeepMoji's layers ({reason:.300}): download or save the "
            "weights again"
        ) from error


def _read_layers(h5py: ModuleType, file: Any, size: int) -> dict[str, list[torch.Tensor]]:
    """The arrays of every layer that has any, from an open file or group; the file has so many bytes."""
    if "layer_names" not in file.attrs:
        raise ValueError("found no attribute 'layer_names', expected the layout of Keras 2's save_weights")
    layers: dict[str, list[torch.Tensor]] = {}
    left = size
    for layer in _names(file, "layer_names"):
        group = _member(h5py, file, layer)
        if not isinstance(group, h5py.Group) or "weight_names" not in group.attrs:
            raise ValueError(f"layer {layer}: found no group with an attribute 'weight_names', expected one")
        names = _names(group, "weight_names")
        members = [(name, _member(h5py, group, name)) for name in names]
        left -= sum(member.nbytes for _, member in members if isinstance(member, h5py.Dataset))
        if left < 0:
            raise ValueError(f"its arrays up to those of layer {layer} are larger than the file")
        if members:
            layers[layer] = [_tensor(h5py, layer, name, member, size) for name, member in members]
    return layers


def _names(group: Any, attribute: str) -> list[str]:
    """The names in an attribute, each of which stands there once."""
    if group.attrs.get_id(attribute).get_space().get_simple_extent_npoints() > _MOST_NAMES:
        raise ValueError(f"{attribute} are more than {_MOST_NAMES} names")
    names = [_text(name) for name in group.attrs[attribute]]
    if len(set(names)) < len(names):
        raise ValueError(f"{attribute} has a name twice")
    return names


def _member(h5py: ModuleType, group: Any, path: str) -> Any:
    """What has a path in a group, None where there is nothing; links, which lead anywhere, are refused."""
    for name in filter(None, path.split("/")):
        if not isinstance(group, h5py.Group) or name not in group:
            return None
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{path!r:.60} is a link, expected what it leads to in the file itself")
        group = group[name]
    return group


def _text(name: str | bytes) -> str:
    return name.decode("utf-8") if isinstance(name, bytes) else name


def _tensor(h5py: ModuleType, layer: str, name: str, array: Any, size: int) -> torch.Tensor:
    """The values of an HDF5 dataset of any float type and byte order, stored in this file as they are."""
    if not isinstance(array, h5py.Dataset) or array.dtype.kind != "f":
        raise ValueError(f"layer {layer}: found no array of floats under {name!r}, expected one")
    if array.external or array.is_virtual:
        raise ValueError(f"layer {layer}: {name!r} is stored in other files, expected one file with all")
    stored = min(array.id.get_storage_size(), size)
    if array.nbytes > stored:
        raise ValueError(
            f"layer {layer}: {name!r} has {array.nbytes} bytes of which the file holds {stored}, expected an "
            "array that is stored whole and not compressed"
        )
    return torch.from_numpy(np.array(array, dtype=np.float64 if array.dtype.itemsize > 4 else np.float32))


def _from_keras(layers: Mapping[str, list[torch.Tensor]]) -> dict[str, torch.Tensor]:
    """A state dict from the arrays of each Keras layer, all of them checked."""
    table: dict[str, list[KerasWeight]] = {}
    for weight in KERAS_WEIGHTS:
        table.setdefault(weight.layer, []).append(weight)
    check_names(layers, table, optional=("softmax",))
    arrays: dict[KerasWeight, torch.Tensor] = {}
    for layer, found in layers.items():
        expected = [weight.name for weight in table[layer]]
        if len(found) != len(expected):
            raise ValueError(
                f"layer {layer}: found {len(found)} arrays, expected {len(expected)}: {expected}"
            )
        arrays.update(zip(table[layer], found, strict=True))
    sizes = read_sizes(
        {f"{weight.layer} ({weight.name})": tuple(array.shape) for weight, array in arrays.items()},
        {f"{weight.layer} ({weight.name})": weight.dimensions for weight in KERAS_WEIGHTS},
    )
    state_dict: dict[str, torch.Tensor] = {}
    for weight, array in arrays.items():
        state_dict[weight.key] = _as_dimensions(array, weight.dimensions, LAYERS[weight.key], sizes)
        if "bias_ih" in weight.key:
            state_dict[_second_bias(weight.key)] = torch.zeros_like(array)
    return {key: state_dict[key] for key in LAYERS if key in state_dict}


def _as_dimensions(
    array: torch.Tensor, old: tuple[str, ...], new: tuple[str, ...], sizes: ModelSizes
) -> torch.Tensor:
    """`array` with dimensions `old` as a dense array with dimensions `new`, transposed where they differ."""
    lengths = dimensions(sizes)
    turned = array.T if array.dim() == 2 and old != new else array
    return turned.reshape([lengths[dimension] for dimension in new]).contiguous()


def _second_bias(key: str) -> str:
    return key.replace("bias_ih", "bias_hh")


def write_keras_weights(state_dict: Mapping[str, torch.Tensor], path: str | os.PathLike[str]) -> None:
    """Write weights as Keras 2.0's `save_weights` does, whole or not at all.

    An LSTM of Keras has one bias: the sum of torch's two.

    Args:
        state_dict: The model's layers (see `model_sizes`), on any device; half precision becomes float32.
        path: The file.

    Raises:
        ValueError: `state_dict` is not one of a TorchMoji model.
        ModuleNotFoundError: h5py is missing.
    """
    h5py = require("h5py", "keras", "a Keras HDF5 file")
    sizes = model_sizes(state_dict)
    layers = [layer for layer in KERAS_LAYERS if layer != "softmax" or sizes.nb_outputs is not None]
    # in memory: where the disk is full, the library ends the process
    with h5py.File(os.fspath(path), "w", driver="core", backing_store=False) as file:
        # Arrays of bytes of one length, as Keras writes names: it decodes each when it reads them.
        file.attrs["layer_names"] = np.array([layer.encode() for layer in layers])
        # The versions of the original files; Keras converts nothing in files of its own version.
        file.attrs["backend"] = b"theano"
        file.attrs["keras_version"] = b"2.0.9"
        for layer in layers:
            weights = [weight for weight in KERAS_WEIGHTS if weight.layer == layer]
            group = file.create_group(layer)
            names = [f"{layer}/{weight.name}" for weight in weights]
            group.attrs["weight_names"] = np.array([name.encode() for name in names])
            for name, weight in zip(names, weights, strict=True):
                values = single_or_double(state_dict[weight.key])
                if "bias_ih" in weight.key:
                    values = values + single_or_double(state_dict[_second_bias(weight.key)])
                array = _as_dimensions(values, LAYERS[weight.key], weight.dimensions, sizes)
                group[name] = array.numpy()
        file.flush()
        content = file.id.get_file_image()
    with atomic_path(path) as temporary, writing(temporary):
        temporary.write_bytes(content)


def single_or_double(tensor: torch.Tensor) -> torch.Tensor:
    """`tensor` on the CPU without its history; float64 stays, every other type becomes float32."""
    return tensor.detach().to("cpu", torch.float64 if tensor.dtype == torch.float64 else torch.float32)
