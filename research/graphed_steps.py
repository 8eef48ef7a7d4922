"""Steps of training on texts of one length each, which on a GPU are CUDA graphs.

An LSTM's step of training is thousands of small operations, and starting them takes longer than computing
them. A CUDA graph starts all of them at once; it is for one shape, so that the texts of a batch are of one
length here, and nothing is padded.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchmoji.pretraining.loop import WeightAverage
from torchmoji.pretraining.settings import Settings, learning_rate

logger = logging.getLogger(__name__)

LEAST_SHARE = 1 / 64
"""Lengths that fewer texts have, as a share of a batch, are left out."""
_TELL_EVERY = 250

Rows = npt.NDArray[np.int64]
Loss = Callable[[int, Tensor], Tensor]
"""Length and numbers (n,) of texts to their loss."""


class EqualLengths:
    """Batches of texts of one length each.

    Args:
        lengths: Of all texts (n,).
        batch_size: Texts in a batch; fewer where a length has no more.
    """

    def __init__(self, lengths: npt.NDArray[np.integer], batch_size: int) -> None:
        self.batch_size = batch_size
        least = LEAST_SHARE * batch_size
        order = np.argsort(lengths, kind="stable")
        found, starts = np.unique(np.asarray(lengths)[order], return_index=True)
        groups = np.split(order, starts[1:])
        self._groups = {
            int(length): rows
            for length, rows in zip(found, groups, strict=True)
            if length > 0 and len(rows) >= least
        }
        if not self._groups:
            raise ValueError("there are no texts to learn from: build a corpus with some")
        self.steps_a_pass = sum(len(rows) // self._size(rows) for rows in self._groups.values())

    def _size(self, rows: Rows) -> int:
        return min(self.batch_size, len(rows))

    def batches(self, generator: np.random.Generator) -> Iterator[tuple[int, Rows]]:
        """Length and rows of each batch, pass after pass without end.

        A pass leaves out, for each length, those few that do not fill a batch, others every time.
        """
        while True:
            found = []
            for length, rows in self._groups.items():
                size = self._size(rows)
                mixed = generator.permutation(rows)
                found += [
                    (length, mixed[start : start + size]) for start in range(0, len(rows) - size + 1, size)
                ]
            for number in generator.permutation(len(found)):
                yield found[number]


class GraphedGradients:
    """Computes gradients of batches; each shape is recorded when it comes a second time, on a GPU.

    Args:
        parameters: Their `grad` is made here and stays in its place.
        loss: Is recorded, and so must not wait for the GPU.
        device: Of the parameters.

    Attributes:
        total: Sum of the losses since it was set to zero, a scalar.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], loss: Loss, device: torch.device) -> None:
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        self._gradients = [parameter.grad for parameter in parameters]
        self._loss = loss
        self._is_graphed = device.type == "cuda"
        self._known: set[tuple[int, int]] = set()
        self._graphs: dict[tuple[int, int], tuple[Any, Tensor]] = {}
        self._pool: Any = None
        self.total = torch.zeros((), device=device)

    def __call__(self, length: int, rows: Tensor) -> None:
        """Put the gradients of the loss of some texts in place of those before."""
        shape = (length, len(rows))
        if not self._is_graphed or shape not in self._known:  # what is computed for the first time sets up
            self._known.add(shape)
            self._compute(length, rows)
            return
        if shape not in self._graphs:
            self._graphs[shape] = self._recorded(length, rows)
        graph, place = self._graphs[shape]
        place.copy_(rows)
        graph.replay()

    def _compute(self, length: int, rows: Tensor) -> None:
        torch._foreach_zero_(self._gradients)
        loss = self._loss(length, rows)
        loss.backward()
        self.total.add_(loss.detach())

    def _recorded(self, length: int, rows: Tensor) -> tuple[Any, Tensor]:
        graph, place = torch.cuda.CUDAGraph(), rows.clone()
        stream = torch.cuda.current_stream(rows.device)
        with torch.cuda.graph(graph, pool=self._pool, stream=stream):
            self._compute(length, place)
        self._pool = self._pool or graph.pool()
        return graph, place


@contextmanager
def on_own_stream(device: torch.device) -> Iterator[None]:
    """On a GPU, what is done within the block can be recorded; what comes after it waits for that."""
    if device.type != "cuda":
        yield
        return
    before = torch.cuda.current_stream(device)
    stream = torch.cuda.Stream(device)
    stream.wait_stream(before)
    with torch.cuda.stream(stream):
        yield
    before.wait_stream(stream)


def train(
    module: nn.Module,
    gradients: GraphedGradients,
    batches: EqualLengths,
    settings: Settings,
    evaluate: Callable[[int], None] | None = None,
) -> int:
    """Train a module, which ends with the average of its weights.

    Args:
        module: In training mode.
        gradients: Of its parameters.
        batches: Of its texts.
        settings: Passes, learning rate, warm-up, average, gradient norm, seed and how often to evaluate.
        evaluate: Is called with the number of steps; the module has the average then, in evaluation mode.

    Returns:
        The number of steps.

    Raises:
        FloatingPointError: The loss is not finite.
    """
    parameters = list(module.parameters())
    device = parameters[0].device
    optimizer = torch.optim.Adam(parameters, lr=settings.learning_rate, fused=device.type in ("cpu", "cuda"))
    average = WeightAverage(module, settings.average)
    total_steps = max(1, round(settings.passes * batches.steps_a_pass))
    source = batches.batches(np.random.default_rng(settings.seed))
    gradients.total.zero_()
    since = 0
    for step in range(total_steps):
        length, rows = next(source)
        rate = learning_rate(step, total_steps, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        gradients(length, torch.from_numpy(rows).to(device))
        nn.utils.clip_grad_norm_(parameters, settings.gradient_norm)
        optimizer.step()
        average.update(module, step)
        since += 1
        is_last = step + 1 == total_steps
        if since == _TELL_EVERY or is_last:
            loss = float(gradients.total) / since
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss} after step {step + 1} at a learning rate of {rate:g}: try a lower"
                    " learning rate"
                )
            logger.info("step %d of %d: loss %.3f", step + 1, total_steps, loss)
            gradients.total.zero_()
            since = 0
        if evaluate is not None and settings.evaluate_every and (step + 1) % settings.evaluate_every == 0:
            module.eval()
            with average.applied(module):
                evaluate(step + 1)
            module.train()
    module.load_state_dict(average.state_dict(), strict=False)  # buffers are not averaged
    return total_steps
