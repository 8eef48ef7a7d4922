"""Random weights of a model of any sizes."""

import torch

from torchmoji.weights.layers import LAYERS, ModelSizes, dimensions

SMALL = ModelSizes(nb_tokens=7, embedding_dim=3, hidden_size=2, nb_outputs=5)


def make_weights(sizes=SMALL, dtype=torch.float32, second_biases=False):
    """A state dict; without `second_biases` those are zero, so that Keras files hold all of it."""
    generator = torch.Generator().manual_seed(3)
    lengths = dimensions(sizes)
    return {
        name: torch.randn([lengths[n] for n in names], generator=generator).to(dtype)
        * (0 if "bias_hh" in name and not second_biases else 1)
        for name, names in LAYERS.items()
        if sizes.nb_outputs is not None or not name.startswith("output_layer")
    }


def assert_same(found, expected):
    """The same layers in the same order, of the same types, with the same values."""
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name
