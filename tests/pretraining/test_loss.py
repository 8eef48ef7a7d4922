"""The loss, and the files of targets: probabilities of a teacher, embeddings of a sentence encoder."""

import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.hostile import check_mutations
from support.pretraining import changed, interrupted_at, same, weights_of
from torch.nn import functional as F

from torchmoji.corpus.shards import TokenRows, in_memory
from torchmoji.model_def import TorchMoji
from torchmoji.pretraining import loss
from torchmoji.pretraining.loop import CHECKPOINT_NAME, load_training
from torchmoji.pretraining.loss import (
    PretrainingLoss,
    open_float16,
    save_embedding_targets,
    save_soft_targets,
)
from torchmoji.pretraining.pretraining import train
from torchmoji.pretraining.settings import Settings

LOGITS = torch.tensor([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0]])
OWNERS, CLASSES = torch.tensor([0, 0, 1]), torch.tensor([0, 2, 1])
ROWS = np.array([5, 3])  # of the six texts of a corpus with three classes
SIZE = 3


def loss_of(output=LOGITS, **settings):
    corpus = SimpleNamespace(classes=["a", "b", "c"], rows=lambda split: range(6))
    return PretrainingLoss(corpus, Settings(**settings))(output, OWNERS, CLASSES, ROWS).item()


def saved(path, array):
    np.save(path, np.asarray(array, dtype=np.float16))
    return path


# --- the loss -----------------------------------------------------------------------------------------------


def test_it_is_the_sum_over_a_texts_labels():
    expected = F.cross_entropy(LOGITS[[0, 0, 1]], CLASSES, reduction="sum")
    assert loss_of() == pytest.approx(expected.item(), rel=1e-6)


def test_a_teacher_has_its_share_of_each_sample(tmp_path):
    soft = np.zeros((6, 3))
    soft[5], soft[3] = [0.25, 0.0, 0.25], [0.0, 1.0, 0.0]
    hard = F.cross_entropy(LOGITS[[0, 0, 1]], CLASSES, reduction="none")
    logs = torch.log_softmax(LOGITS, dim=1)
    taught = torch.tensor([-(logs[0, 0] + logs[0, 2]) / 2] * 2 + [-logs[1, 1]])
    expected = (0.75 * hard + 0.25 * taught).sum().item()
    assert loss_of(soft_targets=saved(tmp_path / "a.npy", soft), soft_share=0.25) == pytest.approx(expected)
    nothing = saved(tmp_path / "b.npy", np.zeros((6, 3)))
    assert loss_of(soft_targets=nothing, soft_share=0.9) == pytest.approx(loss_of())


def test_the_distance_to_embeddings_is_added_for_each_sample(tmp_path):
    embeddings = np.zeros((6, 2))
    embeddings[5] = [0.6, 0.8]  # the other text has none
    settings = {"embedding_targets": saved(tmp_path / "a.npy", embeddings), "embedding_weight": 3.0}
    output = torch.cat([LOGITS, torch.tensor([[0.5, 1.0], [7.0, 7.0]])], dim=1)
    assert loss_of(output, **settings) == pytest.approx(loss_of() + 2 * 3 * (0.1**2 + 0.2**2), rel=1e-3)
    assert loss_of(**settings) == pytest.approx(loss_of())


# --- soft targets -------------------------------------------------------------------------------------------


def teacher(ids):
    """The first token decides."""
    scores = np.stack([ids[:, 0] % 7 + 1.0, ids[:, 0] % 5, ids[:, 0] % 3, ids[:, 0] % 2], axis=1)
    return scores / scores.sum(1, keepdims=True)


