"""Weights without torch: what NumPy reads is what torch reads."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.python import python

from torchmoji.model_def import TorchMoji
from torchmoji.weights import keras as conversion
from torchmoji.weights import layers
from torchmoji.weights.arrays import (
    Int8Rows,
    as_float,
    as_int8,
    has_int8_rows,
    layer_sizes,
    quantize_rows,
    read_layers,
)
from torchmoji.weights.formats import load_state_dict, save_quantized, save_state_dict


@pytest.fixture
def state():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return TorchMoji(3, 9, embedding_dim=2, hidden_size=2).state_dict()


@pytest.mark.parametrize("ending", [".bin", ".safetensors"])
def test_the_layers_are_those_that_torch_reads(state, tmp_path, ending):
    save_state_dict(state, tmp_path / f"weights{ending}")
    read = read_layers(tmp_path / f"weights{ending}")
    expected = load_state_dict(tmp_path / f"weights{ending}")
    assert list(read) == list(expected)
    for name, layer in read.items():
        np.testing.assert_array_equal(layer, expected[name].numpy())


def test_int8_rows_stay_as_they_are_stored(state, tmp_path):
    save_quantized(state, tmp_path / "weights.safetensors")
    read = read_layers(tmp_path / "weights.safetensors")
    assert isinstance(read["embed.weight"], Int8Rows)
    assert as_int8(read["embed.weight"]) is read["embed.weight"]
    for name, tensor in load_state_dict(tmp_path / "weights.safetensors").items():
        np.testing.assert_array_equal(as_float(read[name]), tensor.numpy())


def test_rounding_moves_no_value_by_more_than_half_a_scale():
    matrix = np.random.default_rng(1).normal(size=(20, 30)).astype(np.float32)
    matrix[3] = 0
    rows = quantize_rows(matrix)
    assert rows.values.dtype == np.int8
    assert np.abs(rows.values).max() == 127
    assert (np.abs(as_float(rows) - matrix) <= 0.5001 * rows.scales[:, None]).all()


def test_reading_safetensors_imports_no_torch(state, tmp_path):
    save_quantized(state, tmp_path / "weights.safetensors")
    code = f"""
import json, sys
from torchmoji.weights.arrays import read_layers
layers = read_layers({str(tmp_path / "weights.safetensors")!r})
print(json.dumps([len(layers), "torch" in sys.modules]))
"""
    assert python(code) == [len(state), False]


def test_which_files_have_int8_rows(state, tmp_path):
    save_quantized(state, tmp_path / "int8.safetensors")
    save_state_dict(state, tmp_path / "float.safetensors")
    save_state_dict(state, tmp_path / "torch.bin")
    (tmp_path / "damaged.safetensors").write_bytes(bytes(8) + b"{")
    found = {path.name: has_int8_rows(path) for path in tmp_path.iterdir()}
    assert [name for name, is_int8 in found.items() if is_int8] == ["int8.safetensors"]
    assert not has_int8_rows(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embed.weight.scale": None}, r"layer embed\.weight\.scale: found nothing, expected 9 floats"),
        ({"embed.weight.scale": torch.ones(8)}, r"found float32 of shape \(8,\), expected 9 floats"),
        ({"lstm_0.bias_ih_l0": None}, r"missing layers 'lstm_0\.bias_ih_l0'"),
        ({"other": torch.ones(1)}, "unexpected layers 'other'"),
        ({"lstm_0.bias_ih_l0": torch.ones(9)}, r"layer lstm_0\.bias_ih_l0: found shape \(9,\)"),
        ({"lstm_0.bias_ih_l0": torch.ones(8).int()}, "found numbers of int32, expected floats"),
    ],
)
def test_files_of_something_else(state, tmp_path, change, message):
    from safetensors.torch import load_file

    path = tmp_path / "weights.safetensors"
    save_quantized(state, path)
    tensors = {name: t for name, t in (load_file(path) | change).items() if t is not None}
    save_file(tensors, path, metadata={"quantization": "int8 rows"})
    with pytest.raises(ValueError, match=message) as info:
        read_layers(path)
    assert str(path) in str(info.value)


def test_an_unknown_quantization(state, tmp_path):
    save_file(state, tmp_path / "weights.safetensors", metadata={"quantization": "int2"})
    with pytest.raises(ValueError, match="quantization 'int2', expected 'int8 rows': update torchmoji"):
        read_layers(tmp_path / "weights.safetensors")


def test_a_truncated_file(state, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_state_dict(state, path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"weights\.safetensors is truncated or damaged"):
        read_layers(path)


def test_sizes_are_read_from_the_layers(state):
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    assert layer_sizes(arrays) == layers.ModelSizes(9, 2, 2, 3)


def test_there_is_one_table_of_layers():
    assert layers.LAYERS == conversion.LAYERS
    assert layers.OUTPUT_LAYER == conversion.OUTPUT_LAYER
