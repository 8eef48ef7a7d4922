"""Texts as a model and a sentence encoder read them, for `distill.py`: read by processes, asked on a GPU."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from train_teacher import word_piece_reader
from varied_texts import varied

from torchmoji.sentence_tokenizer import SentenceTokenizer

PIECES = 64
"""Tokens after which the encoder's texts are cut."""
_CHUNK_TEXTS = 10_000
_ASKED_TOGETHER = 4096
_ASKED_TOGETHER_CPU = 64


Guess = Callable[[Tensor], Tensor]
"""Ids (n, time) of texts of one length to numbers (n, columns)."""


class Ids(NamedTuple):
    """Texts as ids (n, longest), and how many each has (n,)."""

    ids: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Texts:
    """Texts as the model and as the encoder read them."""

    tokens: Ids
    pieces: Ids


class Reader:
    """Reads texts in both ways.

    Args:
        vocabulary: Of the model.
        encoder: Folder with a tokenizer.
        max_length: Tokens after which the model's texts are cut.
    """

    def __init__(self, vocabulary: dict[str, int], encoder: Path, max_length: int) -> None:
        try:
            from transformers import AutoTokenizer
        except ModuleNotFoundError as error:
            raise ValueError("the encoder needs transformers: pip install transformers") from error

        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        tokenizer = AutoTokenizer.from_pretrained(encoder, local_files_only=True)
        self._pieces = word_piece_reader(tokenizer, PIECES)
        self._tokens = SentenceTokenizer(vocabulary, max_length)

    def read(self, texts: list[str]) -> Texts:
        """Both readings of some texts."""
        ids, _, _ = self._tokens.tokenize_sentences(texts)
        found = self._pieces(texts)
        lengths = np.fromiter(map(len, found), dtype=np.int64, count=len(found))
        pieces = np.zeros((len(texts), PIECES), dtype=np.int32)
        pieces[np.arange(PIECES) < lengths[:, np.newaxis]] = [number for row in found for number in row]
        return Texts(Ids(ids.astype(np.int32), (ids != 0).sum(1)), Ids(pieces, lengths))


_reader: list[Reader] = []
"""Of a worker process."""


def _prepare(*arguments: Any) -> None:
    _reader[:] = [Reader(*arguments)]


def _read_some(job: tuple[list[str], int, int]) -> tuple[Texts, Texts]:
    """Read some texts, and those that are made of them."""
    texts, each, seed = job
    return _reader[0].read(texts), _reader[0].read(varied(texts, each, np.random.default_rng(seed)))


def read_texts(texts: list[str], each: int, seed: int, workers: int, reader: tuple[Any, ...]) -> Texts:
    """Read texts, in their order, and behind them the new ones.

    Args:
        texts: Of the corpus.
        each: New texts for each.
        seed: Decides what they are.
        workers: Processes.
        reader: Arguments of `Reader`.
    """
    count = max(1, -(-len(texts) // _CHUNK_TEXTS))
    jobs = [(texts[number::count], each, seed + number) for number in range(count)]
    if workers == 1:
        _prepare(*reader)
        found = [*map(_read_some, jobs)]
    else:
        context = get_context("spawn")  # a fork of a process with threads, as torch's and CUDA's, may hang
        with ProcessPoolExecutor(workers, context, _prepare, reader) as pool:
            found = [*pool.map(_read_some, jobs)]
    new = len(texts) * each

    def together(name: str) -> Ids:
        first = getattr(found[0][0], name).ids
        ids = np.zeros((len(texts) + new, first.shape[1]), dtype=np.int32)
        lengths = np.zeros(len(ids), dtype=np.int64)
        start = len(texts)
        for number, (own, made) in enumerate(found):
            places: list[slice] = [
                slice(number, len(texts), count),
                slice(start, start + len(made.tokens.ids)),
            ]
            for place, part in zip(places, (own, made), strict=True):
                ids[place], lengths[place] = getattr(part, name)
            start += len(made.tokens.ids)
        return Ids(ids, lengths)

    return Texts(together("tokens"), together("pieces"))


class Table:
    """Texts on a device.

    Args:
        given: The texts.
        device: Where.
    """

    def __init__(self, given: Ids, device: torch.device) -> None:
        self.ids = torch.from_numpy(given.ids).to(device)
        self.lengths = given.lengths
        self.device = device

    def batch(self, length: int, rows: Tensor) -> Tensor:
        """Ids (n, length) of texts (n,) of this length."""
        return self.ids[rows, :length].long()

    @torch.no_grad()
    def ask(self, guess: Guess, columns: int) -> Tensor:
        """Ask about all texts, those of length 0 left out: numbers (n, columns) in float16."""
        found = torch.zeros(len(self.ids), columns, dtype=torch.float16, device=self.device)
        together = _ASKED_TOGETHER_CPU if self.device.type == "cpu" else _ASKED_TOGETHER
        for length in np.unique(self.lengths[self.lengths > 0]).tolist():
            rows = torch.from_numpy(np.flatnonzero(self.lengths == length)).to(self.device)
            for some in rows.split(together):
                found[some] = guess(self.batch(length, some)).to(found.dtype)
        return found
