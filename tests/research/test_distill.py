"""research/distill.py with a tiny encoder in place of one of `transformers`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.fake_encoder import with_fake_encoder
from support.programs import loaded
from support.small_corpus import small_corpus

from torchmoji import MojiPipeline
from torchmoji.corpus.shards import shard_texts
from torchmoji.model_def import TorchMoji


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("taught"), count=300, keep_text=True)


@pytest.fixture
def program(repository):
    """The program, with `transformers` replaced."""
    with with_fake_encoder(repository / "research" / "distill.py") as module:
        yield module


def call(program, corpus, out, *options):
    quick = ["--teachers", "2", "--teacher-passes", "12", "--teacher-batch-size", "8"]
    quick += ["--teacher-learning-rate", "0.05", "--passes", "4", "--batch-size", "16", "--warmup-steps", "5"]
    quick += ["--average", "0.9", "--device", "cpu", "--workers", "1"]
    program.main([str(corpus.folder), "encoder", str(out), *quick, *options])
    return MojiPipeline.from_pretrained(out)


def test_features_are_those_of_the_model(program):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = TorchMoji(4, 30, embedding_dim=6, hidden_size=5).eval()
        ids = torch.randint(1, 30, (7, 9))
    assert torch.allclose(program.features_of(model, ids), model.features_of(ids), atol=1e-6)


def test_the_model_learns_what_its_teachers_know(program, corpus, tmp_path, caplog):
    caplog.set_level("INFO")
    sizes = {"embedding_dim": 8, "hidden_size": 8}
    make = program.new_model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "new_model", lambda settings, *rest: make(replace(settings, **sizes), *rest))
        patch.setattr(program, "store", storing(program.store, sizes))
        pipeline = call(program, corpus, tmp_path, "--learning-rate", "0.02", "--evaluate-every", "40")
    guesses = {text: pipeline.predict(text)[0].emoji for text in ("so funny", "so sad", "love", "angry day")}
    assert guesses == {"so funny": "😂", "so sad": "😭", "love": "❤", "angry day": "😡"}
    told = caplog.text
    assert f"{4 * len(corpus.rows('train'))} texts read" in told
    assert told.index("teacher 1: loss") < told.index("teacher 2: loss") < told.index("all together: loss")
    assert "step 40: loss" in told
    card = (tmp_path / "README.md").read_text("utf-8")
    assert "python research/distill.py" in card
    assert "the guesses of 2 teachers: encoder, fine-tuned for 12 passes in batches of 8" in card
    assert "and 3 new texts for each" in card
    assert card.startswith("# A torchMoji model for 4 emojis")


def test_texts_keep_their_order_whoever_reads_them(repository, program, corpus, monkeypatch):
    with loaded(repository / "research" / "distill_texts.py") as module:
        monkeypatch.setattr(module, "_CHUNK_TEXTS", 50)
        texts = list(shard_texts(corpus.shard_paths("train")))
        reader = (corpus.vocabulary, "encoder", 20)
        found = module.read_texts(texts, 2, 5, 1, reader)
        alone = module.Reader(*reader).read(texts)
        for name in ("tokens", "pieces"):
            ids, lengths = getattr(found, name)
            assert len(ids) == len(lengths) == 3 * len(texts) > 150
            assert np.array_equal(ids[: len(texts)], getattr(alone, name).ids)
            assert np.array_equal((ids != 0).sum(1), lengths)
        known = {*alone.tokens.ids[alone.tokens.ids != 0].tolist()}
        assert {*found.tokens.ids[found.tokens.ids != 0].tolist()} == known


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--teacher-passes", "0"), "of the teachers, passes must be above 0, got 0"),
        (("--learning-rate", "-1"), "learning_rate must be above 0, got -1"),
        (("--start-from", "no-model"), "no-model"),
        (("--notes", "no-notes.md"), "no-notes.md"),
        (("--new-texts", "-1"), "argument --new-texts: -1 is below 0"),
    ],
)
def test_wrong_options_are_refused_at_once(program, corpus, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        call(program, corpus, tmp_path / "out", *options)
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*"))


def storing(store, sizes):
    """`store`, of a model of other sizes than the settings say."""

    def stored(corpus, out, settings, trained, int8):
        return store(corpus, out, replace(settings, **sizes), trained, int8)

    return stored
