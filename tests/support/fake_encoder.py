"""A tiny encoder in place of one of `transformers`."""

import sys
import zlib
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import pytest
import torch
from support.programs import loaded
from torch import nn

WIDTH = 16


class Encoder(nn.Module):
    """Embeddings and dropout, always with the same weights."""

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(hidden_size=WIDTH)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)  # the same weights each time, as those of a file
            self.embed = nn.Embedding(512, WIDTH)
        self.dropout = nn.Dropout(0.1)

    def forward(self, input_ids, attention_mask):
        return SimpleNamespace(last_hidden_state=self.dropout(self.embed(input_ids)))


def tokenize(texts, truncation, max_length):
    """Ids of words, as a tokenizer of `transformers` gives them."""
    return {"input_ids": [[1 + zlib.crc32(w.encode()) % 511 for w in t.split()][:max_length] for t in texts]}


@contextmanager
def with_fake_encoder(path):
    """Import a program that finds an `Encoder` where it asks `transformers` for one."""
    fake = ModuleType("transformers")
    fake.AutoModel = SimpleNamespace(from_pretrained=lambda folder, **options: Encoder())
    fake.AutoTokenizer = SimpleNamespace(from_pretrained=lambda folder, **options: tokenize)
    with pytest.MonkeyPatch.context() as patch, loaded(path) as module, torch.random.fork_rng(devices=[]):
        patch.setitem(sys.modules, "transformers", fake)
        yield module
