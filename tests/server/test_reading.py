"""What the demo page says about texts: against the pipeline, for other classes, and for odd texts."""

import json

import numpy as np
import pytest
from support.small_pipeline import small

from torchmoji.emojis import EMOTIONS
from torchmoji.server.reading import EXAMPLES, NEAREST, Reader

TEXT = "I love mom's cooking"
OTHER = "not again.. my train is late"


@pytest.fixture(scope="module")
def reader(pipeline):
    return Reader(pipeline)


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


def test_a_comparison_has_both_readings_and_their_similarity(pipeline, reader):
    found = reader.compare(TEXT, OTHER, 2)
    assert (found["first"], found["second"]) == (reader.read(TEXT, 2), reader.read(OTHER, 2))
    assert found["similarity"] == pytest.approx(pipeline.similarity(TEXT, OTHER), abs=1e-5)
    pairs = pipeline.similarity(list(EXAMPLES), list(EXAMPLES))[np.triu_indices(len(EXAMPLES), 1)]
    assert found["closer_than"] == pytest.approx((pairs < found["similarity"]).mean(), abs=1e-3)
    assert reader.compare(TEXT, TEXT)["closer_than"] == 1


def test_a_text_without_words_has_no_nearest(reader):
    found = reader.read("  ")
    assert (found["words"], found["nearest"], found["emojis"]) == ([], [], [])
    assert reader.compare("", TEXT)["similarity"] == 0


def test_other_classes_have_no_emotions():
    classes = ["😀", "🦖", "other_things"]
    found = Reader(small(3, classes)).read("good day")
    assert found["emotions"] is None
    assert {score["emoji"]: score["alias"] for score in found["emojis"]} == {
        "😀": "grinning_face",
        "🦖": "T-Rex",
        "other_things": "other_things",
    }


def test_classes_on_their_own_have_no_emotions_also_where_they_are_the_64_emojis():
    reader = Reader(small(multi_label=True))
    assert reader.multi_label
    found = reader.read("good day", 64)
    assert sum(score["probability"] for score in found["emojis"]) > 2
    assert found["emotions"] is None


def test_of_a_longer_text_the_first_words_are_read(caplog):
    pipeline = small(max_length=3)
    found = Reader(pipeline).read("good day bad train late")
    assert found["cut"]
    assert [word["word"] for word in found["words"]] == ["good", "day", "bad"]
    assert found["emojis"][0]["probability"] == pytest.approx(pipeline.predict("good day bad")[0].probability)
    assert not caplog.records
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
