"""The estimators: labels of all kinds, scikit-learn's tools, files."""

import copy
import json
import pickle

import numpy as np
import pandas
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from support.hostile import check_mutations

from torchmoji import MojiPipeline, TorchMoji
from torchmoji.estimator import TorchMojiClassifier, TorchMojiVectorizer
from torchmoji.pipeline.engines import TorchEngine

GOOD = ["good day", "a good one", "so good", "good good", "very good day", "good", "day good", "it is good"]
BAD = ["bad day", "a bad one", "so bad", "bad bad", "very bad day", "bad", "day bad", "it is bad"]
TEXTS = [text for pair in zip(GOOD, BAD, strict=True) for text in pair]
LABELS = ["yes", "no"] * 8
VOCABULARY = {word: 10 + n for n, word in enumerate("good bad day a one so very it".split())}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A tiny model to start from."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("start") / "model"
    model = TorchMoji(64, 18, embedding_dim=8, hidden_size=6)
    MojiPipeline(TorchEngine(model), VOCABULARY).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def one_class_each(start):
    """A classifier of yes and no."""
    return classifier(start).fit(TEXTS, LABELS)


def classifier(start, **options):
    settings = {"model": start, "method": "new", "epochs": 1, "batch_size": 4, "random_state": 0}
    return TorchMojiClassifier(**{**settings, **options})


LEARNING = {"epochs": 60, "patience": 60}


# --- vectorizer -------------------------------------------------------------------------------------------


def test_the_vectorizer_gives_the_encodings(start):
    vectorizer = TorchMojiVectorizer(start)
    rows = vectorizer.fit_transform(TEXTS)
    np.testing.assert_array_equal(rows, MojiPipeline.from_pretrained(start).encode(TEXTS))
    assert vectorizer.get_feature_names_out().tolist() == [f"torchmoji{n}" for n in range(32)]


def test_rows_follow_the_order_of_the_texts(start):
    order = np.random.default_rng(0).permutation(len(TEXTS))
    vectorizer, model = TorchMojiVectorizer(start).fit(TEXTS), classifier(start).fit(TEXTS, LABELS)
    for rows_of in (vectorizer.transform, model.predict_proba):
        np.testing.assert_allclose(rows_of([TEXTS[row] for row in order]), rows_of(TEXTS)[order], atol=1e-6)


def test_the_vectorizer_works_in_a_pipeline_and_on_a_column(start):
    model = make_pipeline(TorchMojiVectorizer(start, normalize=True), LogisticRegression(C=1e4, max_iter=999))
    assert model.fit(TEXTS, LABELS).score(TEXTS, LABELS) == 1
    table = np.array([[text, n] for n, text in enumerate(TEXTS)], dtype=object)
    for column in (0, [0]):
        columns = ColumnTransformer([("text", TorchMojiVectorizer(start), column)])
        rows = TorchMojiVectorizer(start).fit_transform(TEXTS)
        np.testing.assert_allclose(columns.fit_transform(table), rows)


def test_what_is_not_fitted_says_so(start):
    model = classifier(start)
    for call in (TorchMojiVectorizer(start).transform, model.predict):
        with pytest.raises(NotFittedError):
            call(TEXTS)
    for call in (model.score, model.calibrate, model.f1_of_classes):
        with pytest.raises(NotFittedError):
            call(TEXTS, LABELS)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("one text", TypeError, "put it into a list"),
        (["one", 2], TypeError, "text 1 is not a string"),
        (np.array([["a", "b"]]), ValueError, r"a table of one column, got the shape \(1, 2\)"),
        ({"text": TEXTS}, TypeError, "expected a text or several in an order, got dict"),
        ({"a", "b"}, TypeError, "expected a text or several in an order, got set"),
        (b"a", TypeError, "expected a text or several in an order, got bytes"),
        (None, TypeError, "expected a text or several in an order, got NoneType"),
        (np.array("x"), TypeError, r"expected a text or several, got ndarray of the shape \(\)"),
        (scipy.sparse.csr_array(np.ones((2, 1))), TypeError, r"got csr_array of the shape \(2, 1\)"),
    ],
    ids="text number columns mapping set bytes none scalar sparse".split(),
)
def test_what_is_not_texts_is_refused(start, one_class_each, X, error, message):
    for call in (TorchMojiVectorizer(start).fit, one_class_each.predict):
        with pytest.raises(error, match=message):
            call(X)
    with pytest.raises(error, match=message):
        classifier(start).fit(X, [0, 1])


