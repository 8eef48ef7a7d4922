"""What pretraining minimizes: cross-entropy with the labels and, where there is one, with a teacher.

Where there are embeddings of a sentence encoder, the squared distance to them is added.

A text with k labels is k samples that share one pass through the model, which has the same expected gradient
as k passes for less work. The loss of a batch is the mean over its samples, each with its class's weight.
"""

import os
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torchmoji.batching import unit_rows
from torchmoji.corpus.shards import Corpus, TokenRows
from torchmoji.files.atomic import atomic_path
from torchmoji.model_def import TorchMoji
from torchmoji.pretraining.data_order import weights_of_classes
from torchmoji.pretraining.settings import Settings


class PretrainingLoss:
    """Sums the loss of samples.

    Args:
        settings: Of the run.
        class_counts: Training texts of each class (C,).
        soft_targets: A teacher's probabilities (rows, C), see `torchmoji.pretraining.loss`, or None.
        embeddings: A sentence encoder's embeddings (rows, D), see `torchmoji.pretraining.loss`, or None.
    """

    def __init__(
        self,
        settings: Settings,
        class_counts: Sequence[int],
        soft_targets: npt.NDArray[np.float16] | None = None,
        embeddings: npt.NDArray[np.float16] | None = None,
    ) -> None:
        weights = weights_of_classes(class_counts, settings.class_weights)
        self._weights = torch.from_numpy(weights).float()
        self._smoothing = settings.label_smoothing
        self._soft_targets, self._soft_share = soft_targets, settings.soft_share
        self._embeddings, self._embedding_weight = embeddings, settings.embedding_weight

    def total_weight(self, classes: npt.NDArray[np.int64]) -> float:
        """The weight of samples together, by which their loss is to be divided."""
        return float(self._weights.numpy()[classes].sum(dtype=np.float64))

    def __call__(
        self, output: Tensor, owners: Tensor, classes: Tensor, rows: npt.NDArray[np.int64]
    ) -> Tensor:
        """The sum of the samples' losses.

        Args:
            output: Logits (n, C); beside them (n, C + D) what the model takes for the embeddings, where it
                says so.
            owners: The text of each sample (samples,).
            classes: Its label (samples,).
            rows: Numbers of the texts in the corpus (n,).

        Returns:
            A scalar.
        """
        output = output.float()
        logits, guessed = output[:, : len(self._weights)], output[:, len(self._weights) :]
        weights = self._weights.to(logits.device)[classes]
        losses = F.cross_entropy(logits[owners], classes, reduction="none", label_smoothing=self._smoothing)
        if self._soft_targets is not None:
            teacher = torch.from_numpy(self._soft_targets[rows].astype(np.float32)).to(logits.device)
            total = teacher.sum(1)
            shares = self._soft_share * (total > 0)
            soft = -(teacher * F.log_softmax(logits, dim=1)).sum(1) / total.clamp(min=1e-8)
            losses = (1 - shares[owners]) * losses + (shares * soft)[owners]
        if self._embeddings is not None and guessed.shape[1]:
            wanted = torch.from_numpy(self._embeddings[rows].astype(np.float32)).to(logits.device)
            distances = (guessed - wanted).square().sum(1) * wanted.any(1)
            losses = losses + self._embedding_weight * distances[owners]
        return (weights * losses).sum()


# --- A teacher's probabilities for the texts of a corpus, from which a smaller model learns as well

_ROWS_AT_ONCE = 4096

Probabilities = npt.NDArray[np.floating]


def save_soft_targets(
    path: str | os.PathLike[str],
    corpus: Corpus,
    teacher: Callable[[npt.NDArray[np.int64]], Probabilities],
    top_k: int | None = None,
    *,
    rows: TokenRows | None = None,
) -> None:
    """Write what a teacher says of the training texts.

    Args:
        path: The file, `.npy`.
        corpus: Its training texts are asked about.
        teacher: Gives probabilities (n, C) of token ids (n, time) in the corpus's vocabulary: a model of
            `torchmoji_emojis` that was trained with it.
        top_k: Keep so many of each row.
        rows: The training texts as the teacher reads them, for one with tokens of its own; by default those
            of the corpus.

    Raises:
        ValueError: The teacher gives another shape, or there are more rows than texts, or fewer.
    """
    texts = len(corpus.rows("train"))
    rows = rows if rows is not None else corpus.rows("train")
    if len(rows) != texts:
        raise ValueError(f"there are {len(rows)} rows for the corpus's {texts} training texts: give one each")
    shape = (len(rows), len(corpus.classes))
    with atomic_path(path) as temporary:
        stored = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            numbers = np.arange(start, min(start + _ROWS_AT_ONCE, len(rows)))
            found = np.asarray(teacher(rows.token_ids(numbers)))
            if found.shape != (len(numbers), shape[1]):
                raise ValueError(f"the teacher gave {found.shape}, expected {(len(numbers), shape[1])}")
            stored[start : start + len(numbers)] = highest(found, top_k)
        stored.flush()
        del stored


def highest(probabilities: Probabilities, top_k: int | None) -> Probabilities:
    """Probabilities with the highest of each row alone, the others 0.

    Args:
        probabilities: (n, C).
        top_k: How many of each row, all where it is None.
    """
    if top_k is None or top_k >= probabilities.shape[1]:
        return probabilities
    limits = -np.partition(-probabilities, top_k - 1, axis=1)[:, top_k - 1 : top_k]
    return np.where(probabilities >= limits, probabilities, 0)


def open_soft_targets(path: str | os.PathLike[str], shape: tuple[int, int]) -> npt.NDArray[np.float16]:
    """Map a file of soft targets into memory.

    Args:
        path: The file.
        shape: Training texts and classes of the corpus.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something else.
    """
    meaning = "a row for each training text, a column for each emoji"
    return open_float16(path, "soft targets", "corpus", shape, meaning)


def open_float16(
    path: str | os.PathLike[str], content: str, owner: str, shape: tuple[int, int | None], meaning: str
) -> npt.NDArray[np.float16]:
    """Map an .npy file of float16 into memory.

    Args:
        path: The file.
        content: What it should hold, for the messages, as for `owner` and `meaning`.
        owner: What it belongs to.
        shape: Rows, and columns where they are known.
        meaning: What rows and columns are.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something else.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no file of {content} {os.fspath(path)}: check the path")
    try:
        stored: npt.NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} is not an .npy file of numbers: {error}") from error
    rows, columns = shape
    fits = stored.ndim == 2 and len(stored) == rows and columns in (None, stored.shape[1])
    if stored.dtype != np.float16 or not fits:
        needed = f"({rows}, {'numbers' if columns is None else columns})"
        raise ValueError(
            f"{os.fspath(path)} holds {stored.dtype} {stored.shape}, but the {owner} needs float16 {needed}: "
            f"{meaning}"
        )
    return stored


# --- A sentence encoder's embeddings of the texts of a corpus, which a model learns to tell from its

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
