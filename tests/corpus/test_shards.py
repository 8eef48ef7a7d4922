import json

import numpy as np
import pyarrow.feather
import pytest
from support.hostile import check_mutations
from support.small_corpus import EMOJIS, small_corpus

from torchmoji.cli.main import main
from torchmoji.corpus import shards
from torchmoji.corpus.shards import (
    Corpus,
    LabelledRows,
    Ragged,
    TokenRows,
    in_memory,
    map_shard,
    shard_texts,
    write_shards,
)

TOKENS = [[1, 2, 3], [4], [], [5, 6], [7, 8, 9, 10], [11], [12, 13]]
LABELS = [[0], [1, 2], [3], [0], [1], [2, 3], [0]]


def ragged(rows):
    return Ragged(np.array([n for row in rows for n in row], dtype=np.int64), np.array([*map(len, rows)]))


def write(folder, *borders, texts=None, repeats=1):
    """Write the rows, in pieces with these borders, and give the shards' paths."""
    pieces = [
        LabelledRows(
            ragged(TOKENS[start:end]), ragged(LABELS[start:end]), None if texts is None else texts[start:end]
        )
        for start, end in zip([0, *borders], [*borders, len(TOKENS)], strict=True)
    ]
    return [folder / shard["file"] for shard in write_shards(folder, "train", pieces * repeats, np.uint16)]


def rows_of(*paths):
    return TokenRows([batch for path in paths for batch in map_shard(path)])


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(shards, "BATCH_ROWS", 3)


@pytest.fixture
def rows(tmp_path, small_batches):
    """The rows twice, in two shards."""
    paths = write(tmp_path, 2, 4, repeats=2)
    assert [path.name for path in paths] == ["train-00000.arrow", "train-00001.arrow"]
    return rows_of(*paths)


@pytest.mark.parametrize("kind", ["on disk", "in memory"])
def test_rows_come_back_in_any_order(rows, kind):
    if kind == "in memory":
        rows = TokenRows([in_memory(TOKENS, LABELS)] * 2)
    assert len(rows) == 14
    assert rows.token_ids(np.array([4, 13, 1])).tolist() == [[7, 8, 9, 10], [12, 13, 0, 0], [4, 0, 0, 0]]
    assert rows.token_ids(np.array([4, 0]), max_length=2).tolist() == [[7, 8], [1, 2]]
    assert rows.lengths(np.array([0, 2, 8, 11])).tolist() == [3, 0, 1, 4]
    assert rows.label_counts(np.array([0, 1, 12])).tolist() == [1, 2, 2]
    assert [part.tolist() for part in rows.labels(np.array([8, 0, 5]))] == [[0, 0, 1, 2, 2], [1, 2, 0, 2, 3]]
    nothing = np.zeros(0, dtype=np.int64)
    assert rows.token_ids(nothing).shape == (0, 0)
    assert [len(part) for part in rows.labels(nothing)] == [0, 0]


@pytest.mark.parametrize("borders", [(), (2, 2, 5)])
def test_the_bytes_do_not_depend_on_the_pieces(tmp_path, small_batches, borders):
    texts = [f"text {number}" for number in range(7)]
    (whole,) = write(tmp_path / "whole", 4, texts=texts)
    (parts,) = write(tmp_path / "parts", *borders, texts=texts)
    assert whole.read_bytes() == parts.read_bytes()
    assert list(shard_texts([parts])) == texts


def test_other_programs_read_shards(tmp_path):
    table = pyarrow.feather.read_table(*write(tmp_path))
    assert table.column("tokens").to_pylist() == TOKENS
    assert table.column("labels").to_pylist() == LABELS
    assert str(table.schema.field("tokens").type) == "list<item: uint16>"


def test_texts_that_were_not_kept_are_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"00000\.arrow has no texts: build the corpus with --keep-text"):
        list(shard_texts(write(tmp_path)))


def test_a_damaged_shard_is_named(tmp_path):
    (tmp_path / "a.arrow").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"a\.arrow is no shard or damaged"):
        rows_of(tmp_path / "a.arrow")


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_compressed_shard_is_refused(tmp_path, compression):
    """As kilobytes may become gigabytes."""
    (path,) = write(tmp_path)
    table = pyarrow.feather.read_table(path)
    pyarrow.feather.write_feather(table, path, compression="uncompressed")
    assert len(rows_of(path)) == len(TOKENS)
    pyarrow.feather.write_feather(table, path, compression=compression)
    with pytest.raises(ValueError, match=r"00000\.arrow is no shard or damaged \(it is compressed\): build"):
        rows_of(path)


@pytest.fixture
def corpus(tmp_path):
    return small_corpus(tmp_path, count=30)


def test_a_corpus_is_opened_with_classes_and_counts(corpus):
    assert corpus.classes == list(EMOJIS)
    assert sum(corpus.class_counts("train")) == corpus.manifest["splits"]["train"]["samples"]
    assert corpus.vocabulary["CUSTOM_UNKNOWN"] == 1
    text = (corpus.folder / "manifest.json").read_text(encoding="utf-8")
    assert "😂" in text
    assert json.loads(text) == corpus.manifest