# --- classifier -------------------------------------------------------------------------------------------


MORE = [*TEXTS, "so very", "very so", "very very", "so so", "a very", "it so"]


@pytest.mark.parametrize(
    ("texts", "y"), [(TEXTS, [3, 1] * 8), (TEXTS, [True, False] * 8), (MORE, [*LABELS, *["else"] * 6])]
)
def test_labels_of_any_kind_are_learned(start, texts, y):
    y = np.array(y)
    model = classifier(start, **LEARNING).fit(texts, y)
    assert model.classes_.tolist() == sorted(set(y.tolist()))
    assert model.score(texts, y) > 0.9
    probabilities = model.predict_proba(texts)
    assert probabilities.shape == (len(texts), len(model.classes_))
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert model.predict(texts).dtype == y.dtype


@pytest.mark.parametrize("columns", [2, 3])
def test_several_labels_are_learned_and_saved(start, tmp_path, columns):
    texts = [*TEXTS, "good bad", "bad good"] * 2
    y = np.array([["good" in t, "bad" in t, "day" in t] for t in texts]).astype(int)[:, :columns]
    model = classifier(start, epochs=80, patience=80, class_weight="balanced").fit(texts, y)
    predicted = model.predict(texts)
    assert predicted.shape == y.shape
    assert (predicted == y).mean() > 0.9
    model.save(tmp_path / "saved")
    loaded = TorchMojiClassifier.load(tmp_path / "saved")
    np.testing.assert_allclose(loaded.predict_proba(texts), model.predict_proba(texts), atol=1e-6)
    onnx = MojiPipeline.from_pretrained(tmp_path / "saved", "onnx")
    np.testing.assert_allclose(onnx.predict_proba(texts), model.predict_proba(texts), atol=1e-5)


def test_columns_of_a_table_name_the_classes(start):
    y = pandas.DataFrame([["good" in t, "bad" in t] for t in TEXTS], columns=["nice", "nasty"]).astype(int)
    model = classifier(start).fit(TEXTS, y)
    assert model.classes_.tolist() == ["nice", "nasty"]
    assert model.pipeline_.classes == ("nice", "nasty")


@pytest.fixture(scope="module")
def of_table(start):
    """A classifier of the columns of a table, and this table."""
    y = pandas.DataFrame([["good" in t, "day" in t] for t in TEXTS], columns=["nice", "day"]).astype(int)
    return classifier(start, epochs=40, patience=40).fit(TEXTS, y), y


@pytest.mark.parametrize("is_loaded", [False, True])
def test_columns_of_a_table_are_taken_by_name(of_table, tmp_path, is_loaded):
    model, y = of_table
    if is_loaded:
        model.save(tmp_path)
        model = TorchMojiClassifier.load(tmp_path)
    other = y[["day", "nice"]]
    assert model.score(TEXTS, other) == model.score(TEXTS, y) == model.score(TEXTS, y.to_numpy())
    assert model.score(TEXTS, y) > model.score(TEXTS, other.to_numpy())
    assert model.f1_of_classes(TEXTS, other) == model.f1_of_classes(TEXTS, y)
    found = [copy.deepcopy(model).calibrate(TEXTS, labels).temperature_ for labels in (y, other)]
    assert found[0] == found[1]
    unnamed = type(y)(y.to_numpy())  # by position, as an array
    assert model.score(TEXTS, unnamed) == model.score(TEXTS, y)
    message = r"must have the columns \['nice', 'day'\], but lack \['day'\] and have \['night'\]: name them"
    for call in (model.score, model.calibrate, model.f1_of_classes):
        with pytest.raises(ValueError, match=message):
            call(TEXTS, y.rename(columns={"day": "night"}))


def test_columns_of_validation_are_taken_by_name(of_table, start):
    _, y = of_table
    first, second, third = (
        classifier(start, epochs=3).fit(TEXTS, y, (TEXTS, labels)).history_
        for labels in (y, y[["day", "nice"]], y.to_numpy())
    )
    assert first == second == third
    with pytest.raises(ValueError, match=r"lack \['day'\] and have \['nice'\]"):
        classifier(start).fit(TEXTS, y.assign(more=0), (TEXTS, y.assign(more=0)[["more", "nice", "nice"]]))


