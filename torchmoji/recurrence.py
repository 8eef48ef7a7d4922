"""One direction of one LSTM layer with Keras 2's hard sigmoid, forward and backward.

    i, f, o = hard_sigmoid(W x + U h + b)        g = tanh(W x + U h + b)
    c' = f c + i g                               h' = o tanh(c')
    hard_sigmoid(x) = clip(0.2 x + 0.5, 0, 1)    gate order in the weights: i, f, g, o

Source: Keras 2.0, `recurrent.LSTM` and its Theano backend's `hard_sigmoid`. Keras 3 and
`torch.nn.functional.hardsigmoid` have the slope 1/6 instead of 0.2, and cuDNN has no hard sigmoid at all, so
the recurrence is written out here: the products with the inputs of all time steps are one matrix product,
each step adds its product with the state, and the backward pass is written by hand, so that the gradients of
the weights are one product as well.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

SLOPE = 0.2
OFFSET = 0.5

Weights = tuple[Tensor, Tensor, Tensor | None]
"""Of a layer's direction: `weight_ih` (4H, input), `weight_hh` (4H, H), sum of the biases (4H,) or None."""


def hard_sigmoid(x: Tensor) -> Tensor:
    """Keras 2's hard sigmoid, clip(0.2 x + 0.5, 0, 1), for a tensor of any shape."""
    return (SLOPE * x + OFFSET).clamp(0, 1)


