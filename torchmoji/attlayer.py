"""Attention over the tokens of a sequence, as one learned vector.

    w = softmax over the sequence's own tokens of z . v        output = sum of w z

Source: DeepMoji, `attlayer.py`. There the softmax is taken with Keras's numerics (its sum plus 1e-7, its
maximum over padding too), in the 2017 port with one maximum for the whole batch; here it is exact.
"""

from collections.abc import Sequence
from typing import Any, TypeGuard, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

Layer = TypeVar("Layer", bound=nn.Module)


class _WeightedSum(torch.autograd.Function):
    """Sum of each packed sequence's tokens times their weights, without laying the tokens out anew."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, weights: Tensor, sizes: list[int]) -> Tensor:
        """Tokens (tokens, F) and weights (sequences, time) to sums (sequences, F) in the weights' type."""
        ctx.save_for_backward(tokens, weights)
        ctx.sizes = sizes
        sums = weights.new_zeros(len(weights), tokens.shape[1])
        for time, step in enumerate(tokens.split(sizes)):
            of_step = weights[: len(step), time : time + 1]
            sums[: len(step)].addcmul_(step.to(sums.dtype), of_step)
        return sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """Gradients of tokens and weights."""
        tokens, weights = ctx.saved_tensors
        d_tokens, d_weights = [], []
        for time, step in enumerate(tokens.split(ctx.sizes)):
            of_sequences = grad[: len(step)]
            d_tokens.append((of_sequences * weights[: len(step), time : time + 1]).to(tokens.dtype))
            d_weight = (of_sequences * step).sum(1)
            d_weights.append(F.pad(d_weight, (0, len(weights) - len(step))))
        return torch.cat(d_tokens), torch.stack(d_weights, dim=1).to(weights.dtype), None


class Attention(nn.Module):
    """Weights the tokens of each sequence and sums them up.

    Args:
        attention_size: Number of features of a token.
        return_attention: Give the weights back.
    """

    def __init__(self, attention_size: int, return_attention: bool = False) -> None:
        super().__init__()
        self.attention_size = attention_size
        self.return_attention = return_attention
        self.attention_vector = nn.Parameter(torch.empty(attention_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vector anew, uniform(-0.05, 0.05) as in DeepMoji."""
        nn.init.uniform_(self.attention_vector, -0.05, 0.05)

    def extra_repr(self) -> str:
        """What `repr` says of this layer."""
        return f"{self.attention_size}, return_attention={self.return_attention}"

    def forward(self, inputs: Tensor, input_lengths: Tensor | Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Pool sequences that are padded on the right.

        Args:
            inputs: (batch, time, attention_size).
            input_lengths: Number of tokens of each sequence, (batch,).

        Returns:
            Representations (batch, attention_size), and the weights (batch, time), zero on padding, or None.

        Raises:
            ValueError: There is not one length for each sequence, or one is not from 0 to the number of time
                steps.
        """
        batch, time = inputs.shape[:2]
        lengths = torch.as_tensor(input_lengths)
        if lengths.shape != (batch,):
            raise ValueError(
                f"input_lengths must have one entry for each of {batch} sequences, "
                f"got the shape {tuple(lengths.shape)}"
            )
        wrong = lengths[(lengths < 0) | (lengths > time)].tolist()
        if wrong:
            raise ValueError(
                f"input_lengths must be from 0 to {time}, the time steps of the inputs, got {wrong}"
            )
        mask = torch.arange(time, device=inputs.device) < lengths.to(inputs.device).unsqueeze(1)
        representations, weights = self.pool(inputs, mask)
        return representations, weights if self.return_attention else None

    def pool(self, inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Pool sequences that are padded anywhere.

        Args:
            inputs: (batch, time, attention_size), finite also on padding.
            mask: (batch, time), true where there is a token.

        Returns:
            Representations (batch, attention_size), zero where a sequence has no token, and the weights
            (batch, time).
        """
        weights = self._weights(torch.matmul(inputs, self.attention_vector), mask).to(inputs.dtype)
        return torch.bmm(weights.unsqueeze(1), inputs).squeeze(1), weights

    def pool_packed(self, inputs: Tensor, batch_sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Pool packed sequences without laying them out anew.

        Args:
            inputs: (tokens, attention_size): all sequences' first tokens, then their second ones and so on,
                longest sequence first.
            batch_sizes: For each time step, how many sequences have a token there, (time,), on the CPU.

        Returns:
            Representations (sequences, attention_size), and the weights (sequences, time).
        """
        logits = PackedSequence(torch.mv(inputs, self.attention_vector), batch_sizes)
        padded, lengths = pad_packed_sequence(logits, batch_first=True)
        mask = torch.arange(padded.shape[1], device="cpu") < lengths.unsqueeze(1)
        weights = self._weights(padded, mask.to(inputs.device))
        pooled = _WeightedSum.apply(inputs, weights, batch_sizes.tolist())
        return pooled.to(inputs.dtype), weights.to(inputs.dtype)

    def _weights(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Softmax over the tokens of each row (batch, time), in float32 at least."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        # a finite number: a row of nothing but padding must not turn into NaN, nor its gradient
        logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
        return torch.softmax(logits, dim=1) * mask


def is_plain(layer: nn.Module, kind: type[Layer]) -> TypeGuard[Layer]:
    """Whether a layer computes what those of a kind do, without hooks that want to be called."""
    hooks = layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks
    is_replaced = getattr(type(layer), "forward", None) is not kind.forward or "forward" in vars(layer)
    return not is_replaced and not any(hooks)