def test_a_table_with_names_that_json_lacks_is_saved_under_other_names(of_table, start, tmp_path):
    _, y = of_table
    y = y.set_axis(pandas.MultiIndex.from_tuples([("a", "x"), ("a", "y")]), axis=1)
    model = classifier(start).fit(TEXTS, y, label_names=["nice", "day"])
    assert model.score(TEXTS, y[[("a", "y"), ("a", "x")]]) == model.score(TEXTS, y)
    model.save(tmp_path)
    assert TorchMojiClassifier.load(tmp_path).score(TEXTS, y) == model.score(TEXTS, y)


def test_names_that_are_given_are_for_tables_too(of_table, start):
    _, y = of_table
    swapped, array, renamed = y[["day", "nice"]], y.to_numpy(), y.set_axis(["a", "b"], axis=1)
    expected = classifier(start, epochs=3).fit(TEXTS, y, (TEXTS, y))
    for labels, validation in ((array, swapped), (swapped, array), (array, renamed), (renamed, renamed)):
        names = ["nice", "day"]
        model = classifier(start, epochs=3).fit(TEXTS, labels, (TEXTS, validation), label_names=names)
        assert model.classes_.tolist() == ["nice", "day"]
        assert model.history_ == expected.history_
        same = renamed[["b", "a"]] if labels is renamed else swapped
        assert model.score(TEXTS, same) == model.score(TEXTS, array) == expected.score(TEXTS, y)


@pytest.mark.parametrize("method", ["last", "full", "chain-thaw", "new"])
def test_every_method_lowers_the_loss_and_keeps_its_history(start, method):
    model = classifier(start, method=method, epochs=12).fit(TEXTS, LABELS)
    losses = [entry["train_loss"] for entry in model.history_ if "5/" not in entry["stage"]]
    assert len({entry["stage"] for entry in model.history_}) == (6 if method == "chain-thaw" else 1)
    assert min(losses) < losses[0]
    assert all(entry["val_loss"] > 0 for entry in model.history_)


def test_the_same_seed_gives_the_same_and_leaves_random_states_alone(start):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = (classifier(start).fit(TEXTS, LABELS).predict_proba(TEXTS) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert torch.equal(before, torch.get_rng_state())
    other = classifier(start, random_state=1).fit(TEXTS, LABELS).predict_proba(TEXTS)
    assert not np.array_equal(first, other)


def test_new_words_get_embeddings(start):
    texts = [text.replace("good", "splendid").replace("bad", "dreadful") for text in TEXTS]
    assert "splendid" not in classifier(start).fit(texts, LABELS).pipeline_.vocabulary
    model = classifier(start, **LEARNING, extend_vocabulary=2).fit(texts, LABELS)
    assert {"splendid", "dreadful"} <= set(model.pipeline_.vocabulary)
    assert model.score(texts, LABELS) == 1


def test_weights_of_classes_move_the_probabilities(start):
    plain = classifier(start, epochs=3).fit(TEXTS, LABELS)
    heavy = classifier(start, epochs=3, class_weight={"yes": 20.0}).fit(TEXTS, LABELS)
    assert (heavy.predict_proba(TEXTS)[:, 1] > plain.predict_proba(TEXTS)[:, 1]).all()


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({"method": "best"}, LABELS, "method is 'best'; it must be one of"),
        ({"validation_fraction": 1.0}, LABELS, "validation_fraction must be between 0 and 1"),
        ({}, LABELS[:-1], "there are 16 texts, but 15 labels"),
        ({}, [], "give texts with labels"),
        ({}, ["yes"] * 16, "only one class"),
        ({}, np.linspace(0, 1, 16), "Unknown label type: continuous"),
        ({"epochs": 0}, LABELS, "epochs must be a whole number from 1 on, got 0"),
        ({"epochs": "5"}, LABELS, "epochs must be a whole number from 1 on, got '5'"),
        ({"patience": None}, LABELS, "patience must be a whole number from 1 on, got None"),
        ({"batch_size": 8.5}, LABELS, r"batch_size must be a whole number from 1 on, got 8\.5"),
        ({"extend_vocabulary": -5}, LABELS, "extend_vocabulary must be a whole number from 0 on, got -5"),
        ({"extend_vocabulary": True}, LABELS, "extend_vocabulary must be a whole number from 0 on, got True"),
        ({"max_length": "3"}, LABELS, "max_length must be a whole number from 1 on, got '3'"),
        ({"max_length": 2.5}, LABELS, r"max_length must be a whole number from 1 on, got 2\.5"),
        ({"validation_fraction": "0.1"}, LABELS, "validation_fraction must be between 0 and 1, got '0.1'"),
        ({"thresholds": "0.5"}, LABELS, "thresholds must be 'validation' or a number from 0 to 1, got '0.5'"),
        ({"verbose": "no"}, LABELS, "verbose must be 0 or 1, got 'no'"),
        ({"model": 5}, LABELS, "model must be a name or a folder, got 5"),
        ({"device": "gpu"}, LABELS, "cannot use device 'gpu'"),
        ({}, ["yes", None] * 8, "label 1 is missing"),
        ({}, ["yes", float("nan")] * 8, "label 1 is missing"),
        ({}, [1.0, 0.0, float("nan"), 1.0] * 4, "label 2 is missing"),
        ({}, np.array([1.0, float("nan")] * 8), "label 1 is missing"),
        ({}, [[1, 0], [0, float("nan")]] * 8, "label 1 is missing"),
        ({}, [1, "a"] * 8, "labels are of different types, such as 1 and 'a': make all of them strings, or"),
        ({}, ["a", b"a"] * 8, "labels are of different types, such as 'a' and b'a'"),
        ({}, [[1], ["a"]] * 8, "labels are of different types"),
        ({}, np.array([1, "a"] * 8, dtype=object), "labels are of different types, such as 1 and 'a'"),
        ({"thresholds": 2}, LABELS, "thresholds must be 'validation' or a number from 0 to 1, got 2"),
        ({}, [["a"], ["b", "c"]] * 8, "MultiLabelBinarizer"),
        ({"class_weight": {"maybe": 1}}, LABELS, "class_weight has .*maybe"),
        ({"class_weight": "even"}, LABELS, "class_weight must be None, 'balanced' or a mapping"),
    ],
)
def test_wrong_parameters_are_refused(start, options, y, message):
    with pytest.raises(ValueError, match=message):
        classifier(start, **options).fit(TEXTS if len(y) else [], y)


