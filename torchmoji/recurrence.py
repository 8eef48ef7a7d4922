"""One direction of one layer of Keras 2's LSTM over packed sequences: the fast way, forward and backward.

`torchmoji.lstm.LSTMCell` has the equations. Here the products with the inputs of many time steps are one
matrix product, each step adds its product with the state, and the backward pass is written by hand, so that
the gradients of the weights are one product as well. cuDNN has no hard sigmoid and cannot do this; on CUDA
`torch.compile` makes one kernel of a step's dozen small operations, each of which would cost a launch.

Packed data hold all sequences' first tokens, then their second ones and so on, longest sequence first; H is
the number of units, and the gates' order is i, f, g, o.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from torchmoji.runtime.products import linear

logger = logging.getLogger(__name__)

SLOPE = 0.2
OFFSET = 0.5
"""hard_sigmoid(x) = clip(SLOPE x + OFFSET, 0, 1), Keras 2's; Keras 3's and torch's slope is 1/6."""

COMPILED_DEVICES = ("cuda",)

PRODUCT_ROWS = 512
"""Tokens whose inputs are multiplied at once: as fast as all at once, in less memory."""


def cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One time step behind the products.

    `gates` are the sums of the products and the bias (n, 4H), `c` is that before the step (n, H). Returns h
    and c after the step, the activated gates (n, 4H), and tanh(c).
    """
    activated = torch.add(gates.new_full((), OFFSET), gates, alpha=SLOPE).clamp_(0, 1)
    i, f, g, o = activated.chunk(4, dim=1)
    torch.tanh(gates.narrow(1, 2 * c.shape[1], c.shape[1]), out=g)
    c = (f * c).addcmul_(i, g)
    tanh_c = torch.tanh(c)
    return o * tanh_c, c, activated, tanh_c


def cell_backward(
    dh: Tensor, dc: Tensor, activated: Tensor, c_before: Tensor, tanh_c: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of a time step: of c before it (n, H), and of the gates' sums (n, 4H).

    `dh` and `dc` are those of h and c after the step (n, H), `activated` the activated gates (n, 4H),
    `c_before` is c before the step, `tanh_c` tanh of c after it (n, H).
    """
    through_tanh, through_clip = torch.ops.aten.tanh_backward, torch.ops.aten.hardtanh_backward
    i, f, g, o = activated.chunk(4, dim=1)
    dc = dc + through_tanh(dh * o, tanh_c)
    d_i, d_f, d_o = (
        through_clip(gradient, gate, 0.0, 1.0).mul_(SLOPE)
        for gradient, gate in ((dc * g, i), (dc * c_before, f), (dh * tanh_c, o))
    )
    return dc * f, torch.cat([d_i, d_f, through_tanh(dc * i, g), d_o], dim=1)


@cache
def fused(function: Callable[..., Any], device_type: str) -> Callable[..., Any]:
    """`cell` or `cell_backward` compiled to one kernel, or itself where that cannot be had."""
    if device_type not in COMPILED_DEVICES or (device_type == "cuda" and find_spec("triton") is None):
        return function
    compiled = torch.compile(function, dynamic=True)
    wide, narrow = (torch.zeros(3, size, device=device_type) for size in (8, 2))
    try:  # compiling happens in a call
        compiled(*((wide, narrow) if function is cell else (narrow, narrow, wide, narrow, narrow)))
    except Exception as error:  # no compiler, an old GPU: whatever a compiler may raise
        logger.warning("time steps of the LSTM are not compiled on %s: %s", device_type, error)
        return function
    return compiled


def is_autocast(device: torch.device) -> bool:
    """Whether autocast is on; some devices have none and refuse the question."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Switch autocast off where there is one."""
    return torch.autocast(device.type, enabled=False) if is_autocast(device) else nullcontext()


def _carry(state: Tensor, size: int, initial: Tensor, final: Tensor) -> Tensor:
    """The state of the `size` sequences that have a token at the next time step.

    Sequences that end leave their state in `final`, those that begin (in the backward direction) bring theirs
    from `initial`; both (batch, H).
    """
    had = state.shape[0]
    if size < had:
        final[size:had] = state[size:]
        return state[:size]
    return state if size == had else torch.cat([state, initial[had:size]])


def _order(reverse: bool) -> slice:
    """Puts time steps into the order of the recurrence, or back."""
    return slice(None, None, -1 if reverse else 1)


def _input_products(
    x: Tensor, weight: Tensor, bias: Tensor | None, batch_sizes: list[int], reverse: bool
) -> Iterator[Tensor]:
    """Products with the inputs, bias included, (n, 4H) for each time step in the order of the recurrence."""
    order = _order(reverse)
    groups: list[list[int]] = [[]]  # each group of steps is one product
    for size in batch_sizes[order]:
        if groups[-1] and sum(groups[-1]) + size > PRODUCT_ROWS:
            groups.append([])
        groups[-1].append(size)
    parts = x.split([sum(group) for group in groups[order]])[order]
    for part, group in zip(parts, groups, strict=True):
        yield from linear(part, weight, bias).split(group[order])[order]