def LSTMCell(
    input: Tensor,
    hidden: tuple[Tensor, Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One time step, as the equations read; differentiable as often as wanted.

    Args:
        input: (batch, input_size).
        hidden: h and c, (batch, hidden_size) each.
        w_ih: (4 * hidden_size, input_size).
        w_hh: (4 * hidden_size, hidden_size).
        b_ih: (4 * hidden_size,) or None.
        b_hh: (4 * hidden_size,) or None.

    Returns:
        The new h and c.
    """
    h, c = hidden
    i, f, g, o = (F.linear(input, w_ih, b_ih) + F.linear(h, w_hh, b_hh)).chunk(4, dim=1)
    c = hard_sigmoid(f) * c + hard_sigmoid(i) * torch.tanh(g)
    return hard_sigmoid(o) * torch.tanh(c), c


def steps_of(batch_sizes: list[int], reverse: bool) -> list[tuple[int, int]]:
    """Start and size of each time step's rows in packed data, in the order of the recurrence."""
    steps, start = [], 0
    for size in batch_sizes:
        steps.append((start, size))
        start += size
    return steps[::-1] if reverse else steps


def _activate(gates: Tensor, half: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Apply the activations to gates (n, 4H) in place and return i, f, g, o as views."""
    size = gates.shape[1] // 4
    for sigmoids in (gates[:, : 2 * size], gates[:, 3 * size :]):
        torch.add(half, sigmoids, alpha=SLOPE, out=sigmoids).clamp_(0, 1)
    i, f, g, o = gates.chunk(4, dim=1)
    return i, f, g.tanh_(), o


def _recurrence(
    gates: Tensor,
    h: Tensor,
    c: Tensor,
    weight_hh: Tensor,
    steps: list[tuple[int, int]],
    history: Tensor | None = None,
) -> Tensor:
    """Run one direction of one layer over packed data.

    Args:
        gates: The products with the inputs, bias included (tokens, 4H); holds the activated gates afterwards.
        h: Initial, afterwards final states (batch, H), changed in place; rows that have no token at a time
            step keep theirs.
        c: The same for the cells.
        weight_hh: (4H, H), in the type in which products are computed.
        steps: From `steps_of`.
        history: (3, tokens, H); receives h and c before each step and tanh(c) after it, for the backward
            pass.

    Returns:
        h after each step (tokens, H).
    """
    output = torch.empty_like(gates[:, : h.shape[1]], memory_format=torch.contiguous_format)
    half = gates.new_full((), OFFSET)
    transposed = weight_hh.t()
    same_type = gates.dtype == weight_hh.dtype
    for start, size in steps:
        rows = slice(start, start + size)
        h_t, c_t, step = h[:size], c[:size], gates[rows]
        if history is not None:
            history[0][rows] = h_t
            history[1][rows] = c_t
        if same_type:
            step.addmm_(h_t, transposed)
        else:
            step += torch.mm(h_t.to(weight_hh.dtype), transposed)
        i, f, g, o = _activate(step, half)
        c_t.mul_(f).addcmul_(i, g)
        tanh_c = torch.tanh(c_t) if history is None else torch.tanh(c_t, out=history[2][rows])
        torch.mul(o, tanh_c, out=h_t)
        output[rows] = h_t
    return output


def _step_backward(
    dh: Tensor, dc: Tensor, gates: Tensor, c_before: Tensor, tanh_c: Tensor, d_gates: Tensor
) -> None:
    """Gradients of one time step.

    Args:
        dh: Gradient of h after the step (n, H).
        dc: Gradient of c after the step (n, H); becomes that of c before it.
        gates: The activated gates (n, 4H).
        c_before: c before the step (n, H).
        tanh_c: tanh of c after it (n, H).
        d_gates: Receives the gradient of the gates before their activation (n, 4H).
    """
    size = dh.shape[1]
    i, f, g, o = gates.chunk(4, dim=1)
    d_i, d_f, d_g, d_o = d_gates.chunk(4, dim=1)
    torch.mul(dh, tanh_c, out=d_o)
    dc += torch.ops.aten.tanh_backward(dh * o, tanh_c)
    torch.mul(dc, g, out=d_i)
    torch.mul(dc, c_before, out=d_f)
    d_g.copy_(torch.ops.aten.tanh_backward(dc * i, g))
    dc *= f
    for part in (slice(2 * size), slice(3 * size, None)):
        inside = torch.ops.aten.hardtanh_backward(d_gates[:, part], gates[:, part], 0.0, 1.0)
        torch.mul(inside, SLOPE, out=d_gates[:, part])


def is_autocast(device: torch.device) -> bool:
    """Whether autocast is on; some devices have none and refuse the question."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def _without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, enabled=False) if is_autocast(device) else nullcontext()


class PackedDirection(torch.autograd.Function):
    """One direction of one layer over packed data, with a backward pass by hand.

    Products are computed in `product_type`; states and activations in float32 at least. `is_grad` says
    whether the caller takes gradients: `forward` itself always runs without.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        h_0: Tensor,
        c_0: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias: Tensor | None,
        steps: list[tuple[int, int]],
        product_type: torch.dtype,
        is_grad: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give h after each step (tokens, H), and the final h and c (batch, H)."""
        state_type = torch.promote_types(product_type, torch.float32)
        keep_history = is_grad and any(ctx.needs_input_grad)
        with _without_autocast(x.device):
            inputs, w_ih, w_hh = (tensor.to(product_type) for tensor in (x, weight_ih, weight_hh))
            gates = torch.mm(inputs, w_ih.t()).to(state_type)
            if bias is not None:
                gates += bias
            h, c = h_0.to(state_type, copy=True), c_0.to(state_type, copy=True)
            history = gates.new_empty(3, len(gates), h.shape[1]) if keep_history else None
            output = _recurrence(gates, h, c, w_hh, steps, history)
        if history is not None:
            ctx.save_for_backward(inputs, w_ih, w_hh, gates, history)
            ctx.steps = steps
            ctx.types = [tensor.dtype for tensor in (x, h_0, c_0, weight_ih)]
        return output.to(x.dtype), h.to(h_0.dtype), c.to(c_0.dtype)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor, grad_h: Tensor, grad_c: Tensor) -> tuple[Tensor | None, ...]:
        """Give the gradients of x, the initial states, the weights and the bias."""
        if torch.is_grad_enabled():  # torch's once_differentiable would pass the gradients off as constants
            raise RuntimeError(
                "LSTMHardSigmoid has no second derivatives: take gradients without create_graph=True"
            )
        inputs, w_ih, w_hh, gates, (h_before, c_before, tanh_c) = ctx.saved_tensors
        product_type, state_type = w_hh.dtype, gates.dtype
        with _without_autocast(gates.device):
            d_gates = torch.empty_like(gates)
            dh, dc = grad_h.to(state_type, copy=True), grad_c.to(state_type, copy=True)
            for start, size in reversed(ctx.steps):
                rows = slice(start, start + size)
                dh_t, dc_t, d_step = dh[:size], dc[:size], d_gates[rows]
                dh_t += grad_output[rows]
                _step_backward(dh_t, dc_t, gates[rows], c_before[rows], tanh_c[rows], d_step)
                dh_t.copy_(torch.mm(d_step.to(product_type), w_hh))
            x_type, h_type, c_type, weight_type = ctx.types
            products = d_gates.to(product_type)
            needed = ctx.needs_input_grad
            return (
                torch.mm(products, w_ih).to(x_type) if needed[0] else None,
                dh.to(h_type) if needed[1] else None,
                dc.to(c_type) if needed[2] else None,
                torch.mm(products.t(), inputs).to(weight_type) if needed[3] else None,
                torch.mm(products.t(), h_before.to(product_type)).to(weight_type) if needed[4] else None,
                d_gates.sum(0).to(weight_type) if needed[5] else None,
                None,
                None,
                None,
            )


def padded_direction(
    x: Tensor, h: Tensor, c: Tensor, weights: Weights, reverse: bool, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """What `PackedDirection` computes, in operations that can be traced and exported.

    Args:
        x: (time, batch, input).
        h: (batch, H).
        c: (batch, H).
        weights: Of this direction.
        reverse: From the last time step to the first.
        mask: (time, batch, 1), true where there is a token; elsewhere a state stays as it is. None: no
            padding.

    Returns:
        h after each step (time, batch, H), and the final h and c.
    """
    weight_ih, weight_hh, bias = weights
    times = range(x.shape[0])
    outputs = []
    for t in reversed(times) if reverse else times:
        new_h, new_c = LSTMCell(x[t], (h, c), weight_ih, weight_hh, bias)
        h = new_h if mask is None else torch.where(mask[t], new_h, h)
        c = new_c if mask is None else torch.where(mask[t], new_c, c)
        outputs.append(h)
    return torch.stack(outputs[::-1] if reverse else outputs), h, c


def is_traced() -> bool:
    """Whether `torch.jit.trace`, `torch.export` or `torch.compile` is recording."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()
