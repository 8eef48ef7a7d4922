"""The LSTM of Keras 2: `torch.nn.LSTM` with a hard sigmoid on its gates.

The equations, and what computes one direction of a layer, are in `torchmoji.recurrence`; here are the layers,
the kinds of input, and the checks, which are those of `torch.nn.LSTM`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from torchmoji.recurrence import (
    LSTMCell,
    PackedDirection,
    Weights,
    hard_sigmoid,
    is_autocast,
    is_traced,
    padded_direction,
    steps_of,
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
        if data.dim() != 2:
            raise RuntimeError(f"input must have 2 dimensions, got {data.dim()}")
        h_0, c_0 = self._initial(data, sizes[0] if sizes else 0, hx)
        if to_sorted is not None and hx is not None:
            h_0, c_0 = h_0.index_select(1, to_sorted), c_0.index_select(1, to_sorted)
        output, (h_n, c_n) = self.run_packed(data, sizes, (h_0, c_0))
        if to_original is not None:
            h_n, c_n = h_n.index_select(1, to_original), c_n.index_select(1, to_original)
        return PackedSequence(output, batch_sizes, to_sorted, to_original), (h_n, c_n)

    def _initial(self, input: Tensor, batch: int, hx: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """Check dtypes and shapes as `torch.nn.LSTM` does and give the initial states."""
        shape = (self.num_layers * (2 if self.bidirectional else 1), batch, self.hidden_size)
        if not torch.jit.is_tracing():  # there sizes are tensors, and comparing them warns
            self._check(input, shape, () if hx is None else hx)
        if hx is None:
            zeros = input.new_zeros(shape)
            return zeros, zeros
        return hx

    def _check(self, input: Tensor, state_shape: tuple[int, int, int], states: Sequence[Tensor]) -> None:
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
        for number, state in enumerate(states):
            self.check_hidden_size(state, state_shape, f"Expected hidden[{number}] size {{}}, got {{}}")
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
        use_autocast = is_autocast(data.device) and data.dtype != torch.float64  # torch leaves that alone too
        product_type = torch.get_autocast_dtype(data.device.type) if use_autocast else data.dtype

        def direction(data: Tensor, h: Tensor, c: Tensor, weights: Weights, reverse: bool) -> Any:
            steps = steps_of(batch_sizes, reverse)
            return PackedDirection.apply(data, h, c, *weights, steps, product_type, torch.is_grad_enabled())

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
            return padded_direction(data, h, c, weights, reverse, mask)

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