def run_direction(
    x: Tensor,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None,
    batch_sizes: list[int],
    reverse: bool,
    history: list[Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one direction of one layer, without gradients.

    `x` (tokens, input) is packed, and of the type in which products are computed, as are `weight_ih` (4H,
    input) and `weight_hh` (4H, H); `bias` is (4H,). Initial states `h_0` and `c_0` (batch, H), None for
    zeros, are of float32 at least like all states. `batch_sizes` says for each time step how many sequences
    have a token there; `reverse` goes from the last time step to the first. `history` receives the tensors
    that the backward pass needs: of each step h and c before it, the activated gates and tanh(c).

    Returns h after each step (tokens, H), and the final h and c (batch, H).
    """
    has_states = h_0 is not None
    if h_0 is None or c_0 is None:
        state_type = torch.promote_types(x.dtype, torch.float32)
        h_0 = c_0 = x.new_zeros(max(batch_sizes), weight_hh.shape[1], dtype=state_type)
    h_n, c_n = torch.empty_like(h_0), torch.empty_like(c_0)
    h, c = h_0[:0], c_0[:0]
    outputs: list[Tensor] = []
    with without_autocast(x.device):
        step = fused(cell, x.device.type)
        bias = None if bias is None else bias.to(x.dtype)
        for gates in _input_products(x, weight_ih, bias, batch_sizes, reverse):
            size = gates.shape[0]  # a tensor's len() takes longer, and one text's time is made of such calls
            h, c = _carry(h, size, h_0, h_n), _carry(c, size, c_0, c_n)
            before = h.to(x.dtype), c
            if outputs or has_states:
                gates = linear(before[0], weight_hh, gates)
            h, c, activated, tanh_c = step(gates.to(c.dtype), c)
            outputs.append(h)
            if history is not None:
                history += (*before, activated, tanh_c)
    h_n[: len(h)], c_n[: len(c)] = h, c
    return torch.cat(outputs[_order(reverse)]), h_n, c_n


class PackedDirection(torch.autograd.Function):
    """`run_direction` with gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h_0: Tensor | None,
        c_0: Tensor | None,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias: Tensor | None,
        batch_sizes: list[int],
        reverse: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give h after each step (tokens, H), and the final h and c (batch, H)."""
        history: list[Tensor] | None = [] if any(ctx.needs_input_grad) else None
        results = run_direction(x, h_0, c_0, weight_ih, weight_hh, bias, batch_sizes, reverse, history)
        if history is not None:
            ctx.save_for_backward(x, weight_ih, weight_hh, *history)
            ctx.layout = batch_sizes, _order(reverse)
            ctx.bias_type = bias.dtype if bias is not None else None
        return results

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor, grad_h: Tensor, grad_c: Tensor) -> tuple[Tensor | None, ...]:
        """Give the gradients of x, the initial states, the weights and the bias."""
        if torch.is_grad_enabled():  # torch's once_differentiable would pass the gradients off as constants
            raise RuntimeError(
                "LSTMHardSigmoid has no second derivatives: take gradients without create_graph=True"
            )
        x, weight_ih, weight_hh, *history = ctx.saved_tensors
        batch_sizes, order = ctx.layout
        steps = list(zip(*(history[kind::4] for kind in range(4)), strict=True))
        d_outputs = grad_output.split(batch_sizes)[order]
        dh, dc = grad_h.clone(), grad_c.clone()
        d_gates = []
        needs = ctx.needs_input_grad
        with without_autocast(x.device):
            step_backward = fused(cell_backward, x.device.type)
            w_back = weight_hh.t().contiguous()
            for d_output, (_, c_before, activated, tanh_c) in zip(d_outputs[::-1], steps[::-1], strict=True):
                dh_t, dc_t = dh[: len(d_output)], dc[: len(d_output)]
                dh_t += d_output
                dc_before, d_sums = step_backward(dh_t, dc_t, activated, c_before, tanh_c)
                dc_t.copy_(dc_before)
                dh_t.copy_(linear(d_sums.to(x.dtype), w_back))
                d_gates.append(d_sums)
            d_sums = torch.cat(d_gates[::-1][order])  # (tokens, 4H)
            products = d_sums.to(x.dtype)
            transposed = products.t().contiguous()  # once for both weights
            h_before = torch.cat([step[0] for step in steps][order]) if needs[4] else x
            return (
                linear(products, weight_ih.t()) if needs[0] else None,
                dh if needs[1] else None,
                dc if needs[2] else None,
                linear(transposed, x.t()) if needs[3] else None,
                linear(transposed, h_before.t()) if needs[4] else None,
                d_sums.sum(0).to(ctx.bias_type) if needs[5] else None,
                None,
                None,
            )
