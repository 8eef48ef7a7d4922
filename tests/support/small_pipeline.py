"""Tiny pipelines with random weights, of any classes."""

import torch

from torchmoji import MojiPipeline, TorchMoji
from torchmoji.pipeline.engines import TorchEngine

WORDS = {"good": 10, "bad": 11, "day": 12, "love": 13, "train": 14, "late": 15}


def small(nb_classes=64, classes=None, multi_label=False, **options):
    """A pipeline that knows `WORDS`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = TorchMoji(nb_classes, 16, feature_output=nb_classes is None, embedding_dim=4, hidden_size=3)
    if multi_label:
        del model.output_layer[1:]
        model.output_logits = True
    return MojiPipeline(TorchEngine(model, multi_label), WORDS, classes, **options)
