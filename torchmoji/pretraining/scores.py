"""How well a model guesses the emojis of texts that it has not seen.

A guess is right where it is one of the text's emojis. Averages over the classes take the share of each
emoji's texts for which it is guessed, so that rare emojis count as much as common ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchmoji.corpus.shards import TokenRows
from torchmoji.pretraining.distributed import Processes
from torchmoji.training.metrics import device_of

_WINDOW_ROWS = 8192  # texts that are sorted by length together
_GUESSES = 5

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Shares from 0 to 1, but for numbers of texts and the loss; lists go emoji by emoji."""

    texts: int  # how many there were
    loss: float  # mean cross-entropy of a label; 87 at most for one, where a model gives probabilities
    first: float  # texts whose first guess is one of their emojis
    first_five: float  # texts with one of their emojis among the first five guesses
    class_first: list[float]  # of the texts with the emoji, those with it as first guess
    class_first_five: list[float]  # of the texts with the emoji, those with it among the first five guesses
    counts: list[int]  # texts with the emoji

    @property
    def average_first(self) -> float:
        """Mean of `class_first` over the emojis that occur."""
        return self._average(self.class_first)

    @property
    def average_first_five(self) -> float:
        """Mean of `class_first_five` over the emojis that occur."""
        return self._average(self.class_first_five)

    def _average(self, shares: Sequence[float]) -> float:
        present = [share for share, count in zip(shares, self.counts, strict=True) if count]
        return sum(present) / len(present) if present else 0.0

    def summary(self) -> dict[str, float]:
        """The numbers that stand for the whole, by name."""
        names = ("texts", "loss", "first", "first_five", "average_first", "average_first_five")
        return {name: getattr(self, name) for name in names}


@torch.no_grad()
def score_emojis(
    model: nn.Module,
    rows: TokenRows,
    nb_classes: int,
    *,
    most: int | None = None,
    batch_size: int | None = None,
    processes: Processes | None = None,
) -> Scores:
    """Let a model guess.

    It takes ids (n, time) and gives logits (n, C), or probabilities where its `output_logits` is false.
    `most` is so many of the rows, from everywhere; a batch has by default 256 texts, and 1024 where the model
    is not on the CPU. All processes, which share the work, get the same result.
    """
    processes = processes or Processes(device_of(model))
    batch_size = batch_size or (256 if processes.device.type == "cpu" else 1024)
    gives_logits = getattr(model, "output_logits", True)
    counts = torch.zeros(5 + 3 * nb_classes, dtype=torch.float64)
    numbers = _spread_out(rows, most)[processes.rank :: processes.count]
    for window in np.split(numbers, range(_WINDOW_ROWS, len(numbers), _WINDOW_ROWS)):
        ordered = window[np.argsort(rows.lengths(window), kind="stable")]
        for batch in np.split(ordered, range(batch_size, len(ordered), batch_size)):
            if len(batch):
                output = model(torch.from_numpy(rows.token_ids(batch)).to(processes.device)).float().cpu()
                logs = torch.log_softmax(output, dim=1) if gives_logits else _logs(output)
                counts += _count(logs, *rows.labels(batch))
    return _scores(processes.total(counts.to(processes.device)).cpu())


def commonest_scores(rows: TokenRows, counts: Sequence[int], most: int | None = None) -> Scores:
    """What always guessing the emojis with the highest `counts` would give, on `most` texts at most."""
    numbers = _spread_out(rows, most)
    frequencies = torch.tensor(counts, dtype=torch.float32).clamp(min=0.5)
    logs = torch.log_softmax((frequencies / frequencies.sum()).log(), dim=0)
    return _scores(_count(logs.expand(len(numbers), -1), *rows.labels(numbers)))


def score_probabilities(probabilities: npt.NDArray[np.floating], labels: Sequence[Sequence[int]]) -> Scores:
    """How well given guesses (n, C) fit the classes of each text, none twice; ValueError if n differs."""
    if len(probabilities) != len(labels):
        raise ValueError(f"there are {len(labels)} texts with labels for {len(probabilities)} with guesses")
    owners = np.repeat(np.arange(len(labels)), [len(classes) for classes in labels])
    classes = np.fromiter(chain.from_iterable(labels), dtype=np.int64)
    return _scores(_count(_logs(torch.from_numpy(probabilities)), owners, classes))


def _logs(probabilities: Tensor) -> Tensor:
    """Logarithms of probabilities; one that was rounded to zero counts as the smallest number of float32."""
    if probabilities.dtype == torch.float16:
        probabilities = probabilities.float()
    return probabilities.clamp(min=torch.finfo(torch.float32).tiny).log()


def _spread_out(rows: TokenRows, most: int | None) -> Integers:
    """Numbers of so many rows, at equal distances."""
    size = len(rows) if most is None else min(most, len(rows))
    return np.arange(size) * len(rows) // max(1, size)


def _count(logs: Tensor, owners: Integers, classes: Integers) -> Tensor:
    """Count what scores are shares of, from the logarithms of the probabilities (n, C).

    Returns (5 + 3 * C,): texts, right at first, right in five, samples, summed loss; then three times C
    numbers: samples, right at first, right in five.
    """
    nb_classes = logs.shape[1]
    texts, labels = torch.from_numpy(owners), torch.from_numpy(classes)
    guesses = logs.topk(min(_GUESSES, nb_classes), dim=1).indices
    right = guesses[texts] == labels[:, None]  # (samples, 5)
    hits = torch.zeros(guesses.shape, dtype=torch.long).index_add_(0, texts, right.long())
    loss = -float(logs[texts, labels].double().sum())
    totals = [len(guesses), int(hits[:, 0].sum()), int(hits.any(1).sum()), len(classes), loss]
    by_class = [
        torch.bincount(labels[chosen], minlength=nb_classes)
        for chosen in (slice(None), right[:, 0], right.any(1))
    ]
    return torch.cat([torch.tensor(totals, dtype=torch.float64), *(part.double() for part in by_class)])


def _scores(counts: Tensor) -> Scores:
    """The shares that the numbers of `_count` give."""
    texts, first, first_five, samples, loss = counts[:5].tolist()
    by_class = counts[5:].reshape(3, -1)
    shares = by_class / by_class[0].clamp(min=1)
    return Scores(
        texts=int(texts),
        loss=loss / max(1.0, samples),
        first=first / max(1.0, texts),
        first_five=first_five / max(1.0, texts),
        class_first=shares[1].tolist(),
        class_first_five=shares[2].tolist(),
        counts=by_class[0].long().tolist(),
    )
