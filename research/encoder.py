"""A sentence encoder of `transformers` as a teacher: fine-tuned to guess emojis, and its own embeddings.

Source: knowledge distillation, Hinton et al. 2015, "Distilling the Knowledge in a Neural Network".
"""

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchmoji.corpus.shards import RowBatch, TokenRows
from torchmoji.files.resumable import fingerprint
from torchmoji.pretraining.loss import normalized_embeddings

PAD = 0  # of BERT's vocabularies, and of `TokenRows`
MAX_LENGTH = 64
"""Tokens after which a text is cut."""
_TOKENIZED_TOGETHER = 10_000
_ASKED_TOGETHER = {"cpu": 64, "cuda": 1024}
"""Texts of nearly the same length: more is slower on a CPU, whose caches they leave."""

Rows = npt.NDArray[np.int64]
Answer = Callable[[Rows], npt.NDArray[np.floating]]


class Teacher(nn.Module):
    """An encoder with an output layer over the mean of its tokens.

    Args:
        encoder: Of `transformers`.
        nb_classes: Number of emojis C.
    """

    def __init__(self, encoder: nn.Module, nb_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        config: Any = encoder.config
        self.output_layer = nn.Linear(config.hidden_size, nb_classes)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (batch, time), `PAD` where a text has ended, to logits (batch, C)."""
        logits: Tensor = self.output_layer(mean_of_tokens(self.encoder, ids))
        return logits


def load_encoder(folder: Path) -> Any:
    """An encoder of `transformers` in float32: as stored it may be of half precision."""
    from transformers import AutoModel

    encoder: Any = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    return encoder.float()


def mean_of_tokens(encoder: nn.Module, ids: Tensor) -> Tensor:
    """The mean of the encoder's last states over a text's tokens: ids (batch, time) to (batch, D)."""
    kept = (ids != PAD).long()
    states = encoder(input_ids=ids, attention_mask=kept).last_hidden_state
    mask = kept.unsqueeze(2)
    mean: Tensor = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
    return mean


def encoder_files(folder: Path) -> list[list[Any]]:
    """What tells the files of an encoder from others."""
    return [[path.name, *fingerprint(path)] for path in sorted(folder.glob("*.*"))]


def as_wordpieces(folder: Path, texts: Iterable[str], rows: TokenRows) -> TokenRows:
    """The texts of a corpus as the encoder's tokens, with the same labels.

    Args:
        folder: Of the encoder.
        texts: In the order of the rows.
        rows: Their tokens and labels in the corpus.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if getattr(tokenizer, "pad_token_id", PAD) != PAD:
        raise ValueError(f"{folder} pads with {tokenizer.pad_token_id}, not {PAD}: give an encoder like BERT")
    read = _reader(tokenizer)
    pieces: list[npt.NDArray[np.uint32]] = []
    counts: list[int] = []
    iterator = iter(texts)
    while some := list(islice(iterator, _TOKENIZED_TOGETHER)):
        for ids in read(some):
            pieces.append(np.asarray(ids, dtype=np.uint32))
            counts.append(len(ids))
    numbers = np.arange(len(rows))
    return TokenRows(
        [
            RowBatch(
                np.concatenate(pieces),
                np.concatenate([[0], np.cumsum(counts)]),
                rows.labels(numbers)[1],
                np.concatenate([[0], np.cumsum(rows.label_counts(numbers))]),
            )
        ]
    )


def _reader(tokenizer: Any) -> Callable[[list[str]], list[list[int]]]:
    """What gives the ids of texts, without the masks that cost as much where a tokenizer is fast."""
    if not getattr(tokenizer, "is_fast", False):
        return lambda some: tokenizer(some, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(MAX_LENGTH)
    backend.no_padding()
    return lambda some: [encoding.ids for encoding in backend.encode_batch_fast(some)]


def guesses_of(teacher: Teacher, rows: TokenRows, device: torch.device, bfloat16: bool) -> Answer:
    """What gives a teacher's probabilities (n, C) for texts by their row numbers (n,)."""

    def answer(ids: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            logits = teacher(ids)
        return torch.softmax(logits.float(), dim=1)

    return _by_length(rows, teacher.output_layer.out_features, answer, device)


def embeddings_of(encoder: Any, rows: TokenRows, device: torch.device) -> Answer:
    """What gives the encoder's own embeddings (n, D) of length 1 for texts by their row numbers (n,)."""
    size = encoder.config.hidden_size
    ask = _by_length(rows, size, lambda ids: mean_of_tokens(encoder, ids).float(), device)
    return lambda numbers: normalized_embeddings(ask(numbers), (len(numbers), size))


def _by_length(
    rows: TokenRows, columns: int, answer: Callable[[Tensor], Tensor], device: torch.device
) -> Answer:
    together = _ASKED_TOGETHER[device.type]

    @torch.no_grad()
    def ask(numbers: Rows) -> npt.NDArray[np.floating]:
        order = np.argsort(rows.lengths(numbers), kind="stable")
        answers = np.zeros((len(numbers), columns), dtype=np.float32)
        for start in range(0, len(order), together):
            some = order[start : start + together]
            ids = torch.from_numpy(rows.token_ids(numbers[some])).to(device)
            answers[some] = answer(ids).cpu().numpy()
        return answers

    return ask
