"""Texts, labels and rows are taken by position, whatever holds them and whatever its index says."""

import numpy as np
import pandas
import pytest
from support.small_task import small_model, small_task
from test_estimator import LABELS, TEXTS, VOCABULARY, classifier, start  # noqa: F401  a fixture

from torchmoji import MojiPipeline
from torchmoji.class_avg_finetuning import class_avg_finetune, class_avg_tune_trainable, prepare_labels
from torchmoji.estimator import TorchMojiVectorizer
from torchmoji.finetuning import calculate_batchsize_maxlen, find_f1_threshold, finetune, get_data_loader
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.training.datasets import LabelledTexts
from torchmoji.training.metrics import f1_of_classes, make_loss, score_of
from torchmoji.training.optimizer import make_optimizer

ORDER = np.random.default_rng(0).permutation(len(TEXTS))


def series(values, index):
    return pandas.Series(list(values), index=[index(n) for n in range(len(values))])


KINDS = {
    "shuffled": lambda values: series(values, lambda n: len(values) - 1 - n),
    "filtered": lambda values: series(values, lambda n: 3 * n + 7),
    "repeated": lambda values: series(values, lambda n: 0),
    "strings": lambda values: series(values, lambda n: f"row {n}"),
    "tuple": tuple,
    "objects": lambda values: series(values, lambda n: -n).to_numpy(dtype=object),
    "categories": lambda values: series(values, lambda n: -n).astype("category"),
}


@pytest.fixture(params=KINDS)
def held(request):
    return KINDS[request.param]


def table(values):
    """A table of the same rows with an index of strings."""
    return pandas.DataFrame(np.asarray(values), index=[f"r{n}" for n in range(len(values))][::-1])


def test_splitting(held):
    tokenizer = SentenceTokenizer(VOCABULARY, 5)
    split = [[5, 1], [0], [2, 3]]
    expected = tokenizer.split_train_val_test(TEXTS, LABELS, split)
    found = tokenizer.split_train_val_test(held(TEXTS), held(LABELS), [held(part) for part in split])
    for one, other in zip([*expected[0], *expected[1]], [*found[0], *found[1]], strict=True):
        assert one.tolist() == other.tolist()
    infos = tokenizer.split_train_val_test(held(TEXTS), table(np.arange(32).reshape(16, 2)), split)[1]
    assert infos[0].tolist() == [[10, 11], [2, 3]]
    found, expected = (tokenizer.tokenize_sentences(texts)[0] for texts in (held(TEXTS), TEXTS))
    np.testing.assert_array_equal(found, expected)
    assert calculate_batchsize_maxlen(held(TEXTS)) == calculate_batchsize_maxlen(TEXTS)
    data = LabelledTexts(TEXTS, np.arange(16), split)
    assert data.part(held([7, 3]))[1].tolist() == [7, 3]


def test_batches_and_scores(held):
    ids, y = SentenceTokenizer(VOCABULARY, 5).tokenize_sentences(TEXTS)[0], [0, 1] * 8
    expected = list(get_data_loader(ids, y, 4, epoch_size=8, upsample=True))
    for x in (held(ids.tolist()), table(ids)) if held is not KINDS["categories"] else (table(ids),):
        found = get_data_loader(x, held(y), 4, epoch_size=8, upsample=True)
        for (a, b), (c, d) in zip(expected, found, strict=True):
            assert (a.tolist(), b.tolist()) == (c.tolist(), d.tolist())
    other = [1, 1] * 8
    assert score_of("acc", held(y), held(other)) == 0.5
    assert f1_of_classes(held(y), held(other), [0, 1]) == f1_of_classes(y, other, [0, 1])
    p = np.linspace(0, 1, 16)
    assert find_f1_threshold(held(y), held(p), held(y), held(p)) == find_f1_threshold(y, p, y, p)
    assert make_loss(np.array(y), 3, series([1, 2, 3], lambda n: -n)).weight.tolist() == [1, 2, 3]


