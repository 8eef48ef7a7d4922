"""Starts for pretraining that are better than fresh weights; each changes a model in place.

- A warm start takes the weights of another model, whatever its words and its emojis are.
- A start with words trains the embeddings alone, without the LSTMs: in minutes they learn what words say of
  emojis.
- A start with vectors takes embeddings that already say which words are alike.

What each is worth was measured while the default model was made: `research/log.md`.
"""

import logging
import math
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torchmoji.corpus.emoji_finder import fold
from torchmoji.corpus.shards import TokenRows
from torchmoji.create_vocab import check_fits, words_by_id
from torchmoji.emojis import unnamed_classes
from torchmoji.global_variables import UNKNOWN_ID
from torchmoji.model_def import TorchMoji
from torchmoji.pretraining.data_order import DataOrder
from torchmoji.pretraining.loss import PretrainingLoss, open_float16
from torchmoji.pretraining.settings import Settings
from torchmoji.weights.folder import find
from torchmoji.weights.formats import load_state_dict
from torchmoji.weights.layers import model_sizes

logger = logging.getLogger(__name__)

WORD_LEARNING_RATE = 5e-3
"""Peak rate of Adam for words alone: it rises for `_WARMUP` steps, and falls to zero in a line."""
WORD_DROPOUT = 0.1
"""Share of the words that are left out of a text."""
WORD_BATCH_FACTOR = 4
"""A batch for words alone has so many times the texts of a later step."""
MOST_DIMENSIONS = 4096
"""Numbers in a word vector, at most: what is compared is the square of that."""
VECTOR_SCALE = 0.15
"""Root mean square of embeddings that begin with word vectors: half of that of fresh ones."""
_WARMUP = 100
_INITIAL = 0.05  # embeddings are drawn from minus to plus that
_REPORT_EVERY = 200


