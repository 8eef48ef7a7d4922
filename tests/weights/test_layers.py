"""`torchmoji.weights.layers`: sizes read from layers, and layers that are not one model's."""

import numpy as np
import pytest
import torch
from support.weights import make_weights

from torchmoji.weights.layers import ModelSizes, model_sizes


@pytest.mark.parametrize("sizes", [(500, 8, 16, 64), (11, 4, 6, None), (9, 2, 2, 1)])
def test_sizes_are_read_from_tensors_and_arrays(sizes):
    layers = make_weights(ModelSizes(*sizes))
    assert model_sizes(layers) == ModelSizes(*sizes)
    assert model_sizes({name: tensor.numpy() for name, tensor in layers.items()}) == ModelSizes(*sizes)


@pytest.mark.parametrize("name", ["embed.weight", "lstm_1.bias_hh_l0", "output_layer.0.bias"])
def test_a_missing_layer_and_one_with_another_number_of_dimensions(name):
    layers = make_weights()
    with pytest.raises(ValueError, match=rf"^layer {name}: found shape \(1, .*\), expected \([a-z]+"):
        model_sizes({**layers, name: layers[name][None]})
    del layers[name]
    with pytest.raises(ValueError, match=f"^missing layers '{name}'; found "):
        model_sizes(layers)


@pytest.mark.parametrize(
    ("name", "layer", "message"),
    [
        ("lstm_2.bias_ih_l0", torch.zeros(8), r"^unexpected layers 'lstm_2\.bias_ih_l0'; expected only 'emb"),
        ("embed.weight", torch.zeros(0, 3), r"layer embed\.weight: found shape \(0, 3\)"),
        ("embed.weight", torch.zeros(7, 4), r"layer lstm_0\.weight_ih_l0: found shape \(8, 3\), expected"),
        ("embed.weight", torch.zeros(7, 3).long(), r"found torch\.strided torch\.int64 .* expected a dense"),
        ("embed.weight", torch.zeros(7, 3).to_sparse(), r"found torch\.sparse.* expected a dense tensor of"),
        ("embed.weight", torch.zeros(7, 3, device="meta"), r"on meta, expected a dense tensor of float"),
        ("embed.weight", 3, "found an object of type int"),
        ("embed.weight", np.zeros((7, 3), int), "found numbers of int64, expected floats"),
    ],
)
def test_a_layer_that_does_not_fit_is_named(name, layer, message):
    with pytest.raises(ValueError, match=message):
        model_sizes({**make_weights(), name: layer})
