"""The processes that train together: one, or those that `torchrun` started.

`torch.distributed` does the talking: gloo between CPUs, nccl between CUDA devices.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


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

    Args:
        device: Where to compute; by default CUDA where it is there, a device for each process of a machine.

    Raises:
        ValueError: There is no such device.
    """
    count, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    kind = torch.device(device if device is not None else "cuda" if torch.cuda.is_available() else "cpu")
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
