"""One direction of one LSTM layer with Keras 2's hard sigmoid, forward and backward.

    i, f, o = hard_sigmoid(W x + U h + b)        g = tanh(W x + U h + b)
    c' = f c + i g                               h' = o tanh(c')
    hard_sigmoid(x) = clip(0.2 x + 0.5, 0, 1)    gate order in the weights: i, f, g, o

Source: Keras 2.0, `recurrent.LSTM` and its Theano backend's `hard_sigmoid`. Keras 3 and
`torch.nn.functional.hardsigmoid` have the slope 1/6 instead of 0.2, and cuDNN has no hard sigmoid at all, so
the recurrence is written out here: the products with the inputs of many time steps are one matrix product,
each step adds its product with the state, and the backward pass is written by hand, so that the gradients of
the weights are one product as well.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from torchmoji.compiled import OFFSET, SLOPE, cell, cell_backward, compiled
from torchmoji.products import PACKING_PAYS_FROM, adder, linear, packed

Weights = tuple[Tensor, Tensor, Tensor | None]
"""Of a layer's direction: `weight_ih` (4H, input), `weight_hh` (4H, H), sum of the biases (4H,) or None."""


PRODUCT_ROWS = 512
"""Tokens whose inputs are multiplied at once: as fast as all at once, in less memory."""


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


