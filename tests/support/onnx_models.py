"""Small models with rows of ids, for the tests of the ONNX engine."""

import numpy as np
import torch

from torchmoji.model_def import TorchMoji

NB_TOKENS = 30


def made(nb_classes=4, seed=3, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TorchMoji(nb_classes, NB_TOKENS, embedding_dim=5, hidden_size=4, **options)
        for weight in model.parameters():  # wide enough for gates in both clips
            torch.nn.init.normal_(weight)
    return model.eval()


def some_rows(rows=12, columns=7):
    """Rows of ids with padding on the right, in the middle, on the left, everywhere, nowhere; two alike."""
    ids = np.random.default_rng(1).integers(1, NB_TOKENS, size=(rows, columns))
    ids[0, 1:] = 0
    ids[1, 2:4] = 0
    ids[2] = 0
    ids[3, :3] = 0
    ids[4, ::2] = 0
    ids[6] = ids[5]
    return ids


def outputs_of_torch(model, ids):
    """Probabilities or logits, features and attention."""
    model.return_attention = True
    probabilities, attention = model(ids)
    model.feature_output = True
    features, _ = model(ids)
    model.feature_output = model.return_attention = False
    return probabilities, features, attention
