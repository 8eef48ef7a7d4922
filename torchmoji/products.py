"""Matrix products without gradients, by whichever library of torch's is fast on this machine.

torch computes float32 products on the CPU with the BLAS it was built with, on x86 mostly Intel's MKL, which
keeps its fast kernels for Intel's processors: on an AMD EPYC with AVX-512, oneDNN, which torch carries too,
is 1.1 to 1.8 times as fast at the sizes of this model (`benchmarks/encode.py` measures it) and equal to it
but for rounding. So the rule, the same at every run of a machine, is: oneDNN where the BLAS is MKL and the
processor is not Intel's, torch's default elsewhere and for all other types, devices and shapes.
"""

import platform
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.weak import WeakTensorKeyDictionary

from torchmoji.machine import cpuinfo

PACKING_PAYS_FROM = 8
"""Rows of a product from which packed weights are worth the check that they are still right."""

_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}
_BFLOAT16_QUESTIONS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # where no flags are told


def _processor_vendor() -> str:
    """The vendor that the processor names, as in /proc/cpuinfo: GenuineIntel, AuthenticAMD; may be empty."""
    # on Windows the latter is such as "AMD64 Family 25 Model 17 Stepping 1, AuthenticAMD"
    return cpuinfo("vendor_id") or platform.processor()


@lru_cache(maxsize=1)
def prefers_onednn() -> bool:
    """Whether float32 products on the CPU are better given to oneDNN than to torch's default BLAS."""
    operators = torch.ops.mkldnn
    if not all(hasattr(operators, name) for name in ("_linear_pointwise", "_reorder_linear_weight")):
        return False
    is_built = bool(torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available())
    return is_built and "Intel" not in _processor_vendor()


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
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and min(*x.shape, *weight.shape) > 0
        and bool(torch.backends.mkldnn.enabled)
        and prefers_onednn()
    )


def rounded_rows(rows: int) -> int:
    """So many rows are computed by oneDNN instead of `rows`.

    For every shape that it has not seen, oneDNN keeps a compiled kernel of about a megabyte, for a thousand
    shapes. Batches of texts have any number of rows, so that number is rounded up.
    """
    step = 1 if rows < 8 else 8 if rows <= 64 else 16 if rows <= 128 else 32
    return -(-rows // step) * step


def _with_rows(x: Tensor, rows: int) -> Tensor:
    """`x` (n, k) with more rows, of any content: those that follow it in memory, or a copy with zeros."""
    end = x.storage_offset() + (rows - 1) * x.stride(0) + x.shape[1]
    if x.stride(1) == 1 and end * x.element_size() <= x.untyped_storage().nbytes():
        return x.as_strided((rows, x.shape[1]), x.stride())
    return F.pad(x, (0, 0, 0, rows - x.shape[0]))


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x weight^T + bias` as a new tensor.

    Args:
        x: (n, k).
        weight: (m, k), a view with any strides, or what `packed` gave for it.
        bias: (m,).
    """
    if weight.is_mkldnn or uses_onednn(x, weight):
        size = x.shape[0]
        rows = rounded_rows(size)
        more = x if rows == size else _with_rows(x, rows)
        result = torch.ops.mkldnn._linear_pointwise(more, weight, bias, "none", [], "")
        return result if rows == size else result[:size]
    return torch.mm(x, weight.t()) if bias is None else torch.addmm(bias, x, weight.t())


def adder(weight: Tensor, rows: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Give the function that computes `x weight^T + other` as a new tensor.

    It takes x (n, k) of the weight's type and other (n, m), both on its device.

    Args:
        weight: (m, k), a view with any strides, or what `packed` gave for it.
        rows: The highest n.
    """
    if weight.is_mkldnn or (rows and uses_onednn(weight, weight)):
        operator = torch.ops.mkldnn._linear_pointwise.binary

        def add(x: Tensor, other: Tensor) -> Tensor:
            size = x.shape[0]
            rows = rounded_rows(size)
            if rows == size:
                return operator(x, other, weight, None, "add")
            return operator(_with_rows(x, rows), _with_rows(other, rows), weight, None, "add")[:size]

        return add
    transposed = weight.t()
    return lambda x, other: torch.addmm(other, x, transposed)


class _Packed(NamedTuple):
    fingerprint: tuple[int, int, int, float]
    tensor: Tensor


_PACKED = WeakTensorKeyDictionary()
"""Weight -> `_Packed`; an entry goes with its weight."""


def packed(weight: Tensor, rows: int) -> Tensor:
    """A weight in the order in which oneDNN reads it, or the weight itself where that does not pay.

    It is kept from call to call. Whether it is still right is told by torch's counter of changes and, since
    changes through `.data` are not counted, by its place in memory and two sums over it, one of its bits and
    one that knows the places of the numbers, which together take a tenth of the time of packing.

    Args:
        weight: (m, k), float.
        rows: Of the products to come.
    """
    is_whole = weight.is_contiguous() and weight.numel() % 2 == 0
    if rows < PACKING_PAYS_FROM or not is_whole or not uses_onednn(weight, weight):
        return weight
    fingerprint = _fingerprint(weight)
    known: _Packed | None = _PACKED.get(weight)
    if known is None or known.fingerprint != fingerprint:
        tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)
        _PACKED[weight] = known = _Packed(fingerprint, tensor)
    return known.tensor


def _fingerprint(weight: Tensor) -> tuple[int, int, int, float]:
    values = weight.detach()
    bits = int(values.flatten().view(torch.int64).sum())
    by_row, by_column = (torch.linspace(1, 2, size) for size in values.shape)
    version = 0 if weight.is_inference() else weight._version
    return version, values.data_ptr(), bits, float(torch.mv(values, by_column).dot(by_row))