def test_validation_texts_may_be_given(start):
    model = classifier(start, epochs=3).fit(TEXTS, LABELS, validation=(["good", "bad"], ["yes", "no"]))
    assert len(model.history_) == 3
    with pytest.raises(ValueError, match=r"labels have the shape \(16,\), those of validation \(1, 2\)"):
        classifier(start).fit(TEXTS, LABELS, validation=(["good"], [[0, 1]]))
    with pytest.raises(ValueError, match="label_names are 3, but the labels have 2 columns"):
        classifier(start).fit(TEXTS, [[0, 1], [1, 0]] * 8, label_names="abc")
    with pytest.raises(ValueError, match="validation has 1 texts, 2 labels"):
        classifier(start).fit(TEXTS, LABELS, validation=(["good"], ["yes", "no"]))


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (0.1, r"validation must be a pair \(texts, labels\), got 0\.1"),
        ((TEXTS,), r"validation must be a pair \(texts, labels\), got \(\['good day'"),
        ({"text": TEXTS, "label": LABELS}, "validation must be a pair"),
        ((TEXTS, None), "y must be a label for each text, got NoneType"),
        ((TEXTS, [1, 0] * 8), "labels and those of validation are of different types, such as 'yes' and 1"),
    ],
    ids="share texts mapping none types".split(),
)
def test_validation_that_does_not_fit_is_refused(start, validation, message):
    with pytest.raises(ValueError, match=message):
        classifier(start).fit(TEXTS, LABELS, validation)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (5, "must be several in an order, got 5"),
        ({"a", "b"}, "must be several in an order, got {'a', 'b'}"),
        (["a", 1], "are of different types, such as 'a' and 1"),
    ],
    ids="number set types".split(),
)
def test_names_of_labels_have_an_order_and_a_type(start, names, message):
    with pytest.raises(ValueError, match=f"label_names {message}"):
        classifier(start).fit(TEXTS, [[0, 1], [1, 0]] * 8, label_names=names)


def test_numbers_of_numpy_are_parameters_and_saved(start, tmp_path):
    y = np.eye(16, 3, dtype=int)
    options = {"epochs": np.int64(1), "max_length": np.int64(9), "thresholds": np.float32(0.25)}
    model = classifier(start, **options).fit(TEXTS, y)
    assert model.thresholds_.tolist() == [0.25] * 3
    model.save(tmp_path)
    assert MojiPipeline.from_pretrained(tmp_path).max_length == 9


# --- scikit-learn's tools ---------------------------------------------------------------------------------


