"""Dropout that depends on the seed, the step and a text's place in the batch, on nothing else.

So a step comes out the same whether one process computes it or several, and in a run that was interrupted as
in one that was not. torch's own dropout goes by a generator's state, which these change.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from torchmoji.model_def import TorchMoji


@dataclass
class BatchRows:
    """Which texts of which step are being computed."""

    seed: int  # of the masks
    step: int = 0
    size: int = 0  # texts of the whole step
    # those that are computed, by their places in it (n,)
    rows: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))


class BatchDropout(nn.Dropout):
    """`nn.Dropout` for inputs (n, ...), a row for each text.

    Args:
        p: Probability of dropping a number.
        batch: Says which texts the rows are.
        layer: Number of this layer, so that layers differ.
    """

    def __init__(self, p: float, batch: BatchRows, layer: int) -> None:
        super().__init__(p)
        self.batch, self.layer = batch, layer

    def forward(self, input: Tensor) -> Tensor:
        """Drop, and scale what is left by 1 / (1 - p); in evaluation mode nothing happens."""
        if not self.training or self.p == 0:
            return input
        batch = self.batch
        sequence = np.random.SeedSequence([batch.seed, batch.step, self.layer])
        generator = torch.Generator(input.device)
        generator.manual_seed(int(sequence.generate_state(1, np.uint32)[0]))
        shape = (batch.size, *input.shape[1:])
        kept = torch.rand(shape, generator=generator, device=input.device) >= self.p
        return input * kept[batch.rows.to(input.device)].to(input.dtype) / (1 - self.p)


@contextmanager
def batch_dropout(model: nn.Module, seed: int) -> Iterator[BatchRows]:
    """Let the `TorchMoji` in a model, if there is one, drop in this way within the block.

    Yields:
        What must be set to the texts that are computed.
    """
    batch = BatchRows(seed)
    part = next((part for part in model.modules() if isinstance(part, TorchMoji)), None)
    if part is None:
        yield batch
        return
    before = part.embed_dropout, part.final_dropout
    try:
        part.embed_dropout = BatchDropout(before[0].p, batch, 0).train(part.training)
        part.final_dropout = BatchDropout(before[1].p, batch, 1).train(part.training)
        yield batch
    finally:
        part.embed_dropout, part.final_dropout = before
