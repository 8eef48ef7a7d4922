"""A small labelled task and models of a few thousand weights that learn it in seconds."""

import numpy as np
import torch

from torchmoji.model_def import TorchMoji
from torchmoji.training.sampling import get_data_loader

VOCABULARY_SIZE = 40
CUE = 10  # the token CUE + c marks class c
LAYERS = ["embed", "lstm_0", "lstm_1", "attention_layer", "output_layer"]


def small_model(nb_classes=2, seed=0, **options):
    """A model that gives logits, as if pretrained: its embedding sets the cues apart from fillers.

    The same seed gives the same weights; the global generator is left alone. The output layer starts from
    zero, so that a few steps suffice.
    """
    options = {"output_logits": True, "embed_dropout_rate": 0.1, "final_dropout_rate": 0.2, **options}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TorchMoji(nb_classes, VOCABULARY_SIZE, embedding_dim=32, hidden_size=4, **options)
    with torch.no_grad():
        model.embed.weight[:CUE] *= 0.1
        model.embed.weight[20:] *= 0.1
        model.embed.weight[CUE : CUE + 8] = 3 * torch.eye(8).repeat(1, 4)
        model.output_layer[0].weight.zero_()
    return model


def small_task(nb_classes, sizes=(60, 30, 45), seed=1):
    """Texts of filler tokens with the cue of their class in some place: (texts, labels), three parts each."""
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for n in sizes:
        y = np.arange(n) % nb_classes
        x = random.integers(20, VOCABULARY_SIZE, size=(n, 4)).astype(np.uint16)
        x[np.arange(n), random.integers(0, 3, size=n)] = CUE + y
        x[: n // 2, 3:] = 0
        texts.append(x)
        labels.append(y)
    return texts, labels


def loaders(nb_classes=2):
    """Batches of ten of the parts of the task."""
    parts = zip(*small_task(nb_classes), strict=True)
    return [get_data_loader(x, y, 10, extended_batch_sampler=False) for x, y in parts]


def multi_label_task(nb_classes, sizes=(64, 32, 48), seed=1):
    """Texts with the cues of none, one or more classes; labels are vectors of 0 and 1, (n, nb_classes).

    All sets of up to three classes are equally frequent.
    """
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for n in sizes:
        y = (np.arange(n)[:, None] >> np.arange(nb_classes)) & 1
        x = random.integers(20, VOCABULARY_SIZE, size=(n, nb_classes))
        texts.append(np.where(y, CUE + np.arange(nb_classes), x).astype(np.uint16))
        labels.append(y)
    return texts, labels


def weights_of(model):
    """A copy of the weights by layer: {layer: {name: tensor}}."""
    layers = {}
    for name, weight in model.state_dict().items():
        layers.setdefault(name.split(".")[0], {})[name] = weight.clone()
    return layers


def changed_layers(before, after):
    """Names of the layers in which a weight differs."""
    return {
        layer
        for layer in before
        if any(not torch.equal(before[layer][n], after[layer][n]) for n in before[layer])
    }


def trainable_layers(model):
    """Names of the layers that are not frozen."""
    return {name.split(".")[0] for name, weight in model.named_parameters() if weight.requires_grad}
