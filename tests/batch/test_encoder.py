"""Batches in, the same batches with columns of results out."""

import pickle
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pandas
import pyarrow
import pytest
from support.small_pipeline import small

from torchmoji import MojiPipeline
from torchmoji.batch import BatchEncoder
from torchmoji.emojis import EMOTIONS, shown

TEXTS = ["a day", None, "", "not a day", 3]
GOOD = [0, 3]


@pytest.fixture(scope="module")
def pipeline(tiny_folder):
    return MojiPipeline.from_pretrained(tiny_folder)


@pytest.fixture(scope="module")
def encoder(tiny_folder):
    return BatchEncoder(tiny_folder, outputs=("emojis", "probabilities", "emotions", "features"), top_k=2)


def test_results_are_those_of_the_pipeline(encoder, pipeline):
    batch = encoder({"text": TEXTS, "n": np.arange(5)})
    texts = ["a day", "not a day"]
    assert batch["text"] is TEXTS
    for row, prediction in zip(GOOD, pipeline.predict(texts, 2), strict=True):
        assert [batch["emoji_1"][row], batch["emoji_2"][row]] == [shown(score.emoji) for score in prediction]
        assert batch["probability_2"][row] == pytest.approx(prediction[1].probability, abs=1e-6)
    np.testing.assert_allclose(batch["probabilities"][GOOD], pipeline.predict_proba(texts), atol=1e-6)
    np.testing.assert_allclose(batch["features"][GOOD], pipeline.encode(texts), atol=1e-6)
    emotions = np.stack([batch[name] for name in EMOTIONS], axis=1)
    np.testing.assert_allclose(emotions[GOOD], pipeline.emotions(texts), atol=1e-6)


def test_rows_without_a_text_get_an_error_and_no_results(encoder):
    batch = encoder({"text": [*TEXTS, float("nan"), b"a", "a" * (2**20 + 1)]})
    reasons = ["has no value", "has 3, of the type int", "has nan", "has b'a'", "has 1048577 characters"]
    for row, reason in zip((1, 4, 5, 6, 7), reasons, strict=True):
        assert reason in batch["error"][row]
        assert batch["emoji_1"][row] is None
        assert np.isnan(batch["features"][row]).all()
    assert [batch["error"][row] for row in (0, 2, 3)] == [None] * 3


def test_a_text_without_words_has_features_of_zeros_and_nothing_else(encoder):
    batch = encoder({"text": ["", " \N{VARIATION SELECTOR-16}", "?"]})
    assert (batch["features"][:2] == 0).all()
    assert [*batch["emoji_1"][:2]] == [None, None]
    assert np.isnan(batch["probabilities"]).all(axis=1).tolist() == [True, True, False]
    assert np.isnan(batch["joy"]).tolist() == [True, True, False]


def test_arrow_keeps_its_kind_and_columns(tiny_folder):
    encoder = BatchEncoder(tiny_folder, outputs=("features", "probabilities"), dtype="float16")
    table = pyarrow.table({"n": [1, 2], "text": ["a day", None]})
    for batch in (table, table.to_batches()[0]):
        out = encoder(batch)
        assert type(out) is type(batch)
        assert out.schema.names == ["n", "text", "features", "probabilities", "error"]
        assert out.schema.field("features").type == pyarrow.list_(pyarrow.float16(), 16)
        assert out.schema.field("probabilities").type == pyarrow.list_(pyarrow.float32(), 64)
        assert [column.null_count for column in out.columns] == [0, 1, 1, 1, 1]
    assert encoder(table.slice(0, 0)).schema == encoder(table).schema


def test_frames_keep_their_kind_and_index(encoder):
    frame = pandas.DataFrame({"text": ["a day", None]}, index=["x", "y"])
    out = encoder(frame)
    assert list(out.index) == ["x", "y"]
    assert list(frame.columns) == ["text"]
    assert out["probabilities"]["x"].shape == (64,)
    assert out["probabilities"]["y"] is None
    assert "no value" in out["error"]["y"]
    assert (out["error"].dtype, out["emoji_1"].dtype) == ("string", "string")  # Dask asks what they are
    assert encoder(frame.head(0)).dtypes.equals(out.dtypes)


def test_names_that_are_taken_get_underscores(tiny_folder):
    encoder = BatchEncoder(tiny_folder, "emoji_1", top_k=1)
    batch = encoder({"emoji_1": ["a day"], "error": [0], "error_": [1]})
    assert list(batch) == ["emoji_1", "error", "error_", "emoji_1_", "probability_1", "error__"]


def test_of_another_classifier_labels(tmp_path):
    small(2, ["good", "bad"]).save_pretrained(tmp_path / "model")
    batch = BatchEncoder(str(tmp_path / "model"), top_k=9)({"text": ["good day"]})
    assert list(batch) == ["text", "label_1", "score_1", "label_2", "score_2", "error"]


def test_it_is_small_to_pickle_also_after_use(encoder):
    encoder({"text": ["a day"]})
    data = pickle.dumps(encoder)
    assert len(data) < 2000
    assert pickle.loads(data) == encoder


def test_a_class_of_ones_own_may_have_more_fields(tiny_folder):
    @dataclass(frozen=True)
    class Prefixed(BatchEncoder):
        prefix: str = ""

    assert Prefixed(tiny_folder, prefix="a").pipeline() is BatchEncoder(tiny_folder).pipeline()


def test_strict_names_the_row(tiny_folder):
    with pytest.raises(ValueError, match=r"row 1 of the batch, column 'text', has no value"):
        BatchEncoder(tiny_folder, strict=True)({"text": TEXTS})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": ("emoji",)}, "outputs must be some of emojis, .* got emoji"),
        ({"outputs": ()}, "got none"),
        ({"dtype": "int8"}, "dtype must be one of float32, float16, got 'int8'"),
        ({"outputs": None}, "got None"),
        ({"outputs": [1]}, "got 1"),
        ({"top_k": 0}, "top_k must be a whole number from 1 on, got 0"),
        ({"top_k": "3"}, "top_k must be a whole number from 1 on, got '3'"),
        ({"batch_size": 2.5}, r"batch_size must be a whole number from 1 on, got 2\.5"),
    ],
)
def test_wrong_settings(options, message):
    with pytest.raises(ValueError, match=message):
        BatchEncoder(**options)


def test_wrong_batches(encoder):
    with pytest.raises(ValueError, match="no column 'text', only 'tweet': name the texts' as column="):
        encoder({"tweet": ["a"]})
    with pytest.raises(TypeError, match=r"a dict of columns, got list"):
        encoder(["a"])
    for row in ("good", None, np.array("good"), {"good": 1}):
        with pytest.raises(TypeError, match=r"'text' must be a list or an array of texts, got .*give batch"):
            encoder({"text": row})
    frame = pandas.DataFrame([["a", "b"]], columns=["text"] * 2)
    for twice in (frame, pyarrow.table([["a"], ["b"]], ["text"] * 2)):
        with pytest.raises(ValueError, match="the batch has 2 columns 'text': rename all but one"):
            encoder(twice)


def test_importing_is_quick():
    code = (
        "import sys, torchmoji.batch; from torchmoji.batch.encoder import BatchEncoder; BatchEncoder(); "
        "print([name for name in ('torch', 'pyarrow', 'ray', 'pandas') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
