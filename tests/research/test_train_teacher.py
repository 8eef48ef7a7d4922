"""research/train_teacher.py with a tiny encoder in place of one of `transformers`."""

import json
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.fake_encoder import tokenize, with_fake_encoder
from support.small_corpus import small_corpus
from support.stopping import interrupted_answers

from torchmoji.corpus.shards import TokenRows, in_memory
from torchmoji.files import resumable as resuming
from torchmoji.pretraining import distributed as processes
from torchmoji.pretraining import loop as pretraining_run
from torchmoji.pretraining.data_order import DataOrder
from torchmoji.pretraining.distributed import Processes
from torchmoji.pretraining.loss import open_soft_targets


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("taught"), count=200, keep_text=True)


@pytest.fixture
def program(repository, monkeypatch):
    """The program, with `transformers` replaced."""
    with with_fake_encoder(repository / "research" / "train_teacher.py") as module:
        monkeypatch.setattr(module, "AVERAGE", 0.9)
        yield module


def call(program, corpus, out, *options):
    quick = ["--passes", "8", "--batch-size", "16", "--learning-rate", "0.05", "--device", "cpu"]
    program.main([str(corpus.folder), "encoder", str(out), *quick, *options])
    return open_soft_targets(out / "targets.npy", (len(corpus.rows("train")), len(corpus.classes)))


def test_the_targets_say_what_the_texts_tell(program, corpus, tmp_path):
    targets = call(program, corpus, tmp_path)
    assert np.allclose(targets.astype(np.float32).sum(1), 1, atol=0.01)
    rows = corpus.rows("train")
    owners, classes = rows.labels(np.arange(len(rows)))
    right = {owner for owner, label in zip(owners, classes, strict=True) if targets[owner].argmax() == label}
    assert len(right) > 0.9 * len(rows)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["texts"] == len(corpus.rows("validation"))
    assert scores["first"] > 0.8


def test_an_interrupted_run_gives_the_same_targets(program, corpus, tmp_path, monkeypatch):
    undisturbed = np.array(call(program, corpus, tmp_path / "undisturbed"))
    monkeypatch.setattr(program, "train_model", partial(program.train_model, checkpoint_seconds=0.0))
    save, saved = pretraining_run.save_training, []

    def save_and_stop(path, state):
        save(path, state)
        saved.append(state["step"])
        if len(saved) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(pretraining_run, "save_training", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        call(program, corpus, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "targets.npy").exists()
    assert np.array_equal(call(program, corpus, tmp_path / "stopped"), undisturbed)
    assert saved[4:6] == [5, 6]


def test_only_texts_that_pretraining_sees_are_asked_about(program, corpus, tmp_path):
    options = ("--target-passes", "0.4", "--target-batch-size", "10", "--target-seed", "3")
    some = np.array(call(program, corpus, tmp_path / "some", *options), np.float32)
    every = np.array(call(program, corpus, tmp_path / "every"), np.float32)
    is_seen = DataOrder(corpus.rows("train"), 10, 3).seen(0.4)
    assert 0.3 < is_seen.mean() < 0.5
    assert np.allclose(some[is_seen], every[is_seen], atol=2e-3)
    assert not some[~is_seen].any()


def test_interrupted_asking_goes_on(program, corpus, tmp_path, monkeypatch):
    undisturbed = np.array(call(program, corpus, tmp_path / "undisturbed"))
    asked = []
    monkeypatch.setattr(resuming, "ROWS_AT_ONCE", 32)
    monkeypatch.setattr(program, "probabilities", interrupted_answers(program.probabilities, asked))
    with pytest.raises(KeyboardInterrupt):
        call(program, corpus, tmp_path / "stopped")
    found = call(program, corpus, tmp_path / "stopped")
    assert np.allclose(found.astype(np.float32), undisturbed.astype(np.float32), atol=2e-3)
    assert sum(asked[3:]) == len(undisturbed) - 64


class FastTokenizer:
    """As those of `transformers` that have a backend; to be called itself is slow."""

    is_fast = True

    def __init__(self):
        self.backend_tokenizer = self
        self.cut = None

    def enable_truncation(self, max_length):
        self.cut = max_length

    def no_padding(self):
        pass

    def encode_batch_fast(self, texts):
        return [SimpleNamespace(ids=ids) for ids in tokenize(texts, True, self.cut)["input_ids"]]


def test_a_fast_tokenizer_gives_the_same_ids(program):
    texts = ["a b c d", "b", "c a"] * 5
    rows = TokenRows([in_memory([[1]] * len(texts), [[0]] * len(texts))])
    slow, fast = (program.as_wordpieces(each, texts, rows, 3) for each in (tokenize, FastTokenizer()))
    numbers = np.arange(len(texts))
    assert np.array_equal(slow.token_ids(numbers), fast.token_ids(numbers))
    assert fast.token_ids(numbers).shape == (15, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_it_computes_on_a_gpu(program, corpus, tmp_path):
    targets = call(program, corpus, tmp_path, "--device", "cuda")
    assert np.allclose(targets.astype(np.float32).sum(1), 1, atol=0.01)


def test_a_device_that_is_not_there_is_refused(program, corpus, tmp_path, capsys):
    with pytest.raises(SystemExit):
        call(program, corpus, tmp_path, "--device", "cuda:99")
    assert "there is no device cuda:99" in capsys.readouterr().err


def test_several_processes_are_refused(program, corpus, tmp_path, capsys, monkeypatch):
    several = nullcontext(Processes(torch.device("cpu"), 0, 2))
    monkeypatch.setattr(processes, "joined_processes", lambda device: several)
    with pytest.raises(SystemExit):
        call(program, corpus, tmp_path)
    assert "start it without torchrun" in capsys.readouterr().err


def test_other_settings_are_refused(program, corpus, tmp_path, capsys):
    call(program, corpus, tmp_path)
    with pytest.raises(SystemExit):
        call(program, corpus, tmp_path, "--seed", "7")
    assert "seed was 42, is 7" in capsys.readouterr().err


def test_a_corpus_without_texts_is_refused(program, tmp_path, capsys):
    with pytest.raises(SystemExit):
        call(program, small_corpus(tmp_path / "bare", count=40), tmp_path / "out")
    assert "build the corpus with --keep-text" in capsys.readouterr().err
