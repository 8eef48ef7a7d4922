"""scikit-learn's own checks of estimators, which feed tables of numbers.

The estimators take texts, so `check_estimator` stops at the tag that says so. Here it tests subclasses that
write each row of numbers as a text, a word for each number, and pass it on. What does not apply, and why:

- `check_array_api_input`: skipped by scikit-learn itself, texts are no arrays of another library;
- `check_classifiers_multilabel_output_format_decision_function`: skipped, there is no `decision_function`;
- `check_transformer_preserve_dtypes`: encodings are float32 whatever the texts are made from;
- `check_methods_sample_order_invariance`: it wants float64's precision, 1e-7 of each number, but the last
  digit of float32 depends on which texts share a batch, on some processors more than on others.
  tests/test_estimator.py asks for the order to 1e-6.
"""

import warnings

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import (
    check_estimator,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from torchmoji import MojiPipeline, TorchMoji
from torchmoji.estimator import TorchMojiClassifier, TorchMojiVectorizer
from torchmoji.pipeline.engines import TorchEngine

COLUMNS, STEPS = 20, 13
SKIPPED = {"check_array_api_input", "check_classifiers_multilabel_output_format_decision_function"}
NOT_IN_FLOAT32 = {"check_methods_sample_order_invariance": "it wants the precision of float64"}
NOT_FOR_TEXTS = {"check_transformer_preserve_dtypes": "encodings are float32, whatever texts are made from"}


def word(column, step):
    return f"{chr(97 + column)}x{chr(97 + step)}"


def as_texts(X):
    """Each number as a word that names its column and its half."""
    steps = np.clip(np.round(np.asarray(X, dtype=float) * 2) + STEPS // 2, 0, STEPS - 1).astype(int)
    return [" ".join(word(column, step) for column, step in enumerate(row)) for row in steps]


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A tiny model that tells the words apart."""
    torch.manual_seed(0)
    model = TorchMoji(64, 10 + COLUMNS * STEPS, embedding_dim=1024, hidden_size=4)
    with torch.no_grad():
        model.embed.weight.mul_(20)
    words = {word(n // STEPS, n % STEPS): 10 + n for n in range(COLUMNS * STEPS)}
    folder = tmp_path_factory.mktemp("start") / "model"
    MojiPipeline(TorchEngine(model), words).save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def _one_thread():
    """Thousands of tiny operations: a second thread costs more than it does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class OfNumbers:
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = False
        tags.input_tags.one_d_array = False
        tags.input_tags.two_d_array = True
        tags.no_validation = False
        return tags

    def fit(self, X, y=None):
        if isinstance(self, TorchMojiClassifier):
            X, y = validate_data(self, X, y, multi_output=True)
        else:
            X = validate_data(self, X)
        return super().fit(as_texts(X), y)

    def checked(self, X):
        check_is_fitted(self)
        return as_texts(validate_data(self, X, reset=False))


class ClassifierOfNumbers(OfNumbers, TorchMojiClassifier):
    def __init__(
        self,
        model="default",
        method="last",
        epochs=12,
        patience=12,
        batch_size=32,
        extend_vocabulary=0,
        validation_fraction=0.1,
        class_weight=None,
        max_length=None,
        device=None,
        random_state=None,
        verbose=0,
    ):
        super().__init__(
            *(model, method, epochs, patience, batch_size, extend_vocabulary, validation_fraction),
            *(class_weight, max_length, device, random_state, verbose),
        )

    def predict_proba(self, X):
        return super().predict_proba(self.checked(X))


class VectorizerOfNumbers(OfNumbers, TorchMojiVectorizer):
    def transform(self, X):
        return super().transform(self.checked(X))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(ClassifierOfNumbers, NOT_IN_FLOAT32), (VectorizerOfNumbers, NOT_IN_FLOAT32 | NOT_FOR_TEXTS)],
)
def test_every_check_that_applies_passes(kind, expected, start):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks warn on purpose
        results = check_estimator(kind(start), expected_failed_checks=expected, on_fail=None, on_skip=None)
    by_status = {}
    for result in results:
        by_status.setdefault(result["status"], set()).add(result["check_name"])
    assert by_status.get("failed", set()) == set()
    assert by_status.get("skipped", set()) <= SKIPPED
    assert by_status.get("xfail", set()) <= set(expected)
    assert len(by_status["passed"]) > 35


@pytest.mark.filterwarnings("ignore")  # it warns that it cannot test estimators of texts further
@pytest.mark.parametrize("kind", [TorchMojiVectorizer, TorchMojiClassifier])
def test_checks_of_parameters_and_tags_pass_for_estimators_of_texts(kind, start):
    check_parameters_default_constructible(kind.__name__, kind())
    check_no_attributes_set_in_init(kind.__name__, kind())
    results = check_estimator(kind(start), on_fail=None, on_skip=None)
    assert {result["status"] for result in results} <= {"passed"}