def test_finetune_and_class_average(held):
    texts, labels = small_task(2, sizes=(12, 6, 6))
    options = {"epoch_size": 12, "nb_epochs": 1, "verbose": False}
    as_rows = table if held is KINDS["categories"] else lambda x: held(x.tolist())
    rows, names = [as_rows(x) for x in texts], [held(y) for y in labels]
    for tune in (finetune, class_avg_finetune):
        one = tune(small_model(), texts, labels, 2, 4, "last", **options)
        given = tuple(rows), held(names) if held is tuple else names
        other = tune(small_model(), *given, 2, 4, "last", **options)
        for a, b in zip(one[0].parameters(), other[0].parameters(), strict=True):
            assert a.tolist() == b.tolist()
        assert one[1] == other[1]
    assert [part.tolist() for part in prepare_labels(*names, 1, 2)] == [y.tolist() for y in labels]


def test_the_steps_of_class_average_take_lists(tmp_path):
    texts, labels = small_task(2, sizes=(12, 6, 6))
    model = small_model()
    parts = [(x.tolist(), tuple(y)) for x, y in zip(texts, labels, strict=True)]
    files = (tmp_path / "start", tmp_path / "best")
    loss, optimizer = make_loss(labels[0], 2), make_optimizer(model, 1e-3, 0)
    assert class_avg_tune_trainable(model, 2, loss, optimizer, *parts, 12, 1, 4, *files, verbose=False) >= 0


def test_estimators_and_pipeline(held, start):  # noqa: F811
    expected = classifier(start).fit(TEXTS, LABELS)
    model = classifier(start).fit(held(TEXTS), held(LABELS))
    np.testing.assert_array_equal(model.predict_proba(held(TEXTS)), expected.predict_proba(TEXTS))
    np.testing.assert_array_equal(model.predict_proba(table(TEXTS)), expected.predict_proba(TEXTS))
    assert model.score(held(TEXTS), held(LABELS)) == expected.score(TEXTS, LABELS)
    given = (held(TEXTS[:4]), held(LABELS[:4]))
    assert classifier(start).fit(TEXTS, LABELS, given).history_ == (
        classifier(start).fit(TEXTS, LABELS, (TEXTS[:4], LABELS[:4])).history_
    )
    vectorizer, pipeline = TorchMojiVectorizer(start).fit(held(TEXTS)), MojiPipeline.from_pretrained(start)
    rows = pipeline.encode(TEXTS)
    np.testing.assert_array_equal(vectorizer.transform(held(TEXTS)), rows)
    np.testing.assert_array_equal(pipeline.encode(held(TEXTS)), rows)
    np.testing.assert_array_equal(pipeline.predict_proba(held(TEXTS)), pipeline.predict_proba(TEXTS))
    assert pipeline.predict(held(TEXTS)) == pipeline.predict(TEXTS)
    assert pipeline.emojize(held(TEXTS)) == pipeline.emojize(TEXTS)
    assert pipeline.attention(held(TEXTS)) == pipeline.attention(TEXTS)
    np.testing.assert_array_equal(pipeline.similarity(held(TEXTS), "day"), pipeline.similarity(TEXTS, "day"))


def test_tables_of_labels(start):  # noqa: F811
    y = table([[1, 0], [0, 1]] * 8).set_axis(["nice", "nasty"], axis=1)
    expected = classifier(start).fit(TEXTS, y.to_numpy())
    for labels in (y, y.astype("Int64"), y.astype(bool)):
        model = classifier(start).fit(TEXTS, labels)
        assert model.classes_.tolist() == ["nice", "nasty"]
        np.testing.assert_array_equal(model.predict_proba(TEXTS), expected.predict_proba(TEXTS))
        assert model.score(TEXTS, labels) == expected.score(TEXTS, y.to_numpy())


@pytest.mark.parametrize("dtype", ["Int64", "string", "Float64", "category", object])
def test_missing_labels_of_tables_are_refused(start, dtype):  # noqa: F811
    labels = pandas.Series([None, "1", "0", "1"] * 4, index=range(5, 21))
    if dtype in ("Int64", "Float64"):
        labels = pandas.to_numeric(labels)
    with pytest.raises(ValueError, match="label 0 is missing"):
        classifier(start).fit(TEXTS, labels.astype(dtype))
