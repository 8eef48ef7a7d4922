"""What pretraining minimizes, and the files of targets that teachers write for it.

It is the cross-entropy with the labels and, where there are soft targets, with a teacher's probabilities
(Hinton et al. 2015); where there are embeddings of a sentence encoder, the squared distance to them is added.
A text with k labels is k samples that share one pass through the model, which has the same expected gradient
as k passes for less work. The loss of a batch is the mean over its samples.

Targets are NumPy files of float16 with a row for each training text, in the corpus's order; a row of zeros
says nothing about its text.
"""

import math
import os
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torchmoji.batching import unit_rows
from torchmoji.corpus.shards import Corpus, TokenRows
from torchmoji.files.atomic import atomic_path
from torchmoji.files.tables import npy_header
from torchmoji.model_def import TorchMoji
from torchmoji.pretraining.settings import Settings

_TEACHER_ROWS = 4096  # texts that a teacher is asked about at once
_CHECKED_ROWS = 65_536  # of a file whose numbers are checked at once

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]
Targets = npt.NDArray[np.float16]


class PretrainingLoss:
    """Sums the loss of samples.

    `embedding_size` are the numbers D of an embedding target, None where there are none. Raises
    FileNotFoundError where there is no file of soft targets or embeddings, ValueError where they do not fit
    the corpus.
    """

    def __init__(self, corpus: Corpus, settings: Settings) -> None:
        self._settings, self._nb_classes = settings, len(corpus.classes)
        texts = len(corpus.rows("train"))
        self._soft_targets = self._embeddings = None
        meaning = "a row for each training text"
        if settings.soft_targets is not None:
            shape = (texts, self._nb_classes)
            self._soft_targets = open_float16(
                *(settings.soft_targets, "soft targets", "corpus", shape),
                f"{meaning}, a column for each emoji",
                lowest=0,
            )
        if settings.embedding_targets is not None:
            self._embeddings = open_float16(
                *(settings.embedding_targets, "embeddings", "corpus", (texts, None), meaning)
            )
        self.embedding_size = None if self._embeddings is None else self._embeddings.shape[1]

    def __call__(self, output: Tensor, owners: Tensor, classes: Tensor, rows: Rows) -> Tensor:
        """The sum of the samples' losses, a scalar.

        `output` are logits (n, C), of a `ModelWithEmbeddings` in training (n, C + D); `owners` and `classes`
        each sample's text and label (samples,), `rows` the texts' numbers in the corpus (n,).
        """
        output = output.float()
        logits, predicted = output[:, : self._nb_classes], output[:, self._nb_classes :]
        losses = F.cross_entropy(logits[owners], classes, reduction="none")
        if self._soft_targets is not None:
            teacher = torch.from_numpy(self._soft_targets[rows].astype(np.float32)).to(logits.device)
            total = teacher.sum(1)
            shares = self._settings.soft_share * (total > 0)
            soft = -(teacher * F.log_softmax(logits, dim=1)).sum(1) / total.clamp(min=1e-8)
            losses = (1 - shares[owners]) * losses + (shares * soft)[owners]
        if self._embeddings is not None and predicted.shape[1]:
            targets = torch.from_numpy(self._embeddings[rows].astype(np.float32)).to(logits.device)
            distances = (predicted - targets).square().sum(1) * targets.any(1)
            losses = losses + self._settings.embedding_weight * distances[owners]
        return losses.sum()


