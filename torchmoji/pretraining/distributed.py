"""The processes that train together: one, or those that `torchrun` started, with the same dropout.

`torch.distributed` does the talking: gloo between CPUs, nccl between CUDA devices.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from torchmoji.model_def import TorchMoji
from torchmoji.runtime.products import checked_device


@dataclass(frozen=True)
class Processes:
    """This process among the others."""

    device: torch.device  # where it computes
    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it writes files and shows progress."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes; the tensor is changed."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def total_of(self, number: int) -> int:
        """The sum of an integer over all processes."""
        return int(self.total(torch.tensor([int(number)], device=self.device)))

    def wait(self) -> None:
        """Wait for all others."""
        if self.count > 1:
            distributed.barrier()

    def parallel(self, model: nn.Module) -> nn.Module:
        """The model, with gradients averaged over all processes."""
        if self.count == 1:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=devices)


@contextmanager
def joined_processes(device: str | torch.device | None = None) -> Iterator[Processes]:
    """Join the processes that `torchrun` started, within the block; without it there is this one alone.

    They compute by default on CUDA where it is there, a device for each process of a machine. ValueError
    where there is no such device.
    """
    count, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    name = device if device is not None else "cuda" if torch.cuda.is_available() else "cpu"
    kind = torch.device(name) if str(name).startswith("cuda") else checked_device(name)
    if kind.type == "cuda":
        if not torch.cuda.is_available() or (kind.index or local) >= torch.cuda.device_count():
            raise ValueError(f"there is no device {kind}: {torch.cuda.device_count()} CUDA devices are there")
        if kind.index is None:
            kind = torch.device("cuda", local)
    with torch.cuda.device(kind) if kind.type == "cuda" else nullcontext():
        if count == 1:
            yield Processes(kind)
            return
        is_ours = not distributed.is_initialized()  # else the caller has joined them already
        if is_ours and kind.type == "cuda":
            distributed.init_process_group("nccl", device_id=kind)
        elif is_ours:
            distributed.init_process_group("gloo")
        try:
            yield Processes(kind, distributed.get_rank(), distributed.get_world_size())
        finally:
            if is_ours:
                distributed.destroy_process_group()


def device_name(device: torch.device) -> str:
    """The graphics card's name, or the kind of another device, such as CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()


@dataclass
class BatchRows:
    """Which texts of which step are being computed."""

    seed: int  # of the masks
    step: int = 0
    size: int = 0  # texts of the whole step
    # those that are computed, by their places in it (n,)
    rows: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))


class BatchDropout(nn.Dropout):
    """`nn.Dropout` for inputs (n, ...), a row for each text of `batch`; layers with other numbers differ."""

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

    What it yields must be set to the texts that are computed.
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
