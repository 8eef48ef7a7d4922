"""A start for pretraining: embeddings that already say which words are alike.

Most words of a vocabulary are rare. Pretraining hardly moves their embeddings from where they begin, which is
by chance, so that the model sees them as words that it has never met. Vectors of the words that others have
trained, or that a sentence encoder gives, are a better place to begin. Their principal components (Jolliffe
2002) fit any size of embedding.

The file is a NumPy array, float16 (words, D): a row for each word of the vocabulary, in its order. A row of
zeros has no vector.
"""

import os

import numpy as np
import torch
from torch import Tensor, nn

from torchmoji.model_def import TorchMoji
from torchmoji.soft_targets import open_float16

SCALE = 0.15
"""Root mean square of the numbers that embeddings begin with: half of that of fresh ones."""


@torch.no_grad()
def start_with_vectors(model: TorchMoji, path: str | os.PathLike[str]) -> None:
    """Give a model the embeddings to begin with, in place; words without a vector get zeros.

    Args:
        model: With fresh weights.
        path: The file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something else.
    """
    weight: Tensor = model.embed.weight
    meaning = "a row for each word, in its order"
    stored = open_float16(path, "word vectors", "vocabulary", (len(weight), None), meaning)
    vectors = torch.from_numpy(stored.astype(np.float64))
    is_known = vectors.any(1)
    if not is_known.any() or not torch.isfinite(vectors).all():
        raise ValueError(f"{os.fspath(path)} has no vectors but zeros, or numbers that are not finite")
    components = principal_components(vectors[is_known], weight.shape[1])
    weight.zero_()
    weight[is_known.to(weight.device)] = components.to(weight)


def principal_components(vectors: Tensor, size: int) -> Tensor:
    """The first components of vectors (n, size), scaled to `SCALE`, zeros where there are fewer.

    Args:
        vectors: (n, D).
        size: How many.
    """
    centred = vectors - vectors.mean(0)
    values, axes = torch.linalg.eigh(centred.t() @ centred)
    axes = axes[:, values.argsort(descending=True)[:size]]
    # which way an axis points is the eigensolver's choice: let the largest entry be positive
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    found = nn.functional.pad(centred @ (axes * largest.sign()), (0, max(0, size - vectors.shape[1])))
    return found * (SCALE / found.square().mean().sqrt().clamp(min=1e-12))
