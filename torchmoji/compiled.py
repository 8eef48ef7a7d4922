"""A time step of the LSTM as one kernel each way, where torch can compile it: on CUDA.

The products aside, a step is a dozen small operations, and on a GPU each costs a launch. `torch.compile`
makes one kernel of them (with Triton, which torch's CUDA builds bring along). It is compiled at first
use, once for all sizes; where that fails, or Triton is missing, the plain operations of
`torchmoji.recurrence` stay in use. Neither way waits for the GPU between the steps.
"""

import logging
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

COMPILED_DEVICES = ("cuda",)

SLOPE = 0.2
OFFSET = 0.5


def cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One time step behind the products, as the equations read.

    Args:
        gates: Sums of the products and the bias (n, 4H).
        c: c before the step (n, H).

    Returns:
        h and c after the step, the activated gates (n, 4H), and tanh(c).
    """
    i, f, g, o = gates.chunk(4, dim=1)
    i, f, o = ((SLOPE * gate + OFFSET).clamp(0, 1) for gate in (i, f, o))
    g = torch.tanh(g)
    c = f * c + i * g
    tanh_c = torch.tanh(c)
    return o * tanh_c, c, torch.cat([i, f, g, o], dim=1), tanh_c


def cell_backward(
    dh: Tensor, dc: Tensor, activated: Tensor, c_before: Tensor, tanh_c: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of a time step.

    Args:
        dh: Gradient of h after the step (n, H).
        dc: Gradient of c after the step (n, H).
        activated: The activated gates (n, 4H).
        c_before: c before the step (n, H).
        tanh_c: tanh of c after it (n, H).

    Returns:
        The gradients of c before the step and of the gates' sums (n, 4H).
    """
    i, f, g, o = activated.chunk(4, dim=1)
    dc = dc + dh * o * (1 - tanh_c * tanh_c)

    def through(gate: Tensor, gradient: Tensor) -> Tensor:
        return torch.where((gate > 0) & (gate < 1), gradient * SLOPE, 0.0)

    d_g = dc * i * (1 - g * g)
    d_gates = [through(i, dc * g), through(f, dc * c_before), d_g, through(o, dh * tanh_c)]
    return dc * f, torch.cat(d_gates, dim=1)


@cache
def compiled(function: Callable[..., Any], device_type: str) -> Callable[..., Any] | None:
    """The compiled `cell` or `cell_backward`, or None where there is none for a kind of device."""
    if device_type not in COMPILED_DEVICES or (device_type == "cuda" and find_spec("triton") is None):
        return None
    fast = torch.compile(function, dynamic=True)
    try:  # compiling happens in a call
        wide, narrow = (torch.zeros(3, size, device=device_type) for size in (8, 2))
        if function is cell:
            fast(wide, narrow)
        else:
            fast(narrow, narrow, wide, narrow, narrow)
    except Exception as error:  # no compiler, an old GPU: whatever a compiler may raise
        logger.warning("time steps of the LSTM are not compiled on %s: %s", device_type, error)
        return None
    return fast
