"""The LSTM of Keras 2: `torch.nn.LSTM` with a hard sigmoid on its gates.

    i, f, o = hard_sigmoid(W x + U h + b)        g = tanh(W x + U h + b)
    c' = f c + i g                               h' = o tanh(c')
    hard_sigmoid(x) = clip(0.2 x + 0.5, 0, 1)    gate order in the weights: i, f, g, o

Source: Keras 2.0, `recurrent.LSTM` and its Theano backend's `hard_sigmoid`. Keras 3 and
`torch.nn.functional.hardsigmoid` have the slope 1/6 instead of 0.2, and cuDNN has no hard sigmoid at all, so
the recurrence is written out here: the products with the inputs of all time steps are one matrix product,
each step adds its product with the state, and the backward pass is written by hand, so that the gradients of
the weights are one product as well.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

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


def _steps(batch_sizes: list[int], reverse: bool) -> list[tuple[int, int]]:
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
        steps: From `_steps`.
        history: (3, tokens, H); receives h and c before each step and tanh(c) after it, for the backward
            pass.

    Returns:
        h after each step (tokens, H).
    """
    output = torch.empty_like(gates[:, : h.shape[1]], memory_format=torch.contiguous_format)
    half = gates.new_tensor(OFFSET)
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


class _PackedDirection(torch.autograd.Function):
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
        state_type = torch.promote_types(product_type, torch.float32)
        keep_history = is_grad and any(ctx.needs_input_grad)
        with torch.autocast(x.device.type, enabled=False):
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
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor, grad_h: Tensor, grad_c: Tensor) -> tuple[Tensor | None, ...]:
        inputs, w_ih, w_hh, gates, (h_before, c_before, tanh_c) = ctx.saved_tensors
        product_type, state_type = w_hh.dtype, gates.dtype
        with torch.autocast(gates.device.type, enabled=False):
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


