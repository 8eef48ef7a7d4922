import dataclasses

import numpy as np
import pytest
import torch
from support.small_corpus import small_corpus
from support.stopping import interrupted_at

from torchmoji.model_def import TorchMoji
from torchmoji.pretraining.loss import ModelWithEmbeddings, open_embedding_targets, save_embedding_targets
from torchmoji.pretraining.pretraining import Settings, pretrain, train

SIZE = 3


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("small"), count=150, validation=0.2)


@pytest.fixture(scope="module")
def wanted(corpus):
    """Embeddings that depend on a text's words."""
    rows = corpus.rows("train")
    ids = rows.token_ids(np.arange(len(rows)))
    columns = [((ids != 0) & (ids % SIZE == number)).sum(1) for number in range(SIZE)]
    found = np.stack(columns, axis=1).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def settings(corpus, wanted, tmp_path_factory):
    path = tmp_path_factory.mktemp("targets") / "embeddings.npy"
    numbers = np.arange(len(wanted))
    save_embedding_targets(
        path, wanted.shape, [(numbers[::2], 5 * wanted[::2]), (numbers[1::2], wanted[1::2])]
    )
    return Settings(
        embedding_dim=8,
        hidden_size=6,
        passes=10,
        batch_size=8,
        learning_rate=0.02,
        warmup_steps=4,
        bfloat16=False,
        embedding_targets=path,
    )


def test_embeddings_are_stored_in_the_order_of_the_texts_with_the_length_1(settings, wanted):
    assert np.allclose(open_embedding_targets(settings.embedding_targets, len(wanted)), wanted, atol=1e-3)


def test_a_text_that_has_none_has_zeros(tmp_path):
    save_embedding_targets(tmp_path / "some.npy", (3, 2), [(np.array([2]), np.array([[0.0, 4.0]]))])
    assert open_embedding_targets(tmp_path / "some.npy", 3).tolist() == [[0, 0], [0, 0], [0, 1]]


@pytest.mark.parametrize("wrong", [np.ones((1, 3)), np.array([[np.nan, 1.0]])])
def test_embeddings_that_do_not_fit_are_not_written(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"the encoder gave \(1, \d\), expected \(1, 2\) finite numbers"):
        save_embedding_targets(tmp_path / "some.npy", (3, 2), [(np.array([2]), wrong)])
    assert list(tmp_path.iterdir()) == []


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "some.npy"
    with pytest.raises(FileNotFoundError, match=r"there is no file of embeddings .*some\.npy"):
        open_embedding_targets(path, 3)
    for array in (np.ones((3, 4)), np.ones(3, dtype=np.float16), np.ones((2, 4), dtype=np.float16)):
        np.save(path, array)
        with pytest.raises(ValueError, match=r"but the corpus needs float16 \(3, numbers\): a row for each"):
            open_embedding_targets(path, 3)


def test_the_features_tell_the_embeddings_after_training(corpus, settings, wanted, tmp_path):
    rows = corpus.rows("train")
    ids = torch.from_numpy(rows.token_ids(np.arange(len(rows))))
    left = {}
    for weight in (0.0, 5.0):
        folder = tmp_path / str(weight)
        model = train(corpus, folder, dataclasses.replace(settings, embedding_weight=weight)).model
        state = torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
        with torch.no_grad():
            features = model.features_of(ids)
            told = features @ state["projection.weight"].t() + state["projection.bias"]
        left[weight] = float((told - torch.from_numpy(wanted)).square().sum(1).mean())
    assert left[0.0] == pytest.approx(1.0, abs=1e-3)  # the layer stays at zero
    assert left[5.0] < 0.05


def test_what_is_stored_is_a_model_as_ever(corpus, settings, tmp_path):
    made = pretrain(corpus, tmp_path, dataclasses.replace(settings, passes=0.2, average=0.9))
    assert made.scores is not None
    model = train(corpus, tmp_path, dataclasses.replace(settings, passes=0.2, average=0.9)).model
    assert type(model) is TorchMoji
    assert not any(part.training for part in model.modules())
    fresh = TorchMoji(4, model.nb_tokens, embedding_dim=8, hidden_size=6)
    assert model.state_dict().keys() == fresh.state_dict().keys()


def test_a_run_that_was_interrupted_ends_with_the_same_weights(corpus, settings, tmp_path):
    settings = dataclasses.replace(settings, passes=2)
    whole = train(corpus, tmp_path / "whole", settings).model.state_dict()
    with interrupted_at(11):
        train(corpus, tmp_path / "parts", settings, checkpoint_seconds=0)
    parts = train(corpus, tmp_path / "parts", settings).model.state_dict()
    assert all(torch.equal(parts[name], weight) for name, weight in whole.items())


def test_embeddings_come_in_training_alone():
    with torch.random.fork_rng(devices=[]):
        model = TorchMoji(4, 20, output_logits=True, embedding_dim=8, hidden_size=6)
    both = ModelWithEmbeddings(model, SIZE)
    ids = torch.tensor([[3, 4, 0], [5, 6, 7]])
    assert both.eval()(ids).shape == (2, 4)
    found = both.train()(ids)
    assert found.shape == (2, 4 + SIZE)
    assert torch.equal(found[:, :4], model.eval()(ids))
    assert not found[:, 4:].any()


def test_embeddings_of_another_corpus_are_refused(corpus, settings, tmp_path):
    np.save(tmp_path / "other.npy", np.ones((3, 4), dtype=np.float16))
    with pytest.raises(ValueError, match="but the corpus needs float16"):
        train(corpus, tmp_path, dataclasses.replace(settings, embedding_targets=str(tmp_path / "other.npy")))


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="embedding_weight must not be negative, got -1"):
        Settings(embedding_weight=-1)
