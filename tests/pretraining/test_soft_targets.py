import numpy as np
import pytest
from support.small_corpus import small_corpus

from torchmoji.corpus.shards import TokenRows, in_memory
from torchmoji.pretraining.loss import open_soft_targets, save_soft_targets


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("soft"), count=50)


def teacher(ids):
    """The first token decides."""
    scores = np.stack([ids[:, 0] % 7 + 1.0, ids[:, 0] % 5, ids[:, 0] % 3, ids[:, 0] % 2], axis=1)
    return scores / scores.sum(1, keepdims=True)


def test_a_teacher_is_asked_about_each_training_text_in_order(corpus, tmp_path):
    rows = corpus.rows("train")
    save_soft_targets(tmp_path / "soft.npy", corpus, teacher)
    found = open_soft_targets(tmp_path / "soft.npy", (len(rows), 4))
    assert found.dtype == np.float16
    assert np.allclose(found, teacher(rows.token_ids(np.arange(len(rows)))), atol=1e-3)


def test_a_teacher_with_tokens_of_its_own_gets_those(corpus, tmp_path):
    count = len(corpus.rows("train"))
    own = TokenRows([in_memory([[row % 11] for row in range(count)], [[0]] * count)])
    save_soft_targets(tmp_path / "soft.npy", corpus, teacher, rows=own)
    expected = teacher(np.arange(count)[:, None] % 11)
    assert np.allclose(np.load(tmp_path / "soft.npy"), expected, atol=1e-3)
    few = TokenRows([in_memory([[1]], [[0]])])
    with pytest.raises(ValueError, match=rf"there are 1 rows for the corpus's {count} training texts"):
        save_soft_targets(tmp_path / "other.npy", corpus, teacher, rows=few)


def test_only_the_highest_can_be_kept(corpus, tmp_path):
    save_soft_targets(
        tmp_path / "soft.npy", corpus, lambda ids: np.tile([0.1, 0.4, 0.3, 0.2], (len(ids), 1)), 2
    )
    found = np.load(tmp_path / "soft.npy")
    assert np.allclose(found, [0, 0.4, 0.3, 0], atol=1e-3)


def test_a_teacher_of_other_classes_is_refused(corpus, tmp_path):
    with pytest.raises(ValueError, match=r"the teacher gave \(\d+, 3\), expected \(\d+, 4\)"):
        save_soft_targets(tmp_path / "soft.npy", corpus, lambda ids: np.ones((len(ids), 3)))
    assert list(tmp_path.iterdir()) == []


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "soft.npy"
    with pytest.raises(FileNotFoundError, match=r"there is no file of soft targets .*soft\.npy"):
        open_soft_targets(path, (3, 4))
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"soft\.npy is not an \.npy file of numbers"):
        open_soft_targets(path, (3, 4))
    for array in (np.ones((3, 4)), np.ones((2, 4), dtype=np.float16)):
        np.save(path, array)
        with pytest.raises(ValueError, match=r"but the corpus needs float16 \(3, 4\): a row for each"):
            open_soft_targets(path, (3, 4))