def _padded_direction(
    x: Tensor, h: Tensor, c: Tensor, weights: Weights, reverse: bool, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """What `_PackedDirection` computes, in operations that can be traced and exported.

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


class LSTMHardSigmoid(nn.LSTM):
    """A drop-in for `torch.nn.LSTM` whose gates have Keras 2's hard sigmoid.

    Parameters, their names and shapes, inputs, outputs and shape errors are those of `torch.nn.LSTM`.
    Gradients can be taken once; a second derivative raises `RuntimeError`. With bfloat16 or float16, also
    through autocast, products are computed in that type, states and activations in float32.

    Args:
        input_size: Number of features of the input.
        hidden_size: Number of features of h and c.
        num_layers: Layers on top of each other.
        bias: Whether there are biases.
        batch_first: Tensors are (batch, time, features) instead of (time, batch, features).
        dropout: Probability of dropping an output of all layers but the last, in training.
        bidirectional: Add a second direction; the outputs are concatenated.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
        )

    def flatten_parameters(self) -> None:
        """Do nothing: the weights need not lie together, since cuDNN is not used."""

    def forward(  # type: ignore[override]
        self, input: Tensor | PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor]]:
        """Run the layers over sequences.

        Args:
            input: (time, batch, input_size), (batch, time, input_size) with `batch_first`, (time, input_size)
                for one sequence, or a packed sequence, sorted by length or not.
            hx: Initial h and c, (layers * directions, batch, hidden_size) each; zeros by default.

        Returns:
            The last layer's h after each step, of the same kind as the input, and the final h and c.

        Raises:
            RuntimeError: A shape does not fit.
            ValueError: The input has neither two nor three dimensions.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(f"LSTM: Expected input to be 2D or 3D, got {input.dim()}D instead")
        one_sequence = input.dim() == 2
        if hx is not None and any(state.dim() != input.dim() for state in hx):
            kind = "unbatched 2-D" if one_sequence else "batched 3-D"
            raise RuntimeError(
                f"For {kind} input, hx and cx should also be {input.dim()}-D "
                f"but got ({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
            )
        if one_sequence:
            input = input.unsqueeze(1)
            hx = None if hx is None else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
        elif self.batch_first:
            input = input.transpose(0, 1)
        time, batch = input.shape[:2]
        h_0, c_0 = self._initial(input, batch, hx)
        if is_traced():
            output, states = self.run_padded(input, None, (h_0, c_0))
        else:
            packed, states = self.run_packed(input.flatten(0, 1), [batch] * time, (h_0, c_0))
            output = packed.unflatten(0, (time, batch))
        if one_sequence:
            return output.squeeze(1), (states[0].squeeze(1), states[1].squeeze(1))
        return output.transpose(0, 1) if self.batch_first else output, states

    def _forward_packed(
        self, input: PackedSequence, hx: tuple[Tensor, Tensor] | None
    ) -> tuple[PackedSequence, tuple[Tensor, Tensor]]:
        data, batch_sizes, to_sorted, to_original = input
        sizes = batch_sizes.tolist()
        h_0, c_0 = self._initial(data, sizes[0], hx)
        if to_sorted is not None and hx is not None:
            h_0, c_0 = h_0.index_select(1, to_sorted), c_0.index_select(1, to_sorted)
        output, (h_n, c_n) = self.run_packed(data, sizes, (h_0, c_0))
        if to_original is not None:
            h_n, c_n = h_n.index_select(1, to_original), c_n.index_select(1, to_original)
        return PackedSequence(output, batch_sizes, to_sorted, to_original), (h_n, c_n)

    def _initial(self, input: Tensor, batch: int, hx: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """Check the shapes as `torch.nn.LSTM` does and give the initial states."""
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {input.shape[-1]}"
            )
        shape = (self.num_layers * (2 if self.bidirectional else 1), batch, self.hidden_size)
        if hx is None:
            zeros = input.new_zeros(shape)
            return zeros, zeros
        self.check_hidden_size(hx[0], shape, "Expected hidden[0] size {}, got {}")
        self.check_hidden_size(hx[1], shape, "Expected hidden[1] size {}, got {}")
        return hx

    def direction_weights(self, layer: int, direction: int) -> Weights:
        """The weights of one layer and direction (0 forward, 1 backward), biases summed."""
        name = f"l{layer}" + ("_reverse" if direction else "")
        bias = getattr(self, f"bias_ih_{name}") + getattr(self, f"bias_hh_{name}") if self.bias else None
        return getattr(self, f"weight_ih_{name}"), getattr(self, f"weight_hh_{name}"), bias

    def run_packed(
        self, data: Tensor, batch_sizes: list[int], states: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run all layers over packed data.

        Args:
            data: (tokens, input_size): all sequences' first tokens, then their second ones and so on, longest
                sequence first.
            batch_sizes: For each time step, how many sequences have a token there.
            states: Initial h and c (layers * directions, batch, hidden_size), rows in the same order.

        Returns:
            (tokens, directions * hidden_size) and the final states.
        """
        device = data.device.type
        product_type = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else data.dtype

        def direction(data: Tensor, h: Tensor, c: Tensor, weights: Weights, reverse: bool) -> Any:
            steps = _steps(batch_sizes, reverse)
            return _PackedDirection.apply(data, h, c, *weights, steps, product_type, torch.is_grad_enabled())

        return self._run_layers(data, states, direction)

    def run_padded(
        self, data: Tensor, mask: Tensor | None, states: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run all layers over (time, batch, input_size), in operations that can be traced and exported.

        Args:
            data: Padded anywhere.
            mask: (time, batch, 1), true where there is a token, or None.
            states: Initial h and c (layers * directions, batch, hidden_size).

        Returns:
            (time, batch, directions * hidden_size) and the final states.
        """

        def direction(data: Tensor, h: Tensor, c: Tensor, weights: Weights, reverse: bool) -> Any:
            return _padded_direction(data, h, c, weights, reverse, mask)

        return self._run_layers(data, states, direction)

    def _run_layers(
        self, data: Tensor, states: tuple[Tensor, Tensor], run: Callable[..., Any]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        directions = 2 if self.bidirectional else 1
        h_n, c_n = [], []
        for layer in range(self.num_layers):
            outputs = []
            for reverse in range(directions):
                index = layer * directions + reverse
                output, h, c = run(
                    data,
                    states[0][index],
                    states[1][index],
                    self.direction_weights(layer, reverse),
                    bool(reverse),
                )
                outputs.append(output)
                h_n.append(h)
                c_n.append(c)
            data = torch.cat(outputs, dim=-1) if self.bidirectional else outputs[0]
            if layer < self.num_layers - 1:
                data = F.dropout(data, self.dropout, self.training)
        return data, (torch.stack(h_n), torch.stack(c_n))
