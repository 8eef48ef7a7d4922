"""Dropout that depends on the seed, the step and a text's place in the batch, on nothing else.

So a step comes out alike whether one process computes it or several, at once or in parts, and in a run that
was interrupted as in one that was not. torch's own dropout goes by a generator's state, which these change.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchmoji.model_def import TorchMoji


class Place:
    """Where a computation stands: which texts of which step it is about."""

    def __init__(self, seed: int) -> None:
        self.seed, self.step, self.batch = seed, 0, 0
        self.rows: Tensor = torch.zeros(0, dtype=torch.long)

    def move(self, step: int, batch: int, rows: Any) -> None:
        """Go to some texts.

        Args:
            step: Number of the step.
            batch: Texts of the whole step.
            rows: Places of those that are computed (n,).
        """
        self.step, self.batch = step, batch
        self.rows = torch.as_tensor(rows)


class BatchDropout(nn.Dropout):
    """`nn.Dropout` for inputs (n, ...), a row for each text.

    Args:
        p: Probability of dropping a number.
        place: Says which texts the rows are.
        layer: Number of this layer, so that layers differ.
    """

    def __init__(self, p: float, place: Place, layer: int) -> None:
        super().__init__(p)
        self.place, self.layer = place, layer

    @torch.compiler.disable
    def forward(self, input: Tensor) -> Tensor:
        """Drop, and scale what is left by 1 / (1 - p); in evaluation mode nothing happens."""
        if not self.training or self.p == 0:
            return input
        place = self.place
        sequence = np.random.SeedSequence([place.seed, place.step, self.layer])
        generator = torch.Generator(input.device)
        generator.manual_seed(int(sequence.generate_state(1, np.uint32)[0]))
        shape = (place.batch, *input.shape[1:])
        kept = torch.rand(shape, generator=generator, device=input.device) >= self.p
        return input * kept[place.rows.to(input.device)].to(input.dtype) / (1 - self.p)


@contextmanager
def batch_dropout(model: TorchMoji, seed: int) -> Iterator[Place]:
    """Let a model drop in this way, within the block.

    Args:
        model: Its dropout layers are replaced, then put back.
        seed: Of the masks.

    Yields:
        What must be told where the computation stands.
    """
    before = model.embed_dropout, model.final_dropout
    place = Place(seed)
    try:
        model.embed_dropout = BatchDropout(before[0].p, place, 0).train(model.training)
        model.final_dropout = BatchDropout(before[1].p, place, 1).train(model.training)
        yield place
    finally:
        model.embed_dropout, model.final_dropout = before