def test_search_and_validation(start):
    search = GridSearchCV(classifier(start), {"batch_size": [4, 16]}, cv=2).fit(TEXTS, LABELS)
    assert search.best_params_["batch_size"] in (4, 16)
    assert cross_val_score(classifier(start), TEXTS, LABELS, cv=2).shape == (2,)


def test_a_clone_is_not_fitted_and_a_pickle_is(start):
    model = classifier(start).fit(TEXTS, LABELS)
    assert clone(model).get_params() == model.get_params()
    assert not hasattr(clone(model), "pipeline_")
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(TEXTS), model.predict_proba(TEXTS))


# --- thresholds and temperature ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def several(start):
    """A classifier of two labels, and its texts and labels."""
    texts = [*TEXTS, "good bad", "bad good"] * 2
    y = np.array([["good" in t, "day" in t] for t in texts]).astype(int)
    return classifier(start, epochs=12).fit(texts, y, label_names=["nice", "day"]), texts, y


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (np.array([[1, -1]] * 8 + [[-1, 1]] * 8), {}, r"several labels must be 0 and 1, got \[-1, 1\]"),
        (np.eye(16, 3, dtype=int), {"label_names": ["joy", "joy", "x"]}, "label_names must be different"),
        ([[1], [0]] * 8, {"label_names": ["toxic"]}, "label_names are for several columns"),
        (None, {}, "y must be a label for each text, got NoneType"),
        (iter(LABELS), {}, "y must be a label for each text"),
    ],
    ids="signs names column none iterator".split(),
)
def test_labels_that_are_none_are_refused(start, y, options, message):
    with pytest.raises(ValueError, match=message):
        classifier(start).fit(TEXTS, y, **options)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan")])
def test_weights_of_classes_are_positive(start, weight):
    with pytest.raises(ValueError, match="give a positive number for each of the 2 classes"):
        classifier(start, class_weight={"yes": weight}).fit(TEXTS, LABELS)


def test_sparse_labels_are_taken(start):
    y = np.eye(16, 3, dtype=int)
    for is_given in (False, True):
        validation, dense = ((TEXTS, scipy.sparse.csr_matrix(y)), (TEXTS, y)) if is_given else (None, None)
        found = classifier(start).fit(TEXTS, scipy.sparse.csr_matrix(y), validation).predict_proba(TEXTS)
        assert np.array_equal(found, classifier(start).fit(TEXTS, y, dense).predict_proba(TEXTS))


def test_a_fit_that_is_broken_off_leaves_no_weights_under_other_names(start, monkeypatch):
    model = classifier(start).fit(TEXTS, LABELS)
    monkeypatch.setattr(TorchMojiClassifier, "_train", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.fit(TEXTS, ["x", "y"] * 8)
    with pytest.raises(NotFittedError):
        model.predict(TEXTS)


def test_a_seed_of_numpy_is_saved(start, tmp_path):
    classifier(start, random_state=np.int64(7)).fit(TEXTS, LABELS).save(tmp_path)
    assert TorchMojiClassifier.load(tmp_path).random_state == 7


def test_training_that_ends_too_early_says_so(start, caplog):
    classifier(start).fit(TEXTS, LABELS)
    assert "ended at its limit, epoch 1, while it still improved" in caplog.text


def test_thresholds_of_the_validation_part_are_used_and_saved(several, start, tmp_path):
    model, texts, y = several
    assert model.classes_.tolist() == ["nice", "day"]
    assert model.thresholds_.shape == (2,)
    assert (model.thresholds_ != 0.5).any()
    probabilities = model.predict_proba(texts)
    np.testing.assert_array_equal(model.predict(texts), probabilities > model.thresholds_)
    model.save(tmp_path / "saved")
    loaded = TorchMojiClassifier.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.predict(texts), model.predict(texts))
    assert MojiPipeline.from_pretrained(tmp_path / "saved").thresholds == tuple(model.thresholds_)
    plain = classifier(start, thresholds=0.25).fit(texts, y)
    np.testing.assert_array_equal(plain.predict(texts), plain.predict_proba(texts) > 0.25)
    assert set(model.f1_of_classes(texts, y)) == {"nice", "day"}


