"""A start for pretraining: the model without its LSTMs, which learns what words say of emojis in minutes.

The features of a text are then the sum of its embeddings, weighted by attention, so that embeddings, their
part of the attention vector and of the output layer are trained alone, as in a bag of words with fastText
(Joulin et al. 2017). The LSTMs' parts begin at zero, and what is trained after that adds what order says.
With fresh embeddings most of a first pass goes by before words mean anything.
"""

import logging
import math
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torchmoji.data_order import DataOrder
from torchmoji.model_def import TorchMoji
from torchmoji.pretraining_loss import PretrainingLoss
from torchmoji.pretraining_settings import Settings
from torchmoji.shards import TokenRows

logger = logging.getLogger(__name__)

LEARNING_RATE = 5e-3
"""The highest of Adam: it rises for `_WARMUP` steps, and falls to zero in a line."""
WORD_DROPOUT = 0.1
"""Share of the words that are left out of a text."""
STEPS_TOGETHER = 4
"""A batch has so many times the texts of a later step."""

_WARMUP = 100
_INITIAL = 0.05  # embeddings are drawn from minus to plus that
_TELL_EVERY = 200


class _WordModel(nn.Module):
    """The parts of a model that need no LSTM, its own embedding among them."""

    def __init__(self, model: TorchMoji) -> None:
        super().__init__()
        weight, bias = model.output_layer.parameters()
        size = model.embedding_dim
        self.embed = model.embed
        self.vector = nn.Parameter(weight.new_zeros(size))
        self.weight = nn.Parameter(weight.detach()[:, -size:].clone())
        self.bias = nn.Parameter(torch.zeros_like(bias))

    def forward(self, ids: Tensor, kept: Tensor) -> Tensor:
        """Token ids and which of them count, both (batch, time), to logits (batch, C)."""
        x = torch.tanh(self.embed(ids))
        scores = (x @ self.vector).masked_fill(~kept, -1e9)
        weights = torch.softmax(scores, dim=1) * kept
        return F.linear((weights.unsqueeze(1) @ x).squeeze(1), self.weight, self.bias)


def start_with_words(model: TorchMoji, rows: TokenRows, loss: PretrainingLoss, settings: Settings) -> None:
    """Train the model's embeddings without its LSTMs, in place.

    Every process does all of it, so that none waits; torch's global generators are not used.

    Args:
        model: With fresh weights and logits as output. Its embeddings are drawn anew, nearer to zero, but
            for `settings.word_vectors`.
        rows: The training texts.
        loss: What is minimized.
        settings: `word_passes` and the seed; the same ones give the same weights.

    Raises:
        FloatingPointError: The loss is not finite.
    """
    device = model.embed.weight.device
    generator = torch.Generator().manual_seed(settings.seed)
    if settings.word_vectors is None:
        with torch.no_grad():
            fresh = torch.empty(model.embed.weight.shape).uniform_(-_INITIAL, _INITIAL, generator=generator)
            model.embed.weight.copy_(fresh)
    words = _WordModel(model)
    order = DataOrder(rows, settings.batch_size * STEPS_TOGETHER, settings.seed)
    total = order.steps(settings.word_passes)
    warmup = min(_WARMUP, total // 2)
    fused = device.type in ("cpu", "cuda") or None
    optimizer = torch.optim.Adam(words.parameters(), lr=LEARNING_RATE, fused=fused)
    losses: list[float] = []
    for step, batch in enumerate(islice(order.batches(), total)):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / max(1, warmup)) * (1 - step / total)
        ids = torch.from_numpy(rows.token_ids(batch, settings.max_length))
        kept = (ids != 0) & (torch.rand(ids.shape, generator=generator) >= WORD_DROPOUT)
        owners, classes = (torch.from_numpy(part).to(device) for part in rows.labels(batch))
        logits = words(ids.to(device), kept.to(device))
        mean = loss(logits, owners, classes, batch) / loss.total_weight(rows.labels(batch)[1])
        optimizer.zero_grad()
        mean.backward()
        optimizer.step()
        losses.append(mean.item())
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss of words alone is {losses[-1]:g}: set word_passes to 0")
        if (step + 1) % _TELL_EVERY == 0 or step + 1 == total:
            logger.info("words alone, step %d of %d: loss %.4f", step + 1, total, sum(losses) / len(losses))
            losses.clear()
    _put_into(model, words)


@torch.no_grad()
def _put_into(model: TorchMoji, words: _WordModel) -> None:
    """Give the model what its words have learned; the LSTMs have no part in the output yet."""
    size = model.embedding_dim
    weight, bias = model.output_layer.parameters()
    model.attention_layer.attention_vector.zero_()
    model.attention_layer.attention_vector[-size:] = words.vector
    weight.zero_()
    weight[:, -size:] = words.weight
    bias.copy_(words.bias)
