"""research/encode_corpus.py with a tiny encoder in place of one of `transformers`."""

from itertools import islice

import numpy as np
import pytest
import torch
from support.fake_encoder import WIDTH, Encoder, tokenize, with_fake_encoder
from support.small_corpus import small_corpus

from torchmoji.corpus.shards import shard_texts
from torchmoji.files import resumable as resuming
from torchmoji.global_variables import SPECIAL_TOKENS
from torchmoji.pretraining.data_order import DataOrder
from torchmoji.pretraining.loss import open_embedding_targets


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("encoded"), count=200, keep_text=True)


def call(repository, corpus, out, *options, texts=None):
    with with_fake_encoder(repository / "research" / "encode_corpus.py") as program:
        torch.manual_seed(3)
        program.main([str(corpus.folder), "encoder", str(out), "--device", "cpu", *options])
    return open_embedding_targets(out, texts or len(corpus.rows("train")))


def test_each_text_has_the_mean_of_its_tokens(repository, corpus, tmp_path):
    found = call(repository, corpus, tmp_path / "all.npy")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        encoder = Encoder()
    texts = list(shard_texts(corpus.shard_paths("train")))
    ids = tokenize(texts, truncation=True, max_length=64)["input_ids"]
    expected = torch.stack([encoder.embed.weight[row].mean(0) for row in ids]).detach().numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert found.shape == (len(texts), WIDTH)
    assert np.allclose(found, expected, atol=1e-3)


def test_a_part_is_what_a_run_of_pretraining_sees(repository, corpus, tmp_path):
    options = ("--passes", "0.3", "--batch-size", "16", "--seed", "5")
    found = call(repository, corpus, tmp_path / "part.npy", *options)
    order = DataOrder(corpus.rows("train"), 16, 5)
    seen = np.concatenate(list(islice(order.batches(), round(0.3 * order.steps_a_pass))))
    assert 0 < len(seen) < len(found)
    assert np.array_equal(np.flatnonzero(found.any(1)), np.sort(seen))


def test_the_words_of_the_vocabulary_have_vectors(repository, corpus, tmp_path):
    call(repository, corpus, tmp_path / "words.npy", "--words", texts=len(corpus.vocabulary))
    found = np.load(tmp_path / "words.npy").astype(np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        weight = Encoder().embed.weight.detach().numpy()
    assert found.shape == (len(corpus.vocabulary), WIDTH)
    assert not found[: len(SPECIAL_TOKENS)].any()
    word, index = next((w, i) for w, i in corpus.vocabulary.items() if i == len(SPECIAL_TOKENS))
    expected = weight[tokenize([word], truncation=True, max_length=64)["input_ids"][0][0]]
    assert np.allclose(found[index], expected / np.linalg.norm(expected), atol=1e-3)


def test_an_interrupted_run_goes_on_to_the_same_bytes(repository, corpus, tmp_path, monkeypatch):
    compute, encoded, out = Encoder.forward, [], tmp_path / "out.npy"

    def forward(self, input_ids, attention_mask):
        encoded.append(len(input_ids))
        if len(encoded) == 3:
            raise KeyboardInterrupt
        return compute(self, input_ids, attention_mask)

    monkeypatch.setattr(resuming, "ROWS_AT_ONCE", 32)
    monkeypatch.setattr(Encoder, "forward", forward)
    with pytest.raises(KeyboardInterrupt):
        call(repository, corpus, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.npy.partial", "out.npy.partial.json"]
    with pytest.raises(SystemExit):
        call(repository, corpus, out, "--resume", "--max-length", "3")
    call(repository, corpus, out, "--resume")
    assert sum(encoded[3:]) == len(corpus.rows("train")) - 64
    call(repository, corpus, tmp_path / "whole.npy")
    assert out.read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.npy", "whole.npy"]


def test_the_file_ends_with_npy(repository, corpus, tmp_path, capsys):
    with pytest.raises(SystemExit):
        call(repository, corpus, tmp_path / "out.csv")
    assert "out.csv must end with .npy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--passes", "0"), "passes must be above 0, got 0"),
        (("--device", "cuda:99"), "there is no device cuda:99"),
    ],
)
def test_wrong_options_are_refused(repository, corpus, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        call(repository, corpus, tmp_path / "none.npy", *options)
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