def _cell(
    gates: Tensor, half: Tensor, c: Tensor, out: Tensor, in_place: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One time step behind the products: `torchmoji.compiled.cell` in few passes over memory.

    Args:
        gates: Sums of the products and the bias (n, 4H).
        half: The number `OFFSET`, a scalar.
        c: c before the step (n, H).
        out: Receives h after the step (n, H), in its own type.
        in_place: c may be changed.

    Returns:
        h and c after the step, the activated gates and tanh(c), in the type of the gates.
    """
    fast = compiled(cell, gates.device.type)
    if fast is not None:
        h, c, activated, tanh_c = fast(gates, c)
        out.copy_(h)
        return h, c, activated, tanh_c
    activated = torch.add(half, gates, alpha=SLOPE).clamp_(0, 1)
    i, f, g, o = activated.chunk(4, dim=1)
    torch.tanh(gates.narrow(1, 2 * c.shape[1], c.shape[1]), out=g)
    c = (c.mul_(f) if in_place else c * f).addcmul_(i, g)
    tanh_c = torch.tanh(c)
    if out.dtype == gates.dtype:
        return torch.mul(o, tanh_c, out=out), c, activated, tanh_c
    h = o * tanh_c
    out.copy_(h)
    return h, c, activated, tanh_c


def _carry(state: Tensor, size: int, initial: Tensor, final: Tensor) -> Tensor:
    """The state of the `size` sequences that have a token at the next time step.

    Sequences are sorted, longest first. Those that end leave their state in `final`, those that begin (in the
    backward direction) bring theirs from `initial`; both (batch, H).
    """
    had = state.shape[0]
    if size == had:
        return state
    if size < had:
        final[size:had] = state[size:]
        return state[:size]
    return torch.cat([state, initial[had:size]])


class _Step(NamedTuple):
    """What the backward pass needs of a time step, of n sequences each."""

    c_before: Tensor  # (n, H)
    gates: Tensor  # (n, 4H), activated
    tanh_c: Tensor  # (n, H)


def _recurrence(
    inputs: Iterable[Tensor],
    outputs: Sequence[Tensor],
    h_0: Tensor,
    c_0: Tensor,
    weight_hh: Tensor,
    starts_at_zero: bool,
    history: list[_Step] | None,
) -> tuple[Tensor, Tensor]:
    """Run one direction of one layer.

    Args:
        inputs: For each time step, in the order of the recurrence, the products with the inputs, bias
            included, (n, 4H).
        outputs: For each time step, receives h after it, (n, H).
        h_0: Initial states (batch, H), in the type of the states.
        c_0: The same for the cells.
        weight_hh: (4H, H), in the type in which products are computed; may be packed.
        starts_at_zero: The initial states are known to be zero.
        history: Receives the steps, for the backward pass.

    Returns:
        The final h and c (batch, H).
    """
    h_n, c_n = torch.empty_like(h_0), torch.empty_like(c_0)
    h, c = h_0[:0], c_0[:0]
    add_product = adder(weight_hh, len(h_0))
    half = c_0.new_full((), OFFSET)
    is_same_type = c_0.dtype == weight_hh.dtype
    for number, (gates, out) in enumerate(zip(inputs, outputs, strict=True)):
        size = gates.shape[0]  # a tensor's len() takes longer, and one text's time is made of such calls
        h, c = _carry(h, size, h_0, h_n), _carry(c, size, c_0, c_n)
        if number or not starts_at_zero:
            gates = add_product(h if is_same_type else h.to(weight_hh.dtype), gates)
        if not is_same_type:
            gates = gates.to(c.dtype)
        c_before = c
        h, c, activated, tanh_c = _cell(gates, half, c, out, in_place=history is None)
        if history is not None:
            history.append(_Step(c_before, activated, tanh_c))
    h_n[: len(h)], c_n[: len(c)] = h, c
    return h_n, c_n


def _step_backward(dh: Tensor, dc: Tensor, step: _Step, d_gates: Tensor) -> None:
    """Gradients of one time step.

    Args:
        dh: Gradient of h after the step (n, H).
        dc: Gradient of c after the step (n, H); becomes that of c before it.
        step: The step.
        d_gates: Receives the gradient of the gates before their activation (n, 4H).
    """
    fast = compiled(cell_backward, dh.device.type)
    if fast is not None:
        dc_before, d_sums = fast(dh, dc, step.gates, step.c_before, step.tanh_c)
        dc.copy_(dc_before)
        d_gates.copy_(d_sums)
        return
    size = dh.shape[1]
    i, f, g, o = step.gates.chunk(4, dim=1)
    d_i, d_f, d_g, d_o = d_gates.chunk(4, dim=1)
    torch.mul(dh, step.tanh_c, out=d_o)
    dc += torch.ops.aten.tanh_backward(dh * o, step.tanh_c)
    torch.mul(dc, g, out=d_i)
    torch.mul(dc, step.c_before, out=d_f)
    torch.ops.aten.tanh_backward.grad_input(dc * i, g, grad_input=d_g)
    dc *= f
    for part in (slice(2 * size), slice(3 * size, None)):
        sigmoids = d_gates[:, part]
        torch.ops.aten.hardtanh_backward.grad_input(
            sigmoids, step.gates[:, part], 0.0, 1.0, grad_input=sigmoids
        )
        sigmoids *= SLOPE


def is_autocast(device: torch.device) -> bool:
    """Whether autocast is on; some devices have none and refuse the question."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def _without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, enabled=False) if is_autocast(device) else nullcontext()


class Layout(NamedTuple):
    """How one direction goes through packed data.

    Packed data hold all sequences' first tokens, then their second ones and so on, longest sequence first.
    """

    batch_sizes: list[int]
    """For each time step, how many sequences have a token there."""
    reverse: bool
    """From the last time step to the first."""
    starts_at_zero: bool
    """The initial states are zero."""

    @property
    def order(self) -> slice:
        """Puts time steps into the order of the recurrence, or back."""
        return slice(None, None, -1 if self.reverse else 1)


def _states_before(output: Tensor, h_0: Tensor, layout: Layout) -> Tensor:
    """States h before each step (tokens, H), from those after each step and the initial states (batch, H)."""
    befores, h, unused = [], h_0[:0].to(output.dtype), torch.empty_like(h_0)
    for after in output.split(layout.batch_sizes)[layout.order]:
        h = _carry(h, len(after), h_0.to(output.dtype), unused)
        befores.append(h)
        h = after
    return torch.cat(befores[layout.order])


def _input_products(inputs: Tensor, weight: Tensor, bias: Tensor | None, layout: Layout) -> Iterator[Tensor]:
    """Products with the inputs, bias included, (n, 4H) for each time step in the order of the recurrence.

    One product serves as many steps as `PRODUCT_ROWS` allows.
    """
    start = len(inputs) if layout.reverse else 0
    steps: list[int] = []

    def product() -> Sequence[Tensor]:
        nonlocal start
        rows = sum(steps)
        first = start - rows if layout.reverse else start
        gates = linear(inputs[first : first + rows], weight, bias)
        start = first if layout.reverse else first + rows
        return gates.split(steps[layout.order])[layout.order]

    for size in layout.batch_sizes[layout.order]:
        if steps and sum(steps) + size > PRODUCT_ROWS:
            yield from product()
            steps = []
        steps.append(size)
    if steps:
        yield from product()


def run_direction(
    x: Tensor,
    output: Tensor,
    h_0: Tensor,
    c_0: Tensor,
    weights: Weights,
    layout: Layout,
    product_type: torch.dtype,
    history: list[_Step] | None = None,
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Run one direction of one layer over packed data, without gradients.

    Args:
        x: (tokens, input).
        output: Receives h after each step (tokens, H).
        h_0: (batch, H).
        c_0: (batch, H).
        weights: Of this direction.
        layout: Of the data.
        product_type: In which products are computed; states and activations are of float32 at least.
        history: Receives the steps, for the backward pass.

    Returns:
        The final h and c (batch, H), and x and the two weights in the type of the products.
    """
    weight_ih, weight_hh, bias = weights
    state_type = torch.promote_types(product_type, torch.float32)
    with _without_autocast(x.device):
        inputs, w_ih, w_hh = (tensor.to(product_type) for tensor in (x, weight_ih, weight_hh))
        rows = max(layout.batch_sizes, default=0)
        pack = history is None and rows >= PACKING_PAYS_FROM
        products = (packed(w_ih, len(x)), packed(w_hh, rows)) if pack else (w_ih, w_hh)
        h, c = _recurrence(
            _input_products(inputs, products[0], None if bias is None else bias.to(product_type), layout),
            output.split(layout.batch_sizes)[layout.order],
            h_0.to(state_type),
            c_0.to(state_type),
            products[1],
            layout.starts_at_zero,
            history,
        )
    return h.to(h_0.dtype), c.to(c_0.dtype), (inputs, w_ih, w_hh)


class PackedDirection(torch.autograd.Function):
    """One direction of one layer over packed data, with a backward pass by hand.

    Products are computed in `product_type`; states and activations in float32 at least.
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
        layout: Layout,
        product_type: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give h after each step (tokens, H), and the final h and c (batch, H)."""
        history: list[_Step] | None = [] if any(ctx.needs_input_grad) else None
        output = x.new_empty(len(x), h_0.shape[1])
        weights = weight_ih, weight_hh, bias
        h, c, products = run_direction(x, output, h_0, c_0, weights, layout, product_type, history)
        if history is not None:
            ctx.save_for_backward(*products, h_0, output, *(tensor for step in history for tensor in step))
            ctx.layout = layout
            ctx.types = [tensor.dtype for tensor in (x, h_0, c_0, weight_ih)]
        return output, h, c

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor, grad_h: Tensor, grad_c: Tensor) -> tuple[Tensor | None, ...]:
        """Give the gradients of x, the initial states, the weights and the bias."""
        if torch.is_grad_enabled():  # torch's once_differentiable would pass the gradients off as constants
            raise RuntimeError(
                "LSTMHardSigmoid has no second derivatives: take gradients without create_graph=True"
            )
        inputs, w_ih, w_hh, h_0, output, *kept = ctx.saved_tensors
        steps = [_Step(*kept[start : start + 3]) for start in range(0, len(kept), 3)]
        product_type, state_type = w_hh.dtype, steps[0].gates.dtype
        order = ctx.layout.order
        with _without_autocast(inputs.device):
            d_gates = inputs.new_empty(len(inputs), len(w_hh), dtype=state_type)
            parts = d_gates.split(ctx.layout.batch_sizes)[order]
            d_outputs = grad_output.split(ctx.layout.batch_sizes)[order]
            dh, dc = grad_h.to(state_type, copy=True), grad_c.to(state_type, copy=True)
            w_back = packed(w_hh.t().contiguous(), len(dh))
            for step, part, d_output in zip(steps[::-1], parts[::-1], d_outputs[::-1], strict=True):
                dh_t, dc_t = dh[: len(part)], dc[: len(part)]
                dh_t += d_output
                _step_backward(dh_t, dc_t, step, part)
                dh_t.copy_(linear(part.to(product_type), w_back))
            x_type, h_type, c_type, weight_type = ctx.types
            products = d_gates.to(product_type)
            transposed = products.t().contiguous()  # once for both weights
            needed = ctx.needs_input_grad
            h_before = _states_before(output, h_0, ctx.layout) if needed[4] else output
            return (
                linear(products, w_ih.t()).to(x_type) if needed[0] else None,
                dh.to(h_type) if needed[1] else None,
                dc.to(c_type) if needed[2] else None,
                linear(transposed, inputs.t()).to(weight_type) if needed[3] else None,
                linear(transposed, h_before.to(product_type).t()).to(weight_type) if needed[4] else None,
                d_gates.sum(0).to(weight_type) if needed[5] else None,
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