@pytest.mark.parametrize("is_several", [False, True])
def test_calibrated_probabilities_fit_better_and_predictions_stay(start, several, tmp_path, is_several):
    if is_several:
        model, texts, y = several
    else:
        texts, y = TEXTS, LABELS
        model = classifier(start, **LEARNING).fit(texts, y)
    targets = y if is_several else np.array([[label == "no", label == "yes"] for label in y])
    other = np.array(y).copy()
    other[::4] = np.array(y)[1::4]  # of these labels it is too certain, or not certain enough
    targets = np.array(targets)
    targets[::4] = targets[1::4]
    before, predicted = model.predict_proba(texts), model.predict(texts)
    assert model.calibrate(texts, other).temperature_ != 1
    after = model.predict_proba(texts)
    losses = [-np.log(np.where(targets == 1, p, 1 - p)).mean() for p in (before, after)]
    assert losses[1] < losses[0]
    np.testing.assert_array_equal(model.predict(texts), predicted)
    model.save(tmp_path / "saved")
    for backend in ("torch", "onnx"):
        again = MojiPipeline.from_pretrained(tmp_path / "saved", backend)
        np.testing.assert_allclose(again.predict_proba(texts), after, atol=1e-5)
    with pytest.raises(ValueError, match="labels must be"):
        model.calibrate(texts, ["perhaps"] * len(texts))


# --- files ------------------------------------------------------------------------------------------------


def test_a_saved_classifier_gives_the_same_also_as_a_pipeline(start, tmp_path):
    model = classifier(start, **LEARNING, max_length=9).fit(TEXTS, LABELS)
    model.save(tmp_path / "saved")
    loaded = TorchMojiClassifier.load(tmp_path / "saved")
    assert (loaded.predict(TEXTS) == model.predict(TEXTS)).all()
    assert (loaded.history_, loaded.max_length) == (model.history_, 9)
    (best,) = MojiPipeline.from_pretrained(tmp_path / "saved").predict("good day", top_k=1)
    assert (best.emoji, best.alias) == ("yes", "yes")


def test_folders_that_are_no_classifiers_are_refused(start, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"classifier.json is missing"):
        TorchMojiClassifier.load(start)
    classifier(start).fit(TEXTS, LABELS).save(tmp_path)
    path, config = tmp_path / "classifier.json", tmp_path / "config.json"
    written = json.loads(config.read_text())
    about = json.loads(path.read_text())
    del written["files"]["classifier.json"]  # as where another model was saved there since
    config.write_text(json.dumps(written))
    with pytest.raises(ValueError, match="is of another model than the one beside it"):
        TorchMojiClassifier.load(tmp_path)
    del written["files"]
    config.write_text(json.dumps(written))
    damages = [
        *(
            {name: value}
            for name in about
            for value in (None, 1, [[]], {"a": 1}, 1e400)
            if name != "class_weight" and not (name.startswith(("data_", "columns")) and value is None)
        ),
        {"multi_label": "false"},
        {"multi_label": True},
        {"classes": ["no", "no"]},
        {"classes": ["no", "yes", "perhaps"]},
        {"classes": [10**20, 1]},
        {"classes": [10**400, 1]},
        {"classes": ["a\0", "a"]},
        {"classes": [float("nan"), 1.0]},
        {"classes": ["no", 1]},
        {"parameters": {**about["parameters"], "method": "best"}},
        {"parameters": {**about["parameters"], "x": 1}},
        {"class_weight": [1]},
    ]
    contents = [json.dumps({**about, **damage}) for damage in damages]
    for content in ("{}", "[]", "[" * 100_000, "", "\ud800", *contents):
        path.write_text(content, encoding="utf-8", errors="surrogatepass")
        with pytest.raises(ValueError, match=r"classifier\.json is (damaged|of)"):
            TorchMojiClassifier.load(tmp_path)


def test_a_mutated_classifier_is_read_or_refused(start, tmp_path):
    classifier(start).fit(TEXTS, LABELS).save(tmp_path)
    path = tmp_path / "classifier.json"
    check_mutations(path, lambda _: TorchMojiClassifier.load(tmp_path), (ValueError,))


def test_a_copy_of_a_loaded_classifier_starts_where_the_first_one_started(start, tmp_path):
    options = {"method": "last", "class_weight": {"yes": 2.0}, "batch_size": np.int64(4)}
    model = classifier(start, **options).fit(TEXTS, LABELS)
    model.save(tmp_path / "saved")
    loaded = TorchMojiClassifier.load(tmp_path / "saved")
    assert loaded.get_params() == model.get_params()
    assert loaded.model == start
    texts = ["so very good", "so very bad"]
    again = clone(loaded).fit(TEXTS, LABELS).predict_proba(texts)
    np.testing.assert_array_equal(again, clone(model).fit(TEXTS, LABELS).predict_proba(texts))
