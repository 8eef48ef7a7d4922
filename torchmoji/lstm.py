"""The LSTM of Keras 2: `torch.nn.LSTM` with a hard sigmoid on its gates.

The equations, and what computes one direction of a layer, are in `torchmoji.recurrence`; here are the layers,
the kinds of input, and the checks, which are those of `torch.nn.LSTM`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from torchmoji.recurrence import (
    Layout,
    LSTMCell,
    PackedDirection,
    Weights,
    hard_sigmoid,
    is_autocast,
    is_traced,
    padded_direction,
    run_direction,
)

__all__ = ["LSTMCell", "LSTMHardSigmoid", "hard_sigmoid"]


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
            output, states = self.run_padded(input, None, hx or self._zeros(input, batch))
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
        self._check(data, sizes[0] if sizes else 0, hx)
        if to_sorted is not None and hx is not None:
            hx = hx[0].index_select(1, to_sorted), hx[1].index_select(1, to_sorted)
        output, (h_n, c_n) = self.run_packed(data, sizes, hx)
        if to_original is not None:
            h_n, c_n = h_n.index_select(1, to_original), c_n.index_select(1, to_original)
        return PackedSequence(output, batch_sizes, to_sorted, to_original), (h_n, c_n)

    def _state_shape(self, batch: int) -> tuple[int, int, int]:
        return self.num_layers * self._directions, batch, self.hidden_size

    def _zeros(self, data: Tensor, batch: int) -> tuple[Tensor, Tensor]:
        zeros = data.new_zeros(self._state_shape(batch))
        return zeros, zeros

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
        for number, state in enumerate(hx or ()):
            self.check_hidden_size(
                state, self._state_shape(batch), f"Expected hidden[{number}] size {{}}, got {{}}"
            )
            if state.dtype != input.dtype and not use_autocast:
                raise RuntimeError(
                    "Input and hidden tensors are not the same dtype, found input tensor with "
                    f"{input.dtype} and hidden[{number}] with {state.dtype}"
                )

    def direction_weights(self, layer: int, direction: int) -> Weights:
        """The weights of one layer and direction (0 forward, 1 backward), biases summed."""
        name = f"l{layer}" + ("_reverse" if direction else "")
        bias = getattr(self, f"bias_ih_{name}") + getattr(self, f"bias_hh_{name}") if self.bias else None
        return getattr(self, f"weight_ih_{name}"), getattr(self, f"weight_hh_{name}"), bias

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
        starts_at_zero = states is None
        if states is None:
            states = self._zeros(data, max(batch_sizes, default=0))
        layouts = [Layout(batch_sizes, reverse, starts_at_zero) for reverse in (False, True)]

        def run_with_gradients(x: Tensor, h: Tensor, c: Tensor, weights: Weights, reverse: bool) -> Any:
            return PackedDirection.apply(x, h, c, *weights, layouts[reverse], product_type)

        tensors = (data, *states, *self.parameters())
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            return self._run_layers(data, states, run_with_gradients)
        out = data.new_empty(len(data), self.hidden_size * self._directions)

        def run(x: Tensor, h: Tensor, c: Tensor, weights: Weights, reverse: bool, output: Tensor) -> Any:
            h, c, _ = run_direction(x, output, h, c, weights, layouts[reverse], product_type)
            return output, h, c

        return self._run_layers(data, states, run, out)

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
            return padded_direction(data, h, c, weights, reverse, mask)

        return self._run_layers(data, states, direction)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _run_layers(
        self, data: Tensor, states: tuple[Tensor, Tensor], run: Callable[..., Any], out: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run a layer after the other; with `out`, `run` gets the place for its output as last argument."""
        h_n, c_n = [], []
        for layer in range(self.num_layers):
            is_last = layer == self.num_layers - 1
            joined = out if out is None or is_last else torch.empty_like(out)
            places = (
                [()] * self._directions
                if joined is None
                else [(part,) for part in joined.chunk(self._directions, -1)]
            )
            outputs = []
            for reverse, place in enumerate(places):
                h_0, c_0 = (state[layer * self._directions + reverse] for state in states)
                weights = self.direction_weights(layer, reverse)
                output, h, c = run(data, h_0, c_0, weights, bool(reverse), *place)
                outputs.append(output)
                h_n.append(h)
                c_n.append(c)
            if joined is None:
                joined = torch.cat(outputs, dim=-1) if self.bidirectional else outputs[0]
            data = joined if is_last else F.dropout(joined, self.dropout, self.training)
        return data, (torch.stack(h_n), torch.stack(c_n))
