"""research/ask_teachers.py: what trained models say of a corpus, and a network on its texts' embeddings."""

import dataclasses

import numpy as np
import pytest
from support.programs import loaded
from support.small_corpus import CUES, EMOJIS, rules, small_corpus
from support.stopping import interrupted_answers

from torchmoji.corpus.shards import shard_texts
from torchmoji.files import resumable as resuming
from torchmoji.model_def import load_model
from torchmoji.pretraining.loss import open_soft_targets
from torchmoji.pretraining.pretraining import Settings, pretrain

SETTINGS = Settings(
    embedding_dim=6, hidden_size=5, passes=3, batch_size=8, learning_rate=0.02, warmup_steps=4, bfloat16=False
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("asked"), count=200, keep_text=True)


@pytest.fixture(scope="module")
def models(corpus, tmp_path_factory):
    """Two models of the corpus, from other fresh weights."""
    folder = tmp_path_factory.mktemp("teachers")
    names = [str(folder / "1"), str(folder / "2")]
    for seed, name in enumerate(names, start=1):
        pretrain(corpus, name, dataclasses.replace(SETTINGS, seed=seed))
    return names


@pytest.fixture
def program(repository):
    with loaded(repository / "research" / "ask_teachers.py") as module:
        yield module


@pytest.fixture(scope="module")
def embeddings(corpus, tmp_path_factory):
    """A file of embeddings that say which cues are in a text; the first ten texts have none."""
    texts = list(shard_texts(corpus.shard_paths("train")))
    given = np.array([[cue in text.split() for cue in CUES] for text in texts], dtype=np.float32)
    given /= np.linalg.norm(given, axis=1, keepdims=True)
    given[:10] = 0
    path = tmp_path_factory.mktemp("embeddings") / "embeddings.npy"
    np.save(path, given.astype(np.float16))
    return path


def call(program, corpus, out, *options):
    program.main([str(corpus.folder), str(out), "--device", "cpu", *options])
    return open_soft_targets(out, (len(corpus.rows("train")), len(EMOJIS))).astype(np.float32)


def said_by(name, corpus):
    rows = corpus.rows("train")
    return load_model(f"{name}/model.safetensors").run_ids(rows.token_ids(np.arange(len(rows))))[0]


def test_one_model_is_written_as_it_answers(program, corpus, models, tmp_path):
    found = call(program, corpus, tmp_path / "one.npy", "--models", models[0])
    assert np.allclose(found, said_by(models[0], corpus), atol=1e-3)


def test_of_several_models_it_is_the_geometric_mean(program, corpus, models, tmp_path):
    found = call(program, corpus, tmp_path / "two.npy", "--models", *models)
    expected = np.sqrt(said_by(models[0], corpus) * said_by(models[1], corpus))
    assert np.allclose(found, expected / expected.sum(1, keepdims=True), atol=1e-3)


def test_a_network_learns_from_embeddings(program, corpus, models, embeddings, tmp_path, monkeypatch):
    monkeypatch.setattr(program, "PASSES", 60)
    options = ("--models", models[0], "--embeddings", str(embeddings), "--embeddings-share", "0.9")
    found = call(program, corpus, tmp_path / "all.npy", *options)
    assert np.array_equal(np.flatnonzero(~found.any(1)), np.arange(10))
    assert np.allclose(found[10:].sum(1), 1, atol=0.01)
    owners, classes = corpus.rows("train").labels(np.arange(len(found)))
    right = {owner for owner, label in zip(owners, classes, strict=True) if found[owner].argmax() == label}
    assert len(right - set(range(10))) > 0.9 * (len(found) - 10)
    again = call(program, corpus, tmp_path / "again.npy", *options)
    assert np.array_equal(found, again)


def test_files_of_targets_are_teachers(program, corpus, models, tmp_path):
    given = np.random.default_rng(0).random((len(corpus.rows("train")), len(EMOJIS))).astype(np.float16)
    given[5:20] = 0
    np.save(tmp_path / "given.npy", given)
    alone = call(program, corpus, tmp_path / "alone.npy", "--targets", str(tmp_path / "given.npy"))
    assert np.array_equal(np.flatnonzero(~alone.any(1)), np.arange(5, 20))
    scaled = given / np.maximum(given.sum(1, keepdims=True, dtype=np.float32), 1e-6)
    assert np.allclose(alone, scaled, atol=1e-3)
    options = ("--models", models[0], "--targets", str(tmp_path / "given.npy"))
    found = call(program, corpus, tmp_path / "both.npy", *options)
    expected = np.sqrt(scaled * said_by(models[0], corpus))
    expected[expected.any(1)] /= expected[expected.any(1)].sum(1, keepdims=True)
    assert np.allclose(found, expected, atol=1e-3)


