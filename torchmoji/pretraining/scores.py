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

_WINDOW_ROWS = 8192
"""Texts that are sorted by length together."""
_GUESSES = 5


@dataclass(frozen=True)
class Scores:
    """Shares from 0 to 1.

    Attributes:
        texts: How many there were.
        loss: Mean cross-entropy of a label.
        first: Texts whose first guess is one of their emojis.
        first_five: Texts with one of their emojis among the first five guesses.
        class_first: For each emoji, the texts with it that have it as first guess.
        class_first_five: For each emoji, the texts with it that have it among the first five guesses.
        counts: For each emoji, the number of texts with it.
    """

    texts: int
    loss: float
    first: float
    first_five: float
    class_first: list[float]
    class_first_five: list[float]
    counts: list[int]

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
        return {
            "texts": self.texts,
            "loss": self.loss,
            "first": self.first,
            "first_five": self.first_five,
            "average_first": self.average_first,
            "average_first_five": self.average_first_five,
        }


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

    Args:
        model: Takes ids (n, time) and gives logits (n, C), or probabilities where its `output_logits` is
            false.
        rows: The texts.
        nb_classes: C.
        most: So many of them, from everywhere.
        batch_size: Texts in a batch; by default 256, and 1024 where the model is not on the CPU.
        processes: Those that share the work; all get the same result.
    """
    processes = processes or Processes(device_of(model))
    batch_size = batch_size or (256 if processes.device.type == "cpu" else 1024)
    gives_logits = getattr(model, "output_logits", True)
    totals = _Totals(nb_classes)
    size = len(rows) if most is None else min(most, len(rows))
    own = np.arange(size)[processes.rank :: processes.count] * len(rows) // max(1, size)
    for window in np.split(own, range(_WINDOW_ROWS, len(own), _WINDOW_ROWS)):
        ordered = window[np.argsort(rows.lengths(window), kind="stable")]
        for batch in np.split(ordered, range(batch_size, len(ordered), batch_size)):
            if len(batch) == 0:
                continue
            output = model(torch.from_numpy(rows.token_ids(batch)).to(processes.device)).float().cpu()
            totals.add(
                torch.log_softmax(output, dim=1) if gives_logits else output.log(), *rows.labels(batch)
            )
    totals.counts = processes.total(totals.counts.to(processes.device)).cpu()
    return totals.scores()


def score_probabilities(probabilities: npt.NDArray[np.floating], labels: Sequence[Sequence[int]]) -> Scores:
    """How well guesses that are there already fit.

    Args:
        probabilities: (n, C).
        labels: The classes of each text; none twice.

    Raises:
        ValueError: There are more texts than labels, or fewer.
    """
    if len(probabilities) != len(labels):
        raise ValueError(f"there are {len(labels)} texts with labels for {len(probabilities)} with guesses")
    totals = _Totals(probabilities.shape[1])
    owners = np.repeat(np.arange(len(labels)), [len(classes) for classes in labels])
    classes = np.fromiter(chain.from_iterable(labels), dtype=np.int64)
    totals.add(torch.from_numpy(probabilities).log(), owners, classes)
    return totals.scores()


class _Totals:
    """What scores are shares of.

    Args:
        nb_classes: C.
    """

    def __init__(self, nb_classes: int) -> None:
        self.nb_classes = nb_classes
        # texts, right at first, right in five, samples, summed loss; then three times C numbers: samples,
        # right at first, right in five
        self.counts = torch.zeros(5 + 3 * nb_classes, dtype=torch.float64)

    def add(self, logs: Tensor, owners: npt.NDArray[np.int64], classes: npt.NDArray[np.int64]) -> None:
        """Count some texts.

        Args:
            logs: Logarithms of the probabilities (n, C).
            owners: The text of each sample (samples,).
            classes: Its class (samples,).
        """
        own, wanted = torch.from_numpy(owners), torch.from_numpy(classes)
        guesses = logs.topk(min(_GUESSES, self.nb_classes), dim=1).indices
        right = guesses[own] == wanted[:, None]  # (samples, 5)
        hits = torch.zeros(guesses.shape, dtype=torch.long).index_add_(0, own, right.long())
        totals, by_class = self.counts[:5], self.counts[5:].reshape(3, -1)
        totals += torch.tensor(
            [
                len(guesses),
                int(hits[:, 0].sum()),
                int(hits.any(1).sum()),
                len(classes),
                -float(logs[own, wanted].double().sum()),
            ]
        )
        for row, values in enumerate((torch.ones(len(classes)), right[:, 0], right.any(1))):
            by_class[row].index_add_(0, wanted, values.double())

    def scores(self) -> Scores:
        """The shares."""
        texts, first, first_five, samples, loss = self.counts[:5].tolist()
        by_class = self.counts[5:].reshape(3, -1)
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


def commonest_scores(rows: TokenRows, counts: Sequence[int], most: int | None = None) -> Scores:
    """What guessing the commonest emojis for every text would give.

    Args:
        rows: The texts.
        counts: Training texts of each class.
        most: So many texts, from everywhere.
    """
    numbers = torch.tensor(counts, dtype=torch.float32).clamp(min=0.5)
    fixed = _Fixed(torch.log(numbers / numbers.sum()))
    return score_emojis(fixed, rows, len(counts), most=most)


class _Fixed(nn.Module):
    """Gives the same logits for all texts."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits, requires_grad=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (n, C) for ids (n, time)."""
        return self.logits.expand(len(ids), -1)
