import dataclasses

import numpy as np
import pytest
import torch
from support.small_corpus import small_corpus

from torchmoji.pretraining.pretraining import Settings, new_model, train
from torchmoji.pretraining.start import SCALE, principal_components, start_with_vectors

SETTINGS = Settings(
    embedding_dim=4,
    hidden_size=3,
    passes=0.1,
    batch_size=8,
    learning_rate=1e-6,
    warmup_steps=0,
    bfloat16=False,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("small"), count=60)


@pytest.fixture
def vectors(corpus, tmp_path):
    """A file of vectors for all words but the first ten, and the vectors."""
    found = np.random.default_rng(0).normal(size=(len(corpus.vocabulary), 9)).astype(np.float16)
    found[:10] = 0
    np.save(tmp_path / "vectors.npy", found)
    return tmp_path / "vectors.npy", found


def model_of(words, size=4):
    with torch.random.fork_rng(devices=[]):
        return new_model(dataclasses.replace(SETTINGS, embedding_dim=size), words, 4)


def test_embeddings_are_the_principal_components(vectors):
    path, found = vectors
    model = model_of(len(found))
    start_with_vectors(model, path)
    weight = model.embed.weight.detach().numpy()
    assert not weight[:10].any()
    centred = found[10:].astype(np.float64) - found[10:].astype(np.float64).mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ axes[:4].T
    expected *= SCALE / np.sqrt((expected**2).mean())
    assert np.allclose(np.abs(weight[10:]), np.abs(expected), atol=1e-5)  # up to each axis's sign
    assert np.allclose(weight[10:] @ weight[10:].T, expected @ expected.T, atol=1e-5)


def test_short_vectors_are_filled_up_with_zeros():
    found = principal_components(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double(), 5)
    assert found.shape == (20, 5)
    assert not found[:, 3:].any()
    assert found.square().mean().sqrt().item() == pytest.approx(SCALE)


@pytest.mark.parametrize("word_passes", [0.0, 0.5])
def test_training_begins_with_them(corpus, vectors, tmp_path, word_passes):
    path, found = vectors
    start = model_of(len(found))
    start_with_vectors(start, path)
    settings = dataclasses.replace(SETTINGS, word_vectors=path, word_passes=word_passes)
    model = train(corpus, tmp_path / "run", settings).model
    change = (model.embed.weight - start.embed.weight).abs().max().item()
    assert change < (0.1 if word_passes else 1e-4)
    assert (change > 1e-3) == bool(word_passes)


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "vectors.npy"
    with pytest.raises(FileNotFoundError, match=r"there is no file of word vectors .*vectors\.npy"):
        start_with_vectors(model_of(20), path)
    for array in (np.ones((20, 3)), np.ones(20, dtype=np.float16), np.ones((19, 3), dtype=np.float16)):
        np.save(path, array)
        with pytest.raises(ValueError, match=r"but the vocabulary needs float16 \(20, numbers\)"):
            start_with_vectors(model_of(20), path)
    for value in (0, np.inf):
        np.save(path, np.full((20, 3), value, dtype=np.float16))
        with pytest.raises(ValueError, match="no vectors but zeros, or numbers that are not finite"):
            start_with_vectors(model_of(20), path)


def test_a_model_to_start_from_excludes_them():
    with pytest.raises(
        ValueError, match="word_vectors makes new embeddings, start_from takes those of a model"
    ):
        Settings(word_vectors="vectors.npy", start_from="default")
