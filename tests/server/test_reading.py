"""What the demo page says about texts: against the pipeline, for other classes, and for odd texts."""

import json

import numpy as np
import pytest
from support.small_pipeline import small

from torchmoji import MojiPipeline
from torchmoji.emojis import EMOTIONS
from torchmoji.server.page import CHIPS
from torchmoji.server.reading import EXAMPLES, NEAREST, Reader

TEXT = "I love mom's cooking"
OTHER = "not again.. my train is late"


@pytest.fixture(scope="module")
def pipeline():
    return MojiPipeline.from_pretrained(backend="onnx")


@pytest.fixture(scope="module")
def reader(pipeline):
    return Reader(pipeline)


def test_there_are_a_few_hundred_short_examples():
    assert len(EXAMPLES) >= 300
    assert len(set(EXAMPLES)) == len(EXAMPLES)
    assert max(map(len, (*EXAMPLES, *CHIPS))) <= 60
    assert not [text for text in EXAMPLES if text != text.strip() or text.startswith("#")]


def test_a_reading_is_what_the_pipeline_gives(pipeline, reader):
    found = reader.read(TEXT, 3)
    expected = pipeline.predict(TEXT, 3)
    assert [(s["emoji"], s["alias"]) for s in found["emojis"]] == [(s.emoji, s.alias) for s in expected]
    assert [s["probability"] for s in found["emojis"]] == [s.probability for s in expected]
    assert [tuple(word.values()) for word in found["words"]] == [tuple(word) for word in expected.words]
    assert list(found["emotions"]) == list(EMOTIONS)
    np.testing.assert_allclose(list(found["emotions"].values()), pipeline.emotions(TEXT), atol=1e-6)
    assert (found["text"], found["cut"]) == (TEXT, False)
    assert json.loads(json.dumps(found)) == found


def test_the_nearest_are_the_most_similar_of_the_examples(pipeline, reader):
    nearest = reader.read(OTHER)["nearest"]
    similarities = pipeline.similarity(OTHER, list(EXAMPLES))
    best = np.argsort(-similarities)[:NEAREST]
    assert [near["text"] for near in nearest] == [EXAMPLES[index] for index in best]
    np.testing.assert_allclose([near["similarity"] for near in nearest], similarities[best], atol=1e-5)
    assert [near["emoji"] for near in nearest] == [
        pipeline.predict(near["text"])[0].emoji for near in nearest
    ]


def test_an_example_is_nearest_to_itself(reader):
    nearest = reader.read(EXAMPLES[7])["nearest"][0]
    assert nearest["text"] == EXAMPLES[7]
    assert nearest["similarity"] == pytest.approx(1, abs=1e-3)  # int8 rounds by the batch


def test_a_comparison_has_both_readings_and_their_similarity(pipeline, reader):
    found = reader.compare(TEXT, OTHER, 2)
    assert (found["first"], found["second"]) == (reader.read(TEXT, 2), reader.read(OTHER, 2))
    assert found["similarity"] == pytest.approx(pipeline.similarity(TEXT, OTHER), abs=1e-5)
    pairs = pipeline.similarity(list(EXAMPLES), list(EXAMPLES))[np.triu_indices(len(EXAMPLES), 1)]
    assert found["closer_than"] == pytest.approx((pairs < found["similarity"]).mean(), abs=1e-3)


def test_equal_texts_are_closer_than_all_examples(reader):
    found = reader.compare(TEXT, TEXT)
    assert found["similarity"] == pytest.approx(1, abs=1e-5)
    assert found["closer_than"] == 1


def test_a_text_without_words_has_no_nearest(reader):
    found = reader.read("  ")
    assert (found["words"], found["nearest"]) == ([], [])
    assert len(found["emojis"]) == 5
    assert reader.compare("", TEXT)["similarity"] == 0


@pytest.mark.parametrize(
    ("classes", "top"), [(["positive", "negative"], 2), (["😀", "🦖", "other_things"], 3)]
)
def test_other_classes_have_no_emotions(classes, top):
    found = Reader(small(len(classes), classes)).read("good day")
    assert found["emotions"] is None
    assert sorted(score["emoji"] for score in found["emojis"]) == sorted(classes)
    assert len(found["emojis"]) == top
    assert sum(score["probability"] for score in found["emojis"]) == pytest.approx(1, abs=1e-5)
    words = [name for name in classes if name.isascii()]
    assert {score["emoji"] for score in found["emojis"] if score["emoji"] == score["alias"]} == set(words)


def test_classes_on_their_own_have_no_emotions_also_where_they_are_the_64_emojis():
    reader = Reader(small(multi_label=True))
    assert reader.multi_label
    found = reader.read("good day", 64)
    assert sum(score["probability"] for score in found["emojis"]) > 2
    assert found["emotions"] is None


def test_a_model_without_classes_is_refused():
    with pytest.raises(ValueError, match="this model gives features alone"):
        Reader(small(None))


def test_of_a_longer_text_the_first_words_are_read(caplog):
    pipeline = small(max_length=3)
    found = Reader(pipeline).read("good day bad train late")
    assert found["cut"]
    assert [word["word"] for word in found["words"]] == ["good", "day", "bad"]
    assert found["emojis"][0]["probability"] == pytest.approx(pipeline.predict("good day bad")[0].probability)
    assert found["text"] == "good day bad train late"
    assert not caplog.records


def test_windows_read_the_whole_text():
    found = Reader(small(max_length=3, windows=True)).read("good day bad train late")
    assert (found["cut"], len(found["words"])) == (False, 5)


def test_half_a_character_becomes_a_whole_one(reader):
    found = reader.read("so \ud83d good")
    assert found["text"] == "so \ufffd good"
    json.dumps(found).encode("utf-8")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3,), TypeError, "a text must be a string, got 3"),
        (("good", "many"), TypeError, "top_k must be a whole number, got 'many'"),
        (("good", True), TypeError, "top_k must be a whole number, got True"),
        (("good", 0), ValueError, "top_k must be at least 1, got 0"),
    ],
)
def test_wrong_values_are_refused(reader, arguments, error, message):
    with pytest.raises(error, match=message):
        reader.read(*arguments)