class ModelWithEmbeddings(nn.Module):
    """A model that gives embeddings of `size` numbers D beside its logits, in training mode.

    The layer for them begins with zeros.
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


def save_soft_targets(
    path: str | os.PathLike[str],
    corpus: Corpus,
    teacher: Callable[[Rows], Floats],
    top_k: int | None = None,
    *,
    rows: TokenRows | None = None,
) -> None:
    """Write a teacher's probabilities for the training texts.

    Args:
        path: The file, `.npy`; it is written whole or not at all.
        corpus: Of the training texts.
        teacher: Gives probabilities (n, C) of token ids (n, time) in the corpus's vocabulary: a model of
            `torchmoji_emojis` that was trained with it.
        top_k: Keep so many of each row.
        rows: The training texts as the teacher reads them, for one with tokens of its own; by default those
            of the corpus.

    Raises:
        ValueError: The teacher gives another shape, or numbers that are no probabilities, or there are more
            rows than texts, or fewer.
    """
    texts = len(corpus.rows("train"))
    rows = rows if rows is not None else corpus.rows("train")
    if len(rows) != texts:
        raise ValueError(f"there are {len(rows)} rows for the corpus's {texts} training texts: give one each")
    shape = (texts, len(corpus.classes))

    def answers() -> Iterable[tuple[Rows, Floats]]:
        for start in range(0, texts, _TEACHER_ROWS):
            numbers = np.arange(start, min(start + _TEACHER_ROWS, texts))
            probabilities = np.asarray(teacher(rows.token_ids(numbers)))
            if probabilities.shape != (len(numbers), shape[1]):
                raise ValueError(
                    f"the teacher gave {probabilities.shape}, expected {(len(numbers), shape[1])}"
                )
            if not (np.isfinite(probabilities) & (probabilities >= 0)).all():
                raise ValueError("the teacher gave numbers that are negative or not finite: check its output")
            if top_k is not None and top_k < shape[1]:
                limits = -np.partition(-probabilities, top_k - 1, axis=1)[:, top_k - 1 : top_k]
                probabilities = np.where(probabilities >= limits, probabilities, 0)
            yield numbers, probabilities

    _save_targets(path, shape, answers())


def save_embedding_targets(
    path: str | os.PathLike[str], shape: tuple[int, int], parts: Iterable[tuple[Rows, Floats]]
) -> None:
    """Write embeddings, normalized, as they come.

    Args:
        path: The file, `.npy`; it is written whole or not at all.
        shape: Training texts of the corpus, and numbers D in an embedding.
        parts: Numbers of texts (n,) and their embeddings (n, D). Texts that do not come have none.

    Raises:
        ValueError: Embeddings are of another shape, or not finite.
    """
    normalized = ((rows, normalized_embeddings(part, (len(rows), shape[1]))) for rows, part in parts)
    _save_targets(path, shape, normalized)


def normalized_embeddings(embeddings: Floats, shape: tuple[int, int]) -> Floats:
    """An encoder's embeddings (n, D), normalized but for zeros; ValueError if misshapen or not finite."""
    if embeddings.shape != shape or not np.isfinite(embeddings).all():
        raise ValueError(f"the encoder gave {embeddings.shape}, expected {shape} finite numbers")
    return unit_rows(embeddings)


def _save_targets(
    path: str | os.PathLike[str], shape: tuple[int, int], parts: Iterable[tuple[Rows, Floats]]
) -> None:
    """Write some rows of a file; the others are zeros."""
    with atomic_path(path) as temporary:
        with open(
            temporary, "wb"
        ) as file:  # not a file with holes, for which the disk may have no room later
            file.write(npy_header(*shape, dtype="<f2"))
            left = 2 * shape[0] * shape[1]
            while left:
                left -= file.write(bytes(min(left, 1 << 20)))
        stored = np.lib.format.open_memmap(temporary, mode="r+")
        for rows, numbers in parts:
            stored[rows] = numbers
        stored.flush()
        del stored


def open_float16(
    path: str | os.PathLike[str],
    content: str,
    owner: str,
    shape: tuple[int, int | None],
    meaning: str,
    lowest: float = -math.inf,
) -> Targets:
    """Map an .npy file of float16 into memory, after all its numbers were checked.

    The shape is rows, and columns where they are known. Messages say what it should hold (`content`), what it
    belongs to (`owner`) and what rows and columns are (`meaning`). FileNotFoundError where there is no such
    file, ValueError where it holds something else, or a number that is not finite or below `lowest`.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no file of {content} {os.fspath(path)}: check the path")
    try:
        stored: Targets = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # a changed header makes NumPy raise nearly anything, such as a bare OSError
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{os.fspath(path)} is not an .npy file of numbers: {reason[:300]}") from error
    rows, columns = shape
    fits = stored.ndim == 2 and len(stored) == rows and columns in (None, stored.shape[1])
    if stored.dtype != np.float16 or not fits:
        needed = f"({rows}, {'numbers' if columns is None else columns})"
        raise ValueError(
            f"{os.fspath(path)} holds {stored.dtype} {stored.shape}, but the {owner} needs float16 {needed}: "
            f"{meaning}"
        )
    for start in range(0, rows, _CHECKED_ROWS):
        part = stored[start : start + _CHECKED_ROWS]
        wrong = np.argwhere(~np.isfinite(part) | (part < lowest))
        if len(wrong):
            row, column = wrong[0]
            limit = "" if lowest == -math.inf else f" of {lowest:g} or more"
            raise ValueError(
                f"{os.fspath(path)}, row {start + row} from 0 on, has {part[row, column]}, but {content} are "
                f"finite numbers{limit}: write the file again"
            )
    return stored
