"""Tiny pipelines with random weights, of any classes."""

import torch

from torchmoji import MojiPipeline, TorchMoji
from torchmoji.pipeline.engines import TorchEngine


def word(n):
    """Another word, for n from 10 to 35."""
    return f"w{chr(87 + n)}q"


WORDS = {word(n): n for n in range(10, 36)}
WORDS |= {"good": 36, "bad": 37, "day": 38, "love": 39, "train": 40, "late": 41, "😂": 42}


def small(nb_classes=64, classes=None, multi_label=False, **options):
    """A pipeline that knows `WORDS`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"nb_tokens": len(WORDS) + 10, "embedding_dim": 4, "hidden_size": 3}
        model = TorchMoji(nb_classes, feature_output=nb_classes is None, **sizes)
    if multi_label:
        del model.output_layer[1:]
        model.output_logits = True
    return MojiPipeline(TorchEngine(model, multi_label), WORDS, classes, **options)
