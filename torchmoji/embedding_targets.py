"""A sentence encoder's embeddings of the texts of a corpus, which a model learns to tell from its features.

An emoji says little about a text; a sentence encoder that has read far more says much. A model that has to
guess both gets features that hold more of what texts mean, which helps classifiers that are made from them.
The layer that turns features into embeddings is there in training alone.

Source: Romero et al. 2015 for learning from a teacher's hidden layer, Reimers and Gurevych 2020 for learning
sentence embeddings by their squared distance. The file is a NumPy array, float16 (rows, D): a row of length 1
for each training text of the corpus, in the order of its shards. A row of zeros has no embedding.
"""

import os
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchmoji.files import atomic_path
from torchmoji.model_def import TorchMoji
from torchmoji.soft_targets import open_float16
from torchmoji.text_rows import unit_rows

Rows = npt.NDArray[np.int64]


class ModelWithEmbeddings(nn.Module):
    """A model that gives embeddings beside its logits, in training mode.

    Args:
        model: Gives logits.
        size: Numbers D in an embedding. The layer for them begins with zeros.

    Attributes:
        model: As given.
    """

    def __init__(self, model: TorchMoji, size: int) -> None:
        super().__init__()
        self.model = model
        self.projection = nn.Linear(model.attention_size, size, device=model.embed.weight.device)
        for weight in self.projection.parameters():
            nn.init.zeros_(weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (batch, time) to logits (batch, C), in training (batch, C + D)."""
        if not self.training:
            logits: Tensor = self.model(ids)
            return logits
        features = self.model.features_of(ids)
        logits = self.model.output_layer(self.model.final_dropout(features))
        return torch.cat([logits, self.projection(features)], dim=1)


def save_embedding_targets(
    path: str | os.PathLike[str],
    shape: tuple[int, int],
    found: Iterable[tuple[Rows, npt.NDArray[np.floating]]],
) -> None:
    """Write embeddings, scaled to the length 1, as they come.

    Args:
        path: The file, `.npy`; it is whole or not there.
        shape: Training texts of the corpus, and numbers D in an embedding.
        found: Numbers of texts (n,) and their embeddings (n, D). Texts that do not come have none.

    Raises:
        ValueError: Embeddings are of another shape, or not finite.
    """
    with atomic_path(path) as temporary:
        stored = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
        for rows, embeddings in found:
            stored[rows] = of_length_1(embeddings, (len(rows), shape[1]))
        stored.flush()
        del stored


def of_length_1(embeddings: npt.NDArray[np.floating], shape: tuple[int, int]) -> npt.NDArray[np.floating]:
    """Embeddings as a file holds them; zeros stay zeros.

    Args:
        embeddings: Of an encoder (n, D).
        shape: What is expected of it.

    Raises:
        ValueError: They are of another shape, or not finite.
    """
    if embeddings.shape != shape or not np.isfinite(embeddings).all():
        raise ValueError(f"the encoder gave {embeddings.shape}, expected {shape} finite numbers")
    return unit_rows(embeddings)


def open_embedding_targets(path: str | os.PathLike[str], texts: int) -> npt.NDArray[np.float16]:
    """Map a file of embeddings into memory.

    Args:
        path: The file.
        texts: Training texts of the corpus.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something else.
    """
    return open_float16(path, "embeddings", "corpus", (texts, None), "a row for each training text")