@torch.no_grad()
def start_with_model(
    model: TorchMoji, name: str | os.PathLike[str], vocabulary: Mapping[str, int], classes: Sequence[str]
) -> None:
    """Give a model the weights of another one, as far as they fit.

    The LSTMs and the attention are taken over, the embeddings of the words that both know and the output rows
    of the emojis that both know. A new word begins as the other model's unknown word, which is what it was to
    it; a new emoji's output row stays fresh.

    The model has fresh weights; `vocabulary` (word -> id) and `classes`, emojis, are its own. `name` is the
    other one: "default", "deepmoji", a folder or a repository of the Hugging Face hub. Raises
    FileNotFoundError where there is no such model, OSError where its files could not be fetched, ValueError
    where it is no folder, a file is damaged, or the sizes differ.
    """
    if Path(name).expanduser().is_file():
        raise ValueError(
            f"{os.fspath(name)} is a file: start from a folder with config.json, vocabulary.json "
            "and model.safetensors, which MojiPipeline.save_pretrained writes"
        )
    files = find(name)
    other_vocabulary = files.vocabulary or {}
    state = load_state_dict(files.weights)
    sizes = model_sizes(state)
    if (sizes.embedding_dim, sizes.hidden_size) != (model.embedding_dim, model.hidden_size):
        raise ValueError(
            f"the model {os.fspath(name)!r} has the embedding_dim {sizes.embedding_dim} and the hidden_size "
            f"{sizes.hidden_size}, the run {model.embedding_dim} and {model.hidden_size}: set those of the "
            "model that it starts from"
        )
    check_fits(other_vocabulary, sizes.nb_tokens)
    if sizes.nb_tokens <= UNKNOWN_ID:
        raise ValueError(f"the model {os.fspath(name)!r} has {sizes.nb_tokens} words, too few to start from")
    words = [other_vocabulary.get(word, UNKNOWN_ID) for word in words_by_id(vocabulary)]
    weights = model.state_dict()
    for key, value in state.items():
        if not key.startswith(("embed.", "output_layer.")):
            weights[key].copy_(value)
    weights["embed.weight"].copy_(state["embed.weight"][words])
    other_classes = files.config.get("classes") or unnamed_classes(sizes.nb_outputs) or []
    layer = [(weights[key], state[key]) for key in state if key.startswith("output_layer.")]
    common: list[tuple[int, int]] = []
    # not so in a model of features, in one of two classes with a single output, or without names of classes
    if layer and all(len(source) == len(other_classes) for _, source in layer):
        places = {fold(name): place for place, name in enumerate(other_classes)}
        common = [(row, places[fold(name)]) for row, name in enumerate(classes) if fold(name) in places]
    for target, source in layer:
        for row, place in common:
            target[row] = source[place]
    logger.info(
        "starting from %s: %d of %d words and %d of %d emojis are its own",
        *(os.fspath(name), sum(word in other_vocabulary for word in vocabulary), len(vocabulary)),
        *(len(common), len(classes)),
    )


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
    """Train the model's embeddings without its LSTMs.

    Every process does all of it, so that none waits; torch's global generators are not used. The model has
    fresh weights and logits as output; its embeddings are drawn anew, nearer to zero, but for
    `settings.word_vectors`. The same settings give the same weights. FloatingPointError where the loss is not
    finite.
    """
    device = model.embed.weight.device
    generator = torch.Generator().manual_seed(settings.seed)
    if settings.word_vectors is None:
        with torch.no_grad():
            fresh = torch.empty(model.embed.weight.shape).uniform_(-_INITIAL, _INITIAL, generator=generator)
            model.embed.weight.copy_(fresh)
    words = _WordModel(model)
    order = DataOrder(rows, settings.batch_size * WORD_BATCH_FACTOR, settings.seed)
    total = order.steps(settings.word_passes)
    warmup = min(_WARMUP, total // 2)
    fused = device.type in ("cpu", "cuda") or None
    optimizer = torch.optim.Adam(words.parameters(), lr=WORD_LEARNING_RATE, fused=fused)
    losses: list[float] = []
    for step, batch in enumerate(islice(order.batches(), total)):
        for group in optimizer.param_groups:
            group["lr"] = WORD_LEARNING_RATE * min(1.0, (step + 1) / max(1, warmup)) * (1 - step / total)
        ids = torch.from_numpy(rows.token_ids(batch, settings.max_length))
        kept = (ids != 0) & (torch.rand(ids.shape, generator=generator) >= WORD_DROPOUT)
        owners, classes = (torch.from_numpy(part).to(device) for part in rows.labels(batch))
        logits = words(ids.to(device), kept.to(device))
        mean = loss(logits, owners, classes, batch) / len(classes)
        optimizer.zero_grad()
        mean.backward()
        optimizer.step()
        losses.append(mean.item())
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss of words alone is {losses[-1]:g}: set word_passes to 0")
        if (step + 1) % _REPORT_EVERY == 0 or step + 1 == total:
            logger.info("words alone, step %d of %d: loss %.4f", step + 1, total, sum(losses) / len(losses))
            losses.clear()
    weight, bias = model.output_layer.parameters()
    with torch.no_grad():  # the LSTMs have no part in the output yet
        model.attention_layer.attention_vector.zero_()
        model.attention_layer.attention_vector[-model.embedding_dim :] = words.vector
        weight.zero_()
        weight[:, -model.embedding_dim :] = words.weight
        bias.copy_(words.bias)


@torch.no_grad()
def start_with_vectors(model: TorchMoji, path: str | os.PathLike[str]) -> None:
    """Give a fresh model the principal components of word vectors as embeddings, zeros where there are none.

    The file is NumPy's, of float16 (words, D): a row for each word of the vocabulary, zeros for none.
    FileNotFoundError where there is no such file, ValueError where it holds something else.
    """
    weight: Tensor = model.embed.weight
    meaning = "a row for each word, in its order"
    stored = open_float16(path, "word vectors", "vocabulary", (len(weight), None), meaning)
    if stored.shape[1] > MOST_DIMENSIONS:
        raise ValueError(
            f"{os.fspath(path)} has vectors of {stored.shape[1]} numbers, {MOST_DIMENSIONS} at most"
        )
    vectors = torch.from_numpy(stored.astype(np.float64))
    is_known = vectors.any(1)
    if not is_known.any():
        raise ValueError(f"{os.fspath(path)} has no vectors but zeros: write the file again")
    size, known = weight.shape[1], vectors[is_known]
    centred = known - known.mean(0)
    values, axes = torch.linalg.eigh(centred.t() @ centred)
    axes = axes[:, values.argsort(descending=True)[:size]]
    # which way an axis points is the eigensolver's choice: let the largest entry be positive
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    components = F.pad(centred @ (axes * largest.sign()), (0, max(0, size - known.shape[1])))
    components *= VECTOR_SCALE / components.square().mean().sqrt().clamp(min=1e-12)
    weight.zero_()
    weight[is_known.to(weight.device)] = components.to(weight)