def test_emojis_that_a_file_leaves_out_share_the_rest(program, corpus, tmp_path):
    given = np.tile([0.5, 0.25, 0, 0], (len(corpus.rows("train")), 1)).astype(np.float16)
    given[0] = [0.9, 0.0625, 0, 0]
    given[1] = [1, 0, 0, 0]
    given[2] = [0.5, 0.01, 0, 0]
    np.save(tmp_path / "given.npy", given)
    found = call(program, corpus, tmp_path / "out.npy", "--targets", str(tmp_path / "given.npy"))
    assert np.allclose(found[3:], [0.5, 0.25, 0.125, 0.125], atol=1e-3)
    assert np.allclose(found[0], [0.9, 0.0625, 0.01875, 0.01875], atol=1e-3)
    assert np.allclose(found[1], [1, 0, 0, 0], atol=1e-3)
    assert np.allclose(found[2], np.array([0.5, 0.01, 0.01, 0.01]) / 0.53, atol=1e-3)


def test_files_for_no_common_text_are_refused(program, corpus, tmp_path, capsys):
    for name, first in (("even", 0), ("odd", 1)):
        given = np.zeros((len(corpus.rows("train")), len(EMOJIS)), np.float16)
        given[first::2] = 0.25
        np.save(tmp_path / f"{name}.npy", given)
    with pytest.raises(SystemExit):
        call(
            program,
            corpus,
            tmp_path / "out.npy",
            *("--targets", str(tmp_path / "even.npy"), str(tmp_path / "odd.npy")),
        )
    assert "no text has an answer in every file" in capsys.readouterr().err


def test_without_a_teacher_it_says_so(program, corpus, tmp_path, capsys):
    with pytest.raises(SystemExit):
        call(program, corpus, tmp_path / "out.npy")
    assert "there is no teacher: give --models or --targets" in capsys.readouterr().err


def test_an_interrupted_run_goes_on_to_the_same_bytes(program, corpus, models, tmp_path, monkeypatch):
    asked, out = [], tmp_path / "out.npy"
    monkeypatch.setattr(resuming, "ROWS_AT_ONCE", 32)
    monkeypatch.setattr(program, "model_teacher", interrupted_answers(program.model_teacher, asked))
    with pytest.raises(KeyboardInterrupt):
        call(program, corpus, out, "--models", models[0])
    with pytest.raises(SystemExit):
        call(program, corpus, out, "--models", models[1], "--resume")
    call(program, corpus, out, "--models", models[0], "--resume")
    assert sum(asked[3:]) == len(corpus.rows("train")) - 64
    call(program, corpus, tmp_path / "whole.npy", "--models", models[0])
    assert out.read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.npy", "whole.npy"]


def test_a_model_with_other_emojis_is_refused(program, models, tmp_path, capsys):
    reversed_rules = rules(emojis=EMOJIS[::-1], keep_near_duplicates=True)
    other = small_corpus(tmp_path / "other", rules=reversed_rules)
    with pytest.raises(SystemExit):
        call(program, other, tmp_path / "none.npy", "--models", models[0])
    assert "has other emojis than the corpus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("out.csv", (), "out.csv must end with .npy"),
        ("out.npy", ("--embeddings-share", "1"), "--embeddings-share must be between 0 and 1, got 1"),
        ("out.npy", ("--embeddings", "nowhere.npy"), "there is no file of embeddings nowhere.npy"),
        ("out.npy", ("--device", "cuda:99"), "there is no device cuda:99"),
    ],
)
def test_wrong_options_are_refused(program, corpus, models, tmp_path, capsys, name, options, message):
    with pytest.raises(SystemExit):
        call(program, corpus, tmp_path / name, "--models", models[0], *options)
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_without_embeddings_is_refused(program, corpus, models, tmp_path, capsys):
    np.save(tmp_path / "none.npy", np.zeros((len(corpus.rows("train")), 4), dtype=np.float16))
    options = ("--models", models[0], "--embeddings", str(tmp_path / "none.npy"))
    with pytest.raises(SystemExit):
        call(program, corpus, tmp_path / "out.npy", *options)
    assert "has no embedding: make it with encode_corpus.py" in capsys.readouterr().err