def test_a_folder_without_a_manifest_is_no_corpus(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no manifest\.json: it is no corpus, or its building"):
        Corpus.load(tmp_path)


def test_another_manifest_is_refused(corpus):
    for text in ("{", "[]", "{}", json.dumps(corpus.manifest | {"format_version": 99}), "[" * 100_000):
        (corpus.folder / "manifest.json").write_text(text)
        with pytest.raises(ValueError, match=r"manifest\.json is not the manifest of a corpus of version 1"):
            Corpus.load(corpus.folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": {"train": 1}}, "it.splits.train is missing or of another type"),
        ({"vocabulary": {"file": "vocabulary.json"}}, "it.vocabulary.sha256 is missing"),
        ({"classes": ["a", 1]}, r"it.classes\[1\] is missing or of another type"),
        ({"counts": {"texts": -1, "dropped": {}}}, "it.counts.texts is missing or of another type"),
        ({"classes": ["a", "b"]}, "its counts are of other emojis than its classes"),
    ],
)
def test_a_manifest_with_other_parts_is_refused(corpus, changes, message):
    (corpus.folder / "manifest.json").write_text(json.dumps(corpus.manifest | changes))
    with pytest.raises(ValueError, match=rf"manifest\.json is not the manifest .*{message}.*: build the"):
        Corpus.load(corpus.folder)


@pytest.mark.parametrize("name", ["{}", "../corpus/train-00000.arrow", "a/b", "a\\b", "C:x", "..", ""])
def test_a_manifest_names_files_in_its_folder_alone(corpus, name):
    (shard,) = corpus.manifest["splits"]["train"]["shards"]
    shard["file"] = name.format(corpus.folder / shard["file"])
    (corpus.folder / "manifest.json").write_text(json.dumps(corpus.manifest))
    with pytest.raises(ValueError, match=r"manifest\.json .*it names the file .*, which is not in the"):
        Corpus.load(corpus.folder)


@pytest.mark.parametrize("name", ["train-00000.arrow", "vocabulary.json", "vocabulary.spellings.json"])
def test_a_file_with_another_checksum_is_refused(corpus, name):
    path = corpus.folder / name
    data = path.read_bytes() if path.exists() else b"{}"
    path.write_bytes(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:] if len(data) > 20 else data)
    with pytest.raises(ValueError, match=rf"{name} is not the file that was built, for its SHA-256 .*: copy"):
        Corpus.load(corpus.folder)
    assert main(["build-corpus", str(corpus.folder.parent / "texts.txt"), "--out", str(corpus.folder)]) == 1


def test_ids_beyond_the_vocabulary_or_the_classes_are_refused(corpus):
    for limit, change in ((11, {"file": "vocabulary.json"}), (2, {"classes": [*EMOJIS[:2]]})):
        manifest = corpus.manifest | change
        opened = Corpus(corpus.folder, manifest)
        if limit == 11:
            opened.vocabulary.clear()
            opened.vocabulary["a"] = 10
        with pytest.raises(ValueError, match=rf"train-00000\.arrow has the id \d+ of {limit}: build the"):
            opened.rows("train")


@pytest.mark.parametrize("labels", [[[1], [0]], [[1], [], [0]]])
def test_texts_that_are_not_those_of_the_manifest_are_refused(corpus, labels):
    rows = LabelledRows(ragged([[11]] * len(labels)), ragged(labels), None)
    shards = write_shards(corpus.folder, "train", [rows], np.uint16)
    split = corpus.manifest["splits"]["train"] | {"rows": 3, "shards": shards}
    manifest = corpus.manifest | {"splits": corpus.manifest["splits"] | {"train": split}}
    with pytest.raises(ValueError, match="the train texts are not the 3 of the manifest, each with an emoji"):
        Corpus(corpus.folder, manifest).rows("train")


def test_damaged_corpora_are_value_errors(corpus):
    def load(path):
        Corpus.load(corpus.folder).rows("train")

    def read(path):
        rows = rows_of(path)
        rows.token_ids(np.arange(len(rows)))
        rows.labels(np.arange(len(rows)))

    check_mutations(corpus.folder / "manifest.json", load, (ValueError, FileNotFoundError))
    check_mutations(corpus.folder / "vocabulary.json", load, (ValueError,))
    check_mutations(corpus.folder / "train-00000.arrow", read, (ValueError,))


def test_missing_and_cut_shards_are_named(corpus):
    path = corpus.folder / "train-00000.arrow"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"train-00000\.arrow has \d+ bytes, not \d+: copy it again"):
        Corpus.load(corpus.folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"train-00000\.arrow is missing"):
        Corpus.load(corpus.folder)


def test_a_shard_whose_first_message_is_no_schema_is_refused(corpus):
    path = corpus.folder / "train-00000.arrow"
    data = path.read_bytes()
    refused = 0
    for place in range(8, 80):  # one of these bytes says what the message is
        path.write_bytes(data[:place] + b"\0" + data[place + 1 :])
        try:
            rows_of(path)
        except ValueError as error:
            refused += "it begins with unknown" in str(error)
    assert refused
