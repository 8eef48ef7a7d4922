import numpy as np
import pyarrow.feather
import pytest

from torchmoji.corpus import shards
from torchmoji.corpus.shards import Pieces, TokenRows, in_memory, shard_texts, write_shard

TOKENS = [[1, 2, 3], [4], [], [5, 6], [7, 8, 9, 10], [11], [12, 13]]
LABELS = [[0], [1, 2], [3], [0], [1], [2, 3], [0]]


def pieces(*borders, texts=None):
    import pyarrow

    parts = []
    for start, end in zip([0, *borders], [*borders, len(TOKENS)], strict=True):
        tokens, labels = TOKENS[start:end], LABELS[start:end]
        parts.append(
            Pieces(
                np.array([index for row in tokens for index in row], dtype=np.int64),
                np.array([len(row) for row in tokens], dtype=np.int64),
                np.array([index for row in labels for index in row], dtype=np.int64),
                np.array([len(row) for row in labels], dtype=np.int64),
                None if texts is None else pyarrow.array(texts[start:end], pyarrow.string()),
            )
        )
    return parts


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(shards, "BATCH_ROWS", 3)


@pytest.fixture
def rows(tmp_path, small_batches):
    for name in ("a", "b"):
        write_shard(tmp_path / f"{name}.arrow", pieces(2, 4), np.uint16, False)
    return TokenRows.open([tmp_path / "a.arrow", tmp_path / "b.arrow"])


def test_rows_come_back_in_any_order(rows):
    assert len(rows) == 14
    assert rows.token_ids(np.array([4, 13, 1])).tolist() == [[7, 8, 9, 10], [12, 13, 0, 0], [4, 0, 0, 0]]
    assert rows.lengths(np.array([0, 2, 8, 11])).tolist() == [3, 0, 1, 4]
    assert rows.label_counts(np.array([0, 1, 12])).tolist() == [1, 2, 2]


def test_labels_come_with_the_place_of_their_row(rows):
    owners, classes = rows.labels(np.array([8, 0, 5]))
    assert owners.tolist() == [0, 0, 1, 2, 2]
    assert classes.tolist() == [1, 2, 0, 2, 3]


def test_a_table_of_labels_has_a_one_for_each(rows):
    table = rows.label_table(np.array([8, 1, 2]), 5)
    assert table.dtype == np.float32
    assert table.tolist() == [[0, 1, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0]]
    assert rows.label_table(np.array([], dtype=np.int64), 5).shape == (0, 5)


def test_long_rows_can_be_cut(rows):
    assert rows.token_ids(np.array([4, 0]), max_length=2).tolist() == [[7, 8], [1, 2]]


def test_no_rows_give_empty_arrays(rows):
    nothing = np.zeros(0, dtype=np.int64)
    assert rows.token_ids(nothing).shape == (0, 0)
    assert rows.labels(nothing)[1].tolist() == []


def test_rows_in_memory_are_the_same(rows):
    memory = TokenRows([in_memory(TOKENS, LABELS)] * 2)
    numbers = np.arange(14)[::-1]
    assert np.array_equal(memory.token_ids(numbers), rows.token_ids(numbers))
    assert all(map(np.array_equal, memory.labels(numbers), rows.labels(numbers)))


@pytest.mark.parametrize("borders", [(), (1,), (3, 6), (2, 2, 5)])
def test_the_bytes_do_not_depend_on_the_pieces(tmp_path, small_batches, borders):
    texts = [f"text {number}" for number in range(7)]
    write_shard(tmp_path / "whole", pieces(4, texts=texts), np.uint32, True)
    write_shard(tmp_path / "parts", pieces(*borders, texts=texts), np.uint32, True)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()
    assert list(shard_texts([tmp_path / "parts"])) == texts


def test_other_programs_read_shards(tmp_path):
    write_shard(tmp_path / "a.arrow", pieces(), np.uint16, False)
    table = pyarrow.feather.read_table(tmp_path / "a.arrow")
    assert table.column("tokens").to_pylist() == TOKENS
    assert table.column("labels").to_pylist() == LABELS
    assert str(table.schema.field("tokens").type) == "list<item: uint16>"


def test_texts_that_were_not_kept_are_an_error(tmp_path):
    write_shard(tmp_path / "a.arrow", pieces(), np.uint16, False)
    with pytest.raises(ValueError, match=r"a\.arrow has no texts: build the corpus with --keep-text"):
        list(shard_texts([tmp_path / "a.arrow"]))


def test_a_damaged_shard_is_named(tmp_path):
    (tmp_path / "a.arrow").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"a\.arrow is no shard or damaged"):
        TokenRows.open([tmp_path / "a.arrow"])