def test_a_teacher_is_asked_about_each_training_text_in_order(corpus, tmp_path):
    rows = corpus.rows("train")
    guesses = teacher(rows.token_ids(np.arange(len(rows))))
    save_soft_targets(tmp_path / "soft.npy", corpus, teacher)
    assert np.allclose(np.load(tmp_path / "soft.npy"), guesses, atol=1e-3)
    save_soft_targets(tmp_path / "two.npy", corpus, teacher, 2)
    expected = np.where(guesses >= np.sort(guesses)[:, -2:-1], guesses, 0)
    assert np.allclose(np.load(tmp_path / "two.npy"), expected, atol=1e-3)
    with pytest.raises(ValueError, match=r"the teacher gave \(\d+, 3\), expected \(\d+, 4\)"):
        save_soft_targets(tmp_path / "three.npy", corpus, lambda ids: np.ones((len(ids), 3)))
    for wrong in (np.nan, np.inf, -0.1):
        with pytest.raises(ValueError, match="the teacher gave numbers that are negative or not finite"):
            save_soft_targets(tmp_path / "three.npy", corpus, lambda ids, x=wrong: np.full((len(ids), 4), x))
    assert not (tmp_path / "three.npy").exists()


def test_a_teacher_with_tokens_of_its_own_gets_those(corpus, tmp_path):
    count = len(corpus.rows("train"))
    own = TokenRows([in_memory([[row % 11] for row in range(count)], [[0]] * count)])
    save_soft_targets(tmp_path / "soft.npy", corpus, teacher, rows=own)
    expected = teacher(np.arange(count)[:, None] % 11)
    assert np.allclose(np.load(tmp_path / "soft.npy"), expected, atol=1e-3)
    few = TokenRows([in_memory([[1]], [[0]])])
    with pytest.raises(ValueError, match=rf"there are 1 rows for the corpus's {count} training texts"):
        save_soft_targets(tmp_path / "other.npy", corpus, teacher, rows=few)


@pytest.mark.parametrize(
    ("setting", "content", "shape"),
    [("soft_targets", "soft targets", r"\(6, 3\)"), ("embedding_targets", "embeddings", r"\(6, numbers\)")],
)
def test_files_that_do_not_fit_are_refused(tmp_path, setting, content, shape):
    path = tmp_path / "some.npy"
    with pytest.raises(FileNotFoundError, match=rf"there is no file of {content} .*some\.npy"):
        loss_of(**{setting: path})
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"some\.npy is not an \.npy file of numbers"):
        loss_of(**{setting: path})
    for array in (np.ones((6, 3)), np.ones(6, dtype=np.float16), np.ones((5, 3), dtype=np.float16)):
        np.save(path, array)
        with pytest.raises(ValueError, match=rf"but the corpus needs float16 {shape}: a row for each"):
            loss_of(**{setting: path})


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5])
@pytest.mark.parametrize("rows_at_once", [2, 65_536])
def test_files_with_numbers_that_make_no_sense_are_refused(tmp_path, monkeypatch, value, rows_at_once):
    monkeypatch.setattr(loss, "_CHECKED_ROWS", rows_at_once)
    array = np.ones((6, 3))
    array[0, 0], array[3, 1] = -0.0, value
    path = saved(tmp_path / "some.npy", array)
    message = rf"some\.npy, row 3 from 0 on, has {value}, but soft targets are finite numbers of 0 or more: "
    with pytest.raises(ValueError, match=message):
        loss_of(soft_targets=path)
    if value < 0:
        loss_of(embedding_targets=path)
        return
    with pytest.raises(ValueError, match=rf"row 3 from 0 on, has {value}, but embeddings are finite "):
        loss_of(embedding_targets=path)


def test_a_teacher_is_learned_from(corpus, tmp_path):
    """A teacher who always says the last class, and has all the say."""
    save_soft_targets(tmp_path / "soft.npy", corpus, lambda ids: np.tile([0.0, 0, 0, 1], (len(ids), 1)))
    settings = changed(soft_targets=tmp_path / "soft.npy", soft_share=1.0, passes=2)
    model = train(corpus, tmp_path, settings).model
    rows = corpus.rows("train")
    with torch.no_grad():
        guesses = model(torch.from_numpy(rows.token_ids(np.arange(len(rows))))).argmax(1)
    assert (guesses == 3).all()


