"""Matrix products without gradients, by whichever library of torch's is fast on this machine.

torch computes float32 products on the CPU with the BLAS it was built with, on x86 mostly Intel's MKL, which
keeps its fast kernels for Intel's processors: on an AMD EPYC with AVX-512, oneDNN, which torch carries too,
is 1.1 to 1.8 times as fast at the sizes of this model (`benchmarks/encode.py` measures it) and equal to it
but for rounding. So the rule, the same at every run of a machine, is: oneDNN where the BLAS is MKL and the
processor is not Intel's, torch's default elsewhere and for all other types, devices and shapes.
"""

import os
import platform
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from torchmoji.runtime.machine import cpuinfo

_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}
_BFLOAT16_QUESTIONS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # where no flags are told


def _processor_vendor() -> str:
    """The vendor that the processor names, as in /proc/cpuinfo: GenuineIntel, AuthenticAMD; may be empty."""
    # on Windows the latter is such as "AMD64 Family 25 Model 17 Stepping 1, AuthenticAMD"
    return cpuinfo("vendor_id") or platform.processor()


@lru_cache(maxsize=1)
def prefers_onednn() -> bool:
    """Whether float32 products on the CPU are better given to oneDNN than to torch's default BLAS."""
    is_built = torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()
    has_operator = hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return bool(is_built and has_operator and "Intel" not in _processor_vendor())


@lru_cache(maxsize=1)
def _processor_has_bfloat16() -> bool:
    flags = {*cpuinfo("flags").split(), *cpuinfo("Features").split()}  # x86, ARM
    if flags:
        return bool(flags & _BFLOAT16_FLAGS)
    asked = (getattr(torch.cpu, name, None) for name in _BFLOAT16_QUESTIONS)
    return any(question is not None and question() for question in asked)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are known to be faster than in float32: the hardware has instructions.

    Elsewhere torch emulates them, many times slower than float32, in training above all. Devices other than
    the CPU and NVIDIA's were not examined: False.
    """
    if device.type == "cuda":
        return torch.version.hip is None and torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _processor_has_bfloat16()


def uses_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether `linear` gives this product to oneDNN; torch.backends.mkldnn.enabled switches it off."""
    return (
        prefers_onednn()
        and x.is_cpu
        and x.dtype == weight.dtype == torch.float32
        and x.numel() > 0
        and weight.numel() > 0
        and bool(torch.backends.mkldnn.enabled)
    )


def rounded_rows(rows: int) -> int:
    """So many rows are computed by oneDNN instead of `rows`.

    For every shape that it has not seen, oneDNN keeps a compiled kernel of about a megabyte, for a thousand
    shapes. Batches of texts have any number of rows, so that number is rounded up.
    """
    step = 1 if rows < 8 else 8 if rows <= 64 else 16 if rows <= 128 else 32
    return -(-rows // step) * step


def linear(x: Tensor, weight: Tensor, added: Tensor | None = None) -> Tensor:
    """`x weight^T + added`, a new tensor: x (n, k), weight (m, k) of any strides, added (m,) or (n, m)."""
    if not uses_onednn(x, weight):
        return torch.mm(x, weight.t()) if added is None else torch.addmm(added, x, weight.t())
    size = x.shape[0]
    rows = rounded_rows(size)
    more = (0, 0, 0, rows - size)
    x = F.pad(x, more) if rows > size else x
    operator = torch.ops.mkldnn._linear_pointwise
    if added is not None and added.dim() == 2:
        added = F.pad(added, more) if rows > size else added
        result = operator.binary(x, added, weight, None, "add")
    else:
        result = operator(x, weight, added, "none", [], "")
    return result[:size] if rows > size else result


def checked_device(device: str | torch.device | None) -> torch.device:
    """The device of that name, by default the CPU; nothing is known of one until something is put there.

    Raises:
        ValueError: It cannot be used.
    """
    try:
        return torch.empty(0, device="cpu" if device is None else device).device
    except (AssertionError, RuntimeError, NotImplementedError, TypeError) as error:  # as torch says it
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"cannot use device {str(device)!r} ({reason:.150}): leave it out for the CPU, or take a torch "
            "that has it"
        ) from error


_used_by: int | None = None  # the process that has computed last


def settle_threads() -> None:
    """Leave torch one thread in a process that was forked from one in which the model has been at work.

    torch's other threads do not survive the fork, and it would wait for them for ever. Called before a model
    is loaded or computes.
    """
    global _used_by
    process = os.getpid()
    if _used_by not in (None, process):
        torch.set_num_threads(1)
    _used_by = process
