"""One step of pretraining: the gradients of a batch, computed by all processes together, in parts or at once.

However the texts of a step are divided, its loss is the mean over all their samples: each part's sum is
divided by the weight of the whole batch, which every process knows.
"""

import logging
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torchmoji.batch_dropout import Place
from torchmoji.data_order import RowNumbers
from torchmoji.pretraining_loss import PretrainingLoss
from torchmoji.pretraining_settings import Settings
from torchmoji.processes import Processes
from torchmoji.shards import TokenRows

logger = logging.getLogger(__name__)

_COMPILED_LENGTHS = 10
"""A compiled model gets texts padded to multiples of so many tokens: each length is compiled for itself."""


class Stepper:
    """Computes gradients and updates weights.

    Args:
        model: Gives logits; on the device of the processes.
        optimizer: Of its weights.
        rows: The training texts.
        loss: What is minimized.
        settings: Of the run.
        processes: Those that train together.
        place: Is told which texts are computed.
        compiled: Use `torch.compile`, where it works.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        rows: TokenRows,
        loss: PretrainingLoss,
        settings: Settings,
        processes: Processes,
        place: Place,
        compiled: bool = False,
    ) -> None:
        self._model, self._optimizer, self._rows, self._loss = model, optimizer, rows, loss
        self._settings, self._processes, self._place = settings, processes, place
        self._parallel: Any = processes.parallel(model)
        self._compiled: Callable[..., Any] | None = (
            torch.compile(self._parallel, dynamic=False) if compiled else None
        )
        self._part_rows = math.ceil(settings.batch_size / (settings.accumulation * processes.count))

    def step(self, number: int, rows: RowNumbers, rate: float) -> tuple[float, float]:
        """Update the weights once.

        Args:
            number: Of the step, from 0 on.
            rows: Its texts, the same in all processes.
            rate: Learning rate.

        Returns:
            The mean loss of the samples, and the norm of the gradients before they are scaled down.

        Raises:
            FloatingPointError: One of them is not finite; the weights are as before.
        """
        self._optimizer.zero_grad()
        loss = self._gradients(number, rows)
        norm = float(nn.utils.clip_grad_norm_(self._model.parameters(), self._settings.gradient_norm))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise FloatingPointError(
                f"step {number + 1} has the loss {loss:g} and gradients of the norm {norm:g} at a learning "
                f"rate of {rate:g}: try a lower learning_rate than {self._settings.learning_rate:g}, more "
                "warmup_steps or bfloat16=False, in another folder, for a checkpoint is of its own settings"
            )
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        return loss, norm

    def _gradients(self, number: int, rows: RowNumbers) -> float:
        """Compute the gradients of a batch; give its loss."""
        processes, turns = self._processes, self._settings.accumulation
        weight = self._loss.total_weight(self._rows.labels(rows)[1])
        total = torch.zeros((), device=processes.device)
        for turn in range(turns):
            own = np.arange(turn * processes.count + processes.rank, len(rows), turns * processes.count)
            scale = processes.count / weight if len(own) else 0.0
            own = own if len(own) else np.zeros(1, dtype=np.int64)  # all processes must compute something
            own = self._longest_first(rows, own)
            self._place.move(number, len(rows), own)
            is_last = turn == turns - 1
            with nullcontext() if is_last or processes.count == 1 else self._parallel.no_sync():
                total += self._part(rows[own], scale)
        return float(processes.total(total)) / processes.count

    def _longest_first(self, rows: RowNumbers, own: RowNumbers) -> RowNumbers:
        """Places in `rows`, in the order in which the model applies the dropout of embeddings."""
        lengths = np.minimum(self._rows.lengths(rows[own]), self._settings.max_length)
        return own[np.argsort(-lengths, kind="stable")]

    def _part(self, rows: RowNumbers, scale: float) -> Tensor:
        """Add the gradients of some texts; give their loss, scaled."""
        device = self._processes.device
        ids = torch.from_numpy(self._rows.token_ids(rows, self._settings.max_length)).to(device)
        owners, classes = (torch.from_numpy(part).to(device) for part in self._rows.labels(rows))

        def run(model: Callable[..., Any], ids: Tensor) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=bool(self._settings.bfloat16)):
                logits = model(ids)
            loss = self._loss(logits, owners, classes, rows) * scale
            loss.backward()
            return loss.detach()

        if self._compiled is not None and len(rows) == self._part_rows:
            try:
                return run(self._compiled, F.pad(ids, (0, -ids.shape[1] % _COMPILED_LENGTHS)))
            except Exception as error:  # no compiler, an old device: whatever a compiler may raise
                if self._processes.count > 1:  # the others may have gone on
                    raise
                reason = (str(error) or type(error).__name__).strip().splitlines()[0]
                logger.warning("torch.compile failed (%s): training goes on without it", reason)
                self._compiled = None
                self._optimizer.zero_grad()
        return run(self._parallel, ids)