# --- embedding targets --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def embeddings(corpus):
    """Embeddings that depend on a text's words."""
    rows = corpus.rows("train")
    ids = rows.token_ids(np.arange(len(rows)))
    columns = [((ids != 0) & (ids % SIZE == number)).sum(1) for number in range(SIZE)]
    sums = np.stack(columns, axis=1).astype(np.float32)
    return sums / np.linalg.norm(sums, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def targets(embeddings, tmp_path_factory):
    path = tmp_path_factory.mktemp("targets") / "embeddings.npy"
    numbers = np.arange(len(embeddings))
    parts = [(numbers[::2], 5 * embeddings[::2]), (numbers[1::2], embeddings[1::2])]
    save_embedding_targets(path, embeddings.shape, parts)
    return path


def test_embeddings_are_stored_normalized_in_the_order_of_the_texts(targets, embeddings, tmp_path):
    assert np.allclose(np.load(targets), embeddings, atol=1e-3)
    save_embedding_targets(tmp_path / "some.npy", (3, 2), [(np.array([2]), np.array([[0.0, 4.0]]))])
    assert np.load(tmp_path / "some.npy").tolist() == [[0, 0], [0, 0], [0, 1]]


@pytest.mark.parametrize("wrong", [np.ones((1, 3)), np.array([[np.nan, 1.0]])])
def test_embeddings_that_do_not_fit_are_not_written(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"the encoder gave \(1, \d\), expected \(1, 2\) finite numbers"):
        save_embedding_targets(tmp_path / "some.npy", (3, 2), [(np.array([2]), wrong)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there files have no holes")
def test_targets_have_their_room_on_the_disk_before_a_teacher_is_asked(tmp_path):
    """Else a full disk ends the process with SIGBUS when a row is stored."""

    def parts():
        (temporary,) = (path for path in tmp_path.rglob("*") if path.is_file())
        assert 512 * temporary.stat().st_blocks >= 2 * 5000 * 300
        yield np.array([0]), np.ones((1, 300))

    save_embedding_targets(tmp_path / "targets.npy", (5000, 300), parts())
    assert np.load(tmp_path / "targets.npy").any(1).sum() == 1


def test_damaged_targets_are_value_errors(targets, tmp_path):
    path = tmp_path / "targets.npy"
    shutil.copy(targets, path)
    shape = np.load(path).shape
    check_mutations(path, lambda path: open_float16(path, "embeddings", "corpus", shape, ""), (ValueError,))
    for data in (b"", b"PK\x05\x06" + b"\0" * 18):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"targets\.npy is not an \.npy file of numbers: "):
            open_float16(path, "embeddings", "corpus", shape, "")


def test_the_features_tell_the_embeddings_after_training(corpus, targets, embeddings, tmp_path):
    own = {"embedding_targets": targets, "embedding_weight": 5.0}
    settings = changed(passes=6, learning_rate=0.05, embedding_dim=8, **own)
    model = train(corpus, tmp_path, settings).model
    assert type(model) is TorchMoji
    tensors, _ = load_training(tmp_path / CHECKPOINT_NAME)
    rows = corpus.rows("train")
    with torch.no_grad():
        features = model.features_of(torch.from_numpy(rows.token_ids(np.arange(len(rows)))))
        predicted = features @ tensors["model.projection.weight"].t() + tensors["model.projection.bias"]
    assert float((predicted - torch.from_numpy(embeddings)).square().sum(1).mean()) < 0.05


def test_a_run_that_was_interrupted_ends_with_the_same_weights(corpus, targets, tmp_path):
    settings = changed(embedding_targets=targets, average=0.9, evaluate_every=9)
    whole = train(corpus, tmp_path / "whole", settings)
    with interrupted_at(11):
        train(corpus, tmp_path / "parts", settings, checkpoint_seconds=0)
    assert same(weights_of(whole), weights_of(train(corpus, tmp_path / "parts", settings)))
