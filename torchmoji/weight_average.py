"""An average of a model's weights over the steps of training: it guesses better than the last ones.

Source: Polyak and Juditsky 1992; the exponential form with a decay that rises from 0.1 follows TensorFlow's
`ExponentialMovingAverage(num_updates=)`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Keeps the average.

    Args:
        model: Its weights are where the average starts.
        decay: Of the average at a step, from 0 to 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._averages = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take the weights after a step, counted from 0, into the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, weight in model.named_parameters():
            self._averages[name].lerp_(weight, 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Give the model the average in place of its weights, within the block."""
        own = {name: weight.data for name, weight in model.named_parameters()}
        for name, weight in model.named_parameters():
            weight.data = self._averages[name]
        try:
            yield
        finally:
            for name, weight in model.named_parameters():
                weight.data = own[name]

    def state_dict(self) -> dict[str, Tensor]:
        """The averages."""
        return dict(self._averages)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take averages that `state_dict` gave."""
        for name, average in self._averages.items():
            average.copy_(state[name])
