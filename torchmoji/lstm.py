"""The LSTM of Keras 2: `torch.nn.LSTM` with a hard sigmoid on its gates.

    i, f, o = hard_sigmoid(W x + U h + b)        g = tanh(W x + U h + b)
    c' = f c + i g                               h' = o tanh(c')
    hard_sigmoid(x) = clip(0.2 x + 0.5, 0, 1)    gate order in the weights: i, f, g, o

Source: Keras 2.0, `recurrent.LSTM` and its Theano backend's `hard_sigmoid`. Keras 3 and
`torch.nn.functional.hardsigmoid` have the slope 1/6 instead of 0.2. `torchmoji.recurrence` computes the same
faster; the cell here defines it and is what tracing and exporting record.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from torchmoji.recurrence import OFFSET, SLOPE, PackedDirection, is_autocast, run_direction

State = tuple[Tensor, Tensor] | None
Weights = tuple[Tensor, Tensor, Tensor | None]


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


def is_traced() -> bool:
    """Whether `torch.jit.trace`, `torch.export` or `torch.compile` is recording."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()


class LSTMHardSigmoid(nn.LSTM):
    """A drop-in for `torch.nn.LSTM` whose gates have Keras 2's hard sigmoid.

    Parameters, their names and shapes, inputs, outputs and shape errors are those of `torch.nn.LSTM`.
    There are first derivatives only: `create_graph=True` raises `RuntimeError`. With bfloat16 or float16,
    also through autocast, products are computed in that type, states and activations in float32.

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
            RuntimeError: A shape does not fit, or the initial states have another dtype than the input.
            ValueError: The input has neither two nor three dimensions, or another dtype than the weights.
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
        time_dimension = 1 if self.batch_first and not one_sequence else 0
        if not torch.jit.is_tracing() and input.shape[time_dimension] == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        if one_sequence:
            input = input.unsqueeze(1)
            hx = None if hx is None else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
        elif self.batch_first:
            input = input.transpose(0, 1)
        time, batch = input.shape[:2]
        self._check(input, batch, hx)
        if is_traced():
            output, states = self.run_padded(input, None, hx)
        else:
            packed, states = self.run_packed(input.flatten(0, 1), [batch] * time, hx)
            output = packed.unflatten(0, (time, batch))
        if one_sequence:
            return output.squeeze(1), (states[0].squeeze(1), states[1].squeeze(1))
        return output.transpose(0, 1) if self.batch_first else output, states

    def _forward_packed(
        self, input: PackedSequence, hx: tuple[Tensor, Tensor] | None
    ) -> tuple[PackedSequence, tuple[Tensor, Tensor]]:
        data, batch_sizes, to_sorted, to_original = input
        sizes = batch_sizes.tolist()
        if data.dim() != 2:
            raise RuntimeError(f"input must have 2 dimensions, got {data.dim()}")
        self._check(data, max(sizes, default=0), hx)
        if to_sorted is not None and hx is not None:
            hx = hx[0].index_select(1, to_sorted), hx[1].index_select(1, to_sorted)
        output, (h_n, c_n) = self.run_packed(data, sizes, hx)
        if to_original is not None:
            h_n, c_n = h_n.index_select(1, to_original), c_n.index_select(1, to_original)
        return PackedSequence(output, batch_sizes, to_sorted, to_original), (h_n, c_n)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _check(self, input: Tensor, batch: int, hx: tuple[Tensor, Tensor] | None) -> None:
        """Check dtypes and shapes as `torch.nn.LSTM` does."""
        if torch.jit.is_tracing():  # there sizes are tensors, and comparing them warns
            return
        weight_type = self.weight_ih_l0.dtype
        use_autocast = is_autocast(input.device)
        if input.dtype != weight_type and not (use_autocast and input.is_floating_point()):
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight_type}). "
                f"Convert input: input.to({weight_type}), or convert model: model.to({input.dtype})"
            )
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {input.shape[-1]}"
            )
        shape = self.num_layers * self._directions, batch, self.hidden_size
        for number, state in enumerate(hx or ()):
            self.check_hidden_size(state, shape, f"Expected hidden[{number}] size {{}}, got {{}}")
            if state.dtype != input.dtype and not use_autocast:
                raise RuntimeError(
                    "Input and hidden tensors are not the same dtype, found input tensor with "
                    f"{input.dtype} and hidden[{number}] with {state.dtype}"
                )

    def run_packed(
        self, data: Tensor, batch_sizes: list[int], states: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run all layers over packed data.

        Args:
            data: (tokens, input_size): all sequences' first tokens, then their second ones and so on, longest
                sequence first.
            batch_sizes: For each time step, how many sequences have a token there.
            states: Initial h and c (layers * directions, batch, hidden_size), rows in the same order; zeros
                by default.

        Returns:
            (tokens, directions * hidden_size) and the final states.
        """
        use_autocast = is_autocast(data.device) and data.dtype != torch.float64  # torch leaves that alone too
        product_type = torch.get_autocast_dtype(data.device.type) if use_autocast else data.dtype
        state_type = torch.promote_types(product_type, torch.float32)
        direction: Any = PackedDirection.apply if torch.is_grad_enabled() else run_direction

        def run(x: Tensor, state: State, weights: Weights, reverse: bool) -> list[Tensor]:
            if len(x) == 0:  # no step; nothing, but with gradients
                nothing = x.new_zeros(0, self.hidden_size)
                return [LSTMCell(x, (nothing, nothing), *weights)[0], *(state or (nothing, nothing))]
            h, c = (None, None) if state is None else (part.to(state_type) for part in state)
            w_ih, w_hh = (weight.to(product_type) for weight in weights[:2])
            results = direction(x.to(product_type), h, c, w_ih, w_hh, weights[2], batch_sizes, reverse)
            return [result.to(data.dtype) for result in results]

        return self._run_layers(data, states, run)

    def run_padded(
        self, data: Tensor, mask: Tensor | None = None, states: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run all layers over (time, batch, input_size), in operations that can be traced and exported.

        Args:
            data: Padded anywhere.
            mask: (time, batch, 1), true where there is a token; elsewhere a state stays as it is. None: no
                padding.
            states: Initial h and c (layers * directions, batch, hidden_size); zeros by default.

        Returns:
            (time, batch, directions * hidden_size) and the final states.
        """

        def run(x: Tensor, state: State, weights: Weights, reverse: bool) -> list[Tensor]:
            h, c = state or [x.new_zeros(x.shape[1], self.hidden_size)] * 2
            times = range(x.shape[0])
            outputs = []
            for t in reversed(times) if reverse else times:
                new_h, new_c = LSTMCell(x[t], (h, c), *weights)
                h = new_h if mask is None else torch.where(mask[t], new_h, h)
                c = new_c if mask is None else torch.where(mask[t], new_c, c)
                outputs.append(h)
            return [torch.stack(outputs[::-1] if reverse else outputs), h, c]

        return self._run_layers(data, states, run)

    def _weights(self, layer: int, reverse: bool) -> Weights:
        """`weight_ih` (4H, input), `weight_hh` (4H, H) and the sum of the biases (4H,) or None."""
        name = f"l{layer}" + ("_reverse" if reverse else "")
        bias = getattr(self, f"bias_ih_{name}") + getattr(self, f"bias_hh_{name}") if self.bias else None
        return getattr(self, f"weight_ih_{name}"), getattr(self, f"weight_hh_{name}"), bias

    def _run_layers(
        self, data: Tensor, states: State, run: Callable[[Tensor, State, Weights, bool], list[Tensor]]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run a layer after the other; `run` gives a direction's output and final states."""
        finals: list[list[Tensor]] = []
        for layer in range(self.num_layers):
            outputs = []
            for reverse in (False, True)[: self._directions]:
                state = None if states is None else (states[0][len(finals)], states[1][len(finals)])
                output, *final = run(data, state, self._weights(layer, reverse), reverse)
                outputs.append(output)
                finals.append(final)
            data = torch.cat(outputs, dim=-1) if self.bidirectional else outputs[0]
            if layer < self.num_layers - 1:
                data = F.dropout(data, self.dropout, self.training)
        h_n, c_n = (torch.stack(state) for state in zip(*finals, strict=True))
        return data, (h_n, c_n)
