"""A small pipeline that knows the words of `WORDS`."""

import torch

from torchmoji import MojiPipeline, TorchMoji
from torchmoji.pipeline.engines import TorchEngine


def word(n):
    return f"w{chr(87 + n)}q"


WORDS = {word(n): n for n in range(10, 36)} | {"good": 40, "bad": 41, "😂": 42}


def small(nb_classes=64, classes=None, **options):
    torch.manual_seed(0)
    model = TorchMoji(nb_classes, 43, feature_output=nb_classes is None, embedding_dim=4, hidden_size=3)
    return MojiPipeline(TorchEngine(model), WORDS, classes, **options)
