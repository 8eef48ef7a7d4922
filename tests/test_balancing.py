"""Guesses in which common classes have less of a head start."""

import json

import numpy as np
import pytest
from support.small_pipeline import small

from torchmoji import MojiPipeline
from torchmoji.balancing import Balance, with_temperature
from torchmoji.cli.main import main
from torchmoji.onnx.model import OnnxModel, export

FREQUENCIES = [0.64, 0.32, 0.04]
GIVEN = np.array([[0.6, 0.3, 0.1], [0.0, 0.5, 0.5]], dtype=np.float32)


def test_probabilities_are_divided_by_a_power_of_the_frequencies():
    for strength in (0.25, 0.5, 1.0):
        found = Balance(strength, FREQUENCIES, 3)(GIVEN)
        expected = GIVEN.astype(np.float64) / np.array(FREQUENCIES) ** strength
        np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), rtol=1e-6)
        assert found.dtype == np.float32


def test_without_it_nothing_changes():
    assert Balance(0, FREQUENCIES, 3)(GIVEN) is GIVEN
    assert Balance(0, None, 3)(GIVEN) is GIVEN
    assert Balance(0.5, FREQUENCIES, 3)(GIVEN[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("strength", "frequencies", "message"),
    [
        (-0.1, FREQUENCIES, r"from 0 \(as learned\) to 1 \(all classes alike\), got -0.1"),
        (1.5, FREQUENCIES, "got 1.5"),
        (0.5, None, "leave balance= out, or give class_frequencies="),
        (0.5, FREQUENCIES[:2], "2 frequencies for a model of 3 classes"),
        (0.0, [0.5, 0.5, 0.0], "must be a list of positive numbers"),
        (0.0, [0.5, 0.5, float("inf")], "must be a list of positive numbers"),
        (0.0, [[0.5, 0.5, 0.5]], "must be a list of positive numbers"),
        (0.0, "abc", "must be a list of positive numbers"),
    ],
)
def test_what_does_not_fit_is_refused(strength, frequencies, message):
    with pytest.raises(ValueError, match=message):
        Balance(strength, frequencies, 3)


@pytest.fixture
def folder(tmp_path):
    """A model of three classes."""
    small(3, ["a", "b", "c"], class_frequencies=FREQUENCIES).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_all_guesses_of_a_pipeline_are_balanced(folder, backend):
    own = MojiPipeline.from_pretrained(folder, backend)
    assert own.class_frequencies == tuple(FREQUENCIES)
    pipe = MojiPipeline.from_pretrained(folder, backend, balance=0.5)
    texts = ["good", "late", "so good not bad"]
    expected = Balance(0.5, FREQUENCIES, 3)(own.predict_proba(texts))
    np.testing.assert_allclose(pipe.predict_proba(texts), expected, rtol=1e-6)
    for prediction, row in zip(pipe.predict(texts, 3), expected, strict=True):
        assert [score.index for score in prediction] == np.argsort(-row, kind="stable").tolist()
        assert [score.probability for score in prediction] == pytest.approx(sorted(row, reverse=True))
    explanation = pipe.explain(texts[2])
    assert explanation[0].probability == pytest.approx(expected[2].max())
    np.testing.assert_array_equal(pipe.encode(texts), own.encode(texts))
    for one, other in zip(pipe.attention(texts), own.attention(texts), strict=True):
        assert one == other


def test_a_saved_pipeline_keeps_the_frequencies_not_the_strength(folder, tmp_path):
    MojiPipeline.from_pretrained(folder, balance=1).save_pretrained(tmp_path / "again")
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert config["class_frequencies"] == FREQUENCIES
    assert MojiPipeline.from_pretrained(tmp_path / "again").balance == 0


def test_a_damaged_configuration_is_named(folder):
    path = folder / "config.json"
    path.write_text(path.read_text().replace("0.64", '"many"'))
    with pytest.raises(ValueError, match=r"config\.json: class_frequencies must be a list of positive"):
        MojiPipeline.from_pretrained(folder)


def test_classes_with_other_names_are_as_frequent_and_others_can_be_given(folder):
    renamed = MojiPipeline.from_pretrained(folder, classes=["x", "y", "z"], balance=0.5)
    expected = MojiPipeline.from_pretrained(folder, balance=0.5).predict_proba("good")
    np.testing.assert_array_equal(renamed.predict_proba("good"), expected)
    given = MojiPipeline.from_pretrained(folder, balance=0.5, class_frequencies=[1, 1, 1])
    own = MojiPipeline.from_pretrained(folder).predict_proba("good")
    np.testing.assert_allclose(given.predict_proba("good"), own, rtol=1e-6)


def test_frequencies_travel_in_an_onnx_file(folder, tmp_path):
    path = tmp_path / "model.onnx"
    assert main(["export", "--model", str(folder), "--out", str(path)]) == 0
    pipe = MojiPipeline.from_pretrained(path, "onnx", balance=0.5)
    assert pipe.class_frequencies == tuple(FREQUENCIES)
    expected = MojiPipeline.from_pretrained(folder, balance=0.5).predict_proba("good")
    np.testing.assert_allclose(pipe.predict_proba("good"), expected, atol=1e-6)
    model = MojiPipeline.from_pretrained(folder, "torch").engine.model
    with pytest.raises(ValueError, match="2 frequencies for a model of 3 classes"):
        export(model, path, class_frequencies=[1, 2])
    export(model, path)
    assert OnnxModel(path).class_frequencies is None
    bare = MojiPipeline.from_pretrained(path, "onnx", vocabulary=folder / "vocabulary.json")
    assert bare.class_frequencies is None


def test_classes_judged_on_their_own_cannot_be_balanced(folder):
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"multi_label": false', '"multi_label": true'))
    with pytest.raises(ValueError, match="judged on its own: leave balance out"):
        MojiPipeline.from_pretrained(folder, balance=0.5)


def test_the_command_balances(folder, capsys):
    assert main(["emojize", "good", "--model", str(folder), "--top-k", "3", "--balance", "1", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    best = MojiPipeline.from_pretrained(folder, balance=1).predict("good", 3)
    assert [row[f"label_{place}"] for place in (1, 2, 3)] == [score.emoji for score in best]


def test_the_default_model_guesses_rarer_emojis():
    texts = ["hello", "what a day", "ok", "I saw it on the way home", "this is it"]
    own, balanced = MojiPipeline.from_pretrained(), MojiPipeline.from_pretrained(balance=1)
    assert sum(own.class_frequencies) == pytest.approx(1, abs=1e-3)

    def frequency(pipe):
        return np.mean([own.class_frequencies[best[0].index] for best in pipe.predict(texts, 1)])

    assert frequency(balanced) < 0.5 * frequency(own)


# --- temperature and thresholds -----------------------------------------------------------------------------


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_temperature_divides_the_logits(multi_label):
    logits = np.array([[2.0, -1.0, 0.5], [-90.0, 90.0, 0.0]])

    def probabilities(values):
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return 1 / (1 + np.exp(-values)) if multi_label else powers / powers.sum(axis=1, keepdims=True)

    own = probabilities(logits).astype(np.float32)
    for temperature in (0.5, 2.5):
        found = with_temperature(own, temperature, multi_label)
        np.testing.assert_allclose(found[0], probabilities(logits / temperature)[0], atol=1e-6)
        assert np.isfinite(found).all()
    assert with_temperature(own, 1, multi_label) is own


LIMITS = [0.3, 0.9, 0.2]


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_a_saved_classifier_goes_by_its_thresholds_and_temperature(tmp_path, backend):
    own = small(3, ["a", "b", "c"], multi_label=True)
    pipe = small(3, ["a", "b", "c"], multi_label=True, thresholds=LIMITS, temperature=2)
    pipe.save_pretrained(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (config["thresholds"], config["temperature"]) == (LIMITS, 2)
    path = tmp_path / "model"
    if backend == "onnx":  # also in one file
        path = tmp_path / "model.onnx"
        assert main(["export", "--model", str(tmp_path / "model"), "--out", str(path)]) == 0
    loaded = MojiPipeline.from_pretrained(path, backend)
    assert (loaded.thresholds, loaded.temperature) == (tuple(LIMITS), 2)
    expected = with_temperature(own.predict_proba("good"), 2, True)
    np.testing.assert_allclose(loaded.predict_proba("good"), expected, atol=1e-6)
    passing = [index for index in np.argsort(-expected) if expected[index] > LIMITS[index]]
    assert 0 < len(passing) < 3
    assert [score.index for score in loaded.predict("good")] == passing
    loaded.thresholds = None
    assert len(loaded.predict("good")) == 3


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("thresholds", [0.5], "there are 1 thresholds for a model of 3 classes"),
        ("thresholds", [0.5, 2, 0.5], r"config\.json: thresholds must be a number from 0 to 1 for each"),
        ("thresholds", {"a": 1}, "thresholds must be a number from 0 to 1 for each"),
        ("temperature", 0, r"config\.json: temperature must be a number from 0.001 to 1000, got 0"),
        ("temperature", 5e-324, "temperature must be a number from 0.001 to 1000, got 5e-324"),
        ("temperature", 10**400, "temperature must be a number from 0.001 to 1000, got 10000"),
        ("temperature", "warm", "temperature must be a number from 0.001 to 1000, got 'warm'"),
    ],
)
def test_thresholds_and_temperatures_that_do_not_fit_are_refused(folder, key, value, message):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ValueError, match=message):
        MojiPipeline.from_pretrained(folder)
