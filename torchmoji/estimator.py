"""scikit-learn estimators: texts to features, and a classifier fine-tuned on one's own texts.

They work in `Pipeline`, `GridSearchCV`, `cross_val_score` and `ColumnTransformer`, can be cloned and pickled.
Fine-tuning follows DeepMoji's methods (`torchmoji.finetuning`); the part that early stopping looks at is
taken from the training texts.
"""

import json
import logging
import math
import os
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from numbers import Integral, Real
from pathlib import Path
from reprlib import repr as short
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d
from torch import nn

from torchmoji.balancing import with_temperature
from torchmoji.batching import check_are_texts
from torchmoji.create_vocab import VocabBuilder, extend_vocab
from torchmoji.emoticons import fold_signs
from torchmoji.files.atomic import read_json
from torchmoji.global_variables import FINETUNING_METHODS
from torchmoji.model_def import EMBED_DROPOUT_RATE, TorchMoji, torchmoji_transfer
from torchmoji.pipeline.engines import Backend, TorchEngine
from torchmoji.pipeline.pipeline import LONGEST, MojiPipeline
from torchmoji.runtime.options import checked_count
from torchmoji.runtime.products import checked_device
from torchmoji.sentence_tokenizer import SentenceTokenizer, check_is_text
from torchmoji.training.last_layer import on_features
from torchmoji.training.loop import TrainingOptions, check_choice, seeded, train_by_method, training_session
from torchmoji.training.metrics import (
    check_class_weight,
    choose_temperature,
    choose_thresholds,
    device_of,
    f1_of_classes,
    make_loss,
    predict,
)
from torchmoji.training.sampling import Part, as_array, loaders_of
from torchmoji.weights.folder import find
from torchmoji.word_generator import every_word

logger = logging.getLogger(__name__)

ABOUT_NAME = "classifier.json"
DEFAULT_THRESHOLD = 0.5


def _as_texts(X: Any) -> list[str]:
    """Texts of a list, array or series, or of the one column of a table.

    TypeError where one is not a string, or `X` is a string itself or has no order; ValueError where a table
    has several columns.
    """
    if isinstance(X, str):
        raise TypeError("X must be several texts, got str: put it into a list")
    shape: tuple[int, ...] = getattr(X, "shape", ())
    if len(shape) > 1 and not hasattr(X, "toarray"):  # sparse ones hold no texts
        if len(shape) != 2 or shape[1] != 1:
            raise ValueError(f"X must be texts (n,) or a table of one column, got the shape {tuple(shape)}")
        X = np.asarray(X, dtype=object)[:, 0]
    check_are_texts(X)
    texts = list(X)
    for position, text in enumerate(texts):
        check_is_text(text, position)
    return texts


def _as_labels(y: Any) -> npt.NDArray[Any]:
    """Labels (n,) or (n, C); a column (n, 1) becomes (n,), with scikit-learn's warning."""
    if hasattr(y, "toarray"):  # sparse
        y = y.toarray()
    if isinstance(y, list | tuple):  # as an array they might be texts, and a missing one too
        _check_labels(y)
    try:
        labels = as_array(y)
    except ValueError as error:
        raise ValueError(
            "labels are lists of different lengths: make 0 and 1 for each class of them, as "
            "sklearn.preprocessing.MultiLabelBinarizer does"
        ) from error
    if labels.ndim == 0:
        raise ValueError(f"y must be a label for each text, got {type(y).__name__}: put them into a list")
    if labels.dtype.kind in "Of":
        _check_labels(labels)
    is_column = labels.ndim == 2 and labels.shape[1] == 1
    return np.asarray(column_or_1d(labels, warn=True)) if is_column else labels


def _check_labels(labels: Any) -> None:
    """Refuse missing labels, and strings beside numbers."""
    values = []
    for number, label in enumerate(labels):
        for value in np.ravel(label) if np.ndim(label) else [label]:
            try:
                is_missing = value is None or bool(value != value)
            except TypeError:  # what pandas has for a missing value is neither equal nor unequal
                is_missing = True
            if is_missing:
                raise ValueError(f"label {number} is missing: leave such texts out, or give them a class")
            values.append(value)
    _check_one_type(values, "labels")


def _check_one_type(values: Iterable[Any], what: str) -> None:
    """Refuse strings beside others, which would become strings with them in an array."""
    kinds = {isinstance(value, str) - isinstance(value, bytes): value for value in values}
    if len(kinds) > 1:
        examples = " and ".join(map(short, kinds.values()))
        raise ValueError(
            f"{what} are of different types, such as {examples}: make all of them strings, or numbers"
        )


def _columns_of(y: Any) -> list[Any]:
    """Names of a table's columns, also 0, 1 ...; [] where it has none."""
    names = list(getattr(y, "columns", ()))
    return names if all(isinstance(name, Hashable) for name in names) else []  # pyarrow's are the columns


def _are_names(columns: list[Any]) -> bool:
    """Whether somebody named the columns, so that they are not numbered as pandas does it."""
    return columns != list(range(len(columns)))


def _by_name(
    labels: npt.NDArray[Any], y: Any, names: Sequence[Any], strict: bool = False
) -> npt.NDArray[Any]:
    """The columns of labels (n, C) in the order of `names`, where `y` is a table that has these names.

    Otherwise as they are; but ValueError where `strict`, and the table's names are others.
    """
    columns = _columns_of(y)
    if labels.ndim == 1 or not columns:
        return labels
    given, wanted = Counter(columns), Counter(names)
    if given == wanted:
        place = {name: number for number, name in enumerate(columns)}
        return labels[:, [place[name] for name in names]]
    if strict and _are_names(columns):
        missing, other = (short(list(few.elements())) for few in (wanted - given, given - wanted))
        raise ValueError(
            f"labels must have the columns {short(list(names))}, but lack {missing} and have {other}: name "
            "them so, or give an array of them in this order"
        )
    return labels


class _OfTexts(BaseEstimator):
    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.no_validation = True
        return tags


class TorchMojiVectorizer(TransformerMixin, _OfTexts):
    """Turns texts into emotional encodings.

    Args:
        model: As `MojiPipeline.from_pretrained` takes it.
        backend: As `MojiPipeline.from_pretrained` takes it.
        batch_size: Texts in a batch, at most.
        normalize: Scale each encoding to the length 1.

    Attributes:
        pipeline_: The model.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "default",
        backend: Backend = "auto",
        batch_size: int | None = None,
        normalize: bool = False,
    ) -> None:
        self.model = model
        self.backend = backend
        self.batch_size = batch_size
        self.normalize = normalize

    def fit(self, X: Any, y: Any = None) -> "TorchMojiVectorizer":
        """Load the model; nothing is learned from the texts."""
        _as_texts(X)
        self.pipeline_ = MojiPipeline.from_pretrained(self.model, self.backend)
        return self

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """Give float32 (n, F).

        Args:
            X: Texts, or a table of one column.
        """
        check_is_fitted(self)
        rows: npt.NDArray[np.float32] = self.pipeline_.encode(
            _as_texts(X), batch_size=self.batch_size, normalize_embeddings=self.normalize
        )
        return rows

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Names of the columns, torchmoji0 and so on."""
        check_is_fitted(self)
        size = self.pipeline_.engine.nb_features
        return np.array([f"torchmoji{number}" for number in range(size)], dtype=object)


class TorchMojiClassifier(ClassifierMixin, _OfTexts):
    """A classifier of texts, fine-tuned from a pretrained model.

    Args:
        model: The model to start from: "default", "deepmoji", a folder or a hub id.
        method: "last" (the output layer alone; quick), "full", "chain-thaw" or "new", which starts from
            random weights.
        epochs: At most so many, for chain-thaw in each stage.
        patience: Stop after so many epochs in a row without a lower validation loss.
        batch_size: Texts in a batch.
        extend_vocabulary: Add at most so many of the training texts' most frequent new words.
        validation_fraction: Share of the training texts that early stopping looks at, 0 to 1.
        class_weight: None, "balanced" or class -> weight.
        max_length: Tokens of a text, at most; None for up to 512.
        device: Such as "cuda".
        random_state: Seed of the split, the new weights, the order of samples and dropout.
        verbose: 0 is silent, 1 shows progress bars.
        thresholds: Of multi-label data, the probability above which a label is predicted: a number, or
            "validation" for the one of each label that has the best F1 on the texts that early stopping looks
            at.

    Attributes:
        classes_: The labels, sorted; of multi-label data the names of the columns, or their numbers.
        thresholds_: Of multi-label data that of each label (C,), else None.
        temperature_: What `calibrate` found, else 1.
        history_: For each epoch its `stage`, `train_loss`, `val_loss` and `val_accuracy`.
        pipeline_: The fine-tuned model.
        data_sha256: SHA-256 of the file that the texts came from, or None; saved, for whoever sets it.
        data_label: The column of labels in that file, or None.
    """

    data_sha256: str | None = None
    data_label: str | None = None
    thresholds_: npt.NDArray[np.float64] | None
    pipeline_: MojiPipeline
    _columns: list[Any] | None = None  # of the table of labels, where it had names

    def __init__(
        self,
        model: str | os.PathLike[str] = "default",
        method: str = "last",
        epochs: int = 50,
        patience: int = 5,
        batch_size: int = 32,
        extend_vocabulary: int = 0,
        validation_fraction: float = 0.1,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        max_length: int | None = None,
        device: Any = None,
        random_state: Any = None,
        verbose: int = 0,
        thresholds: float | Literal["validation"] = "validation",
    ) -> None:
        self.model = model
        self.method = method
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.extend_vocabulary = extend_vocabulary
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.max_length = max_length
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.thresholds = thresholds

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.non_deterministic = False
        return tags

    def fit(
        self,
        X: Any,
        y: Any,
        validation: tuple[Any, Any] | None = None,
        *,
        label_names: Iterable[Any] | None = None,
    ) -> "TorchMojiClassifier":
        """Fine-tune.

        Args:
            X: Texts, or a table of one column.
            y: Labels of any one type (n,), or 0 and 1 for each of several labels (n, C).
            validation: Texts and labels that early stopping looks at, in place of a share of the others.
            label_names: Names of the columns of labels (n, C); by default those of a table, or numbers.

        Rows are taken by position, whatever the index of a series or a table is. Where the columns of labels
        have names, those of other tables are taken by name, also to score and calibrate, those of arrays by
        position.

        Raises:
            TypeError: A text is not a string, or the texts have no order, as those of a set.
            ValueError: A parameter is not as described, labels are strings beside numbers or not as many as
                the texts, columns have other names, or there are fewer than two classes.
        """
        texts, labels = _as_texts(X), _as_labels(y)
        for name in ("pipeline_", "data_sha256", "data_label"):  # of other texts, should this be interrupted
            self.__dict__.pop(name, None)
        if len(texts) != len(labels):
            raise ValueError(f"there are {len(texts)} texts, but {len(labels)} labels: give one for each")
        if label_names is not None:
            if labels.ndim == 1 and np.ndim(y) == 2:
                raise ValueError("label_names are for several columns of labels: leave them out for one")
            if not isinstance(label_names, Iterable) or isinstance(label_names, Mapping | Set):
                raise ValueError(f"label_names must be several in an order, got {short(label_names)}")
            label_names = list(label_names)
            _check_one_type(label_names, "label_names")
        if not texts:
            raise ValueError("Found array with 0 sample(s): give texts with labels")
        check_choice("method", self.method, FINETUNING_METHODS)
        checked_device(self.device)
        if not isinstance(self.model, str | os.PathLike):
            raise ValueError(f"model must be a name or a folder, got {self.model!r}")
        for name, least in (("epochs", 1), ("patience", 1), ("batch_size", 1), ("extend_vocabulary", 0)):
            checked_count(name, getattr(self, name), least)
        if self.max_length is not None:
            checked_count("max_length", self.max_length)
        if not isinstance(self.verbose, Integral):
            raise ValueError(f"verbose must be 0 or 1, got {self.verbose!r}")
        is_number = isinstance(self.thresholds, Real) and 0 <= self.thresholds <= 1
        if not is_number and not (isinstance(self.thresholds, str) and self.thresholds == "validation"):
            raise ValueError(
                f"thresholds must be 'validation' or a number from 0 to 1, got {self.thresholds!r}"
            )
        if not isinstance(self.validation_fraction, Real) or not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be between 0 and 1, got {self.validation_fraction!r}")
        columns = _columns_of(y)
        if label_names is not None:
            labels = _by_name(labels, y, label_names)
            columns = label_names if set(label_names) == set(columns) else columns
        self._columns = columns if labels.ndim == 2 and _are_names(columns) else None
        nb_given = len(texts)
        if validation is not None:
            if not isinstance(validation, tuple | list) or len(validation) != 2:
                raise ValueError(f"validation must be a pair (texts, labels), got {short(validation)}")
            more, more_labels = _as_texts(validation[0]), _as_labels(validation[1])
            if len(more) == 0 or len(more) != len(more_labels):
                raise ValueError(
                    f"validation has {len(more)} texts, {len(more_labels)} labels: give some, as many"
                )
            if more_labels.shape[1:] != labels.shape[1:]:
                raise ValueError(
                    f"labels have the shape {labels.shape}, those of validation {more_labels.shape}: give "
                    "both in one form"
                )
            some = labels[:1].tolist() + more_labels[:1].tolist()
            _check_one_type(some, "labels and those of validation")
            names = self._columns or label_names or columns
            more_labels = _by_name(more_labels, validation[1], names, self._columns is not None)
            texts, labels = texts + more, np.concatenate([labels, more_labels])
        texts = [fold_signs(text) for text in texts]  # as the pipeline reads them
        named = getattr(y, "columns", None) if label_names is None else label_names
        targets = self._learn_classes(labels, named)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        rows = np.arange(len(texts))
        split = [rows[:nb_given], rows[nb_given:]] if validation is not None else self._split(targets, seed)
        vocabulary, model = self._start([texts[row] for row in split[0]], seed)
        tokenizer = SentenceTokenizer(vocabulary, self.max_length or LONGEST)
        ids = tokenizer.tokenize_sentences(texts)[0]
        ids = ids[:, : max(1, int((ids != 0).sum(1).max()))]
        self._train(model, [(ids[part], targets[part]) for part in split], seed)
        engine = TorchEngine(model, self.multi_label_)
        names = [str(name) for name in self.classes_]
        thresholds = None if self.thresholds_ is None else self.thresholds_.tolist()
        self.pipeline_ = MojiPipeline(engine, vocabulary, names, self.max_length, thresholds=thresholds)
        return self

    def calibrate(self, X: Any, y: Any) -> "TorchMojiClassifier":
        """Choose the temperature with which the probabilities fit texts best: predictions stay the same.

        Fine-tuned models are often too certain: of what they say with 95% more than one in twenty is wrong.

        Args:
            X: Texts that training has not seen, such as those of a validation part.
            y: Their labels, in the form of those of `fit`.

        Raises:
            ValueError: There are no texts, or labels that are not those of `fit`.
        """
        texts, labels = _as_texts(X), self._labels(y)
        if not texts or len(texts) != len(labels):
            raise ValueError(f"there are {len(texts)} texts and {len(labels)} labels: give some, as many")
        pipeline, before = self.pipeline_, self.temperature_
        known = self.classes_.tolist()
        if self.multi_label_:
            if labels.ndim != 2 or labels.shape[1] != len(known) or not np.isin(labels, (0, 1)).all():
                raise ValueError(f"labels must be 0 and 1, (n, {len(known)}), got the shape {labels.shape}")
            targets = labels.astype(np.int64)
        else:
            if labels.ndim != 1 or not np.isin(labels, self.classes_).all():
                raise ValueError(f"labels must be of the classes {known}, got {np.unique(labels)[:10]}")
            targets = np.searchsorted(self.classes_, labels)
        found = before
        try:
            pipeline.temperature = 1.0
            found = choose_temperature(targets, pipeline.predict_proba(texts), self.multi_label_)
        finally:
            pipeline.temperature = found
        if self.thresholds_ is not None:
            moved = with_temperature(self.thresholds_[np.newaxis], found / before, True)[0]
            self.thresholds_ = moved.astype(np.float64)
            pipeline.thresholds = tuple(self.thresholds_.tolist())
        return self

    @property
    def temperature_(self) -> float:
        """What `calibrate` found, else 1."""
        check_is_fitted(self, "pipeline_")
        return self.pipeline_.temperature

    def _labels(self, y: Any) -> npt.NDArray[Any]:
        """`_as_labels`, columns in the order of the classes."""
        check_is_fitted(self, "pipeline_")
        names = self.classes_.tolist() if self._columns is None else self._columns
        return _by_name(_as_labels(y), y, names, self._columns is not None)

    def _learn_classes(self, labels: npt.NDArray[Any], columns: Any) -> npt.NDArray[np.int64]:
        """Set `classes_` and `multi_label_`; give class numbers (n,), or 0 and 1 (n, C)."""
        kind = type_of_target(labels)
        if kind not in ("binary", "multiclass", "multilabel-indicator"):
            raise ValueError(
                f"Unknown label type: {kind}; labels must be classes (n,), or 0 and 1 (n, C) for several"
            )
        self.multi_label_ = kind == "multilabel-indicator"
        if self.multi_label_:
            if not np.isin(labels, (0, 1)).all():
                raise ValueError(f"several labels must be 0 and 1, got {np.unique(labels)[:5].tolist()}")
            self.classes_ = np.arange(labels.shape[1]) if columns is None else np.asarray(columns)
            if len(set(self.classes_.tolist())) < len(self.classes_):
                raise ValueError(f"label_names must be different, got {self.classes_.tolist()}")
            if len(self.classes_) != labels.shape[1]:
                raise ValueError(
                    f"label_names are {len(self.classes_)}, but the labels have {labels.shape[1]} columns"
                )
            self._log_counts(labels.sum(0).tolist())
            return labels.astype(np.int64)
        self.classes_, targets, counts = np.unique(labels, return_inverse=True, return_counts=True)
        self._log_counts(counts.tolist())
        if len(self.classes_) < 2:
            raise ValueError(
                f"there is only one class, {self.classes_.tolist()[0]!r}: a classifier needs two or more"
            )
        return targets

    def _log_counts(self, counts: list[Any]) -> None:
        pairs = zip(self.classes_.tolist(), counts, strict=True)
        logger.info("texts with each class: %s", ", ".join(f"{name} {int(count)}" for name, count in pairs))

    def _split(self, targets: npt.NDArray[Any], seed: int) -> list[npt.NDArray[np.int64]]:
        """Positions of the training and the validation texts, each class in both where it has enough."""
        size = max(1, round(self.validation_fraction * len(targets)))
        if size >= len(targets):
            raise ValueError(f"n_samples={len(targets)} is too few: training and validation need one each")
        counts = np.bincount(targets) if targets.ndim == 1 else np.zeros(1)
        can_stratify = counts.min() >= 2 and min(size, len(targets) - size) >= len(counts)
        split: list[npt.NDArray[np.int64]] = train_test_split(
            np.arange(len(targets)),
            test_size=size,
            random_state=seed,
            stratify=targets if can_stratify else None,
        )
        return split

    def _start(self, texts: list[str], seed: int) -> tuple[dict[str, int], TorchMoji]:
        """The vocabulary, with new words, and the model before training."""
        files = find(self.model)
        vocabulary, added = dict(files.vocabulary or {}), 0
        if self.extend_vocabulary:
            builder = VocabBuilder(every_word())
            builder.count_texts(texts)
            added = extend_vocab(vocabulary, builder, self.extend_vocabulary)
        outputs = len(self.classes_)
        with seeded(torch.device("cpu"), seed):
            # without dropout of embeddings each text is encoded once for "last"
            dropout = 0.0 if self.method == "last" else EMBED_DROPOUT_RATE
            model = torchmoji_transfer(outputs, files.weights, added, embed_dropout_rate=dropout)
            if self.method == "new":
                model.init_weights()
            if self.multi_label_ and outputs == 2:  # else one output for two classes
                model.output_layer = nn.Sequential(nn.Linear(model.attention_size, outputs))
        return vocabulary, model.to(self.device)

    def _train(self, model: TorchMoji, parts: list[Part], seed: int) -> None:
        loss = make_loss(parts[0][1], len(self.classes_), self._class_weight()).to(device_of(model))
        options = TrainingOptions(self.method, self.epochs, self.patience, verbose=self.verbose)
        tuned, parts = on_features(model, parts) if self.method == "last" else (model, parts)
        batches, held_out = loaders_of(parts, self.batch_size, epoch_size=len(parts[0][0]), seed=seed)
        with training_session(model, seed):
            history = train_by_method(tuned, loss, batches, held_out, options)
        self.history_ = [epoch._asdict() for epoch in history]
        self.thresholds_ = None
        if self.multi_label_:
            given = self.thresholds
            self.thresholds_ = np.full(
                len(self.classes_), DEFAULT_THRESHOLD if isinstance(given, str) else float(given)
            )
            if isinstance(given, str):
                logits, truth = predict(tuned, held_out)
                probabilities = logits.float().sigmoid().cpu().numpy()
                self.thresholds_ = choose_thresholds(truth.cpu().numpy(), probabilities)

    def _class_weight(self) -> list[float] | Literal["balanced"] | None:
        """The parameter, a mapping as weights in the order of the classes."""
        given = self.class_weight
        if given is None or (isinstance(given, str) and given == "balanced"):
            return given
        if not isinstance(given, Mapping):
            raise ValueError(
                f"class_weight must be None, 'balanced' or a mapping class -> weight, got {given!r}"
            )
        classes = self.classes_.tolist()
        if unknown := set(given) - set(classes):
            raise ValueError(
                f"class_weight has {', '.join(sorted(map(repr, unknown)))}, classes are {classes}"
            )
        weights = [given.get(name, 1.0) for name in classes]
        check_class_weight(weights, len(classes))
        return weights

    def predict_proba(self, X: Any) -> npt.NDArray[np.float32]:
        """Probabilities (n, C), columns as in `classes_`; of multi-label data each on its own."""
        check_is_fitted(self, "pipeline_")
        probabilities: npt.NDArray[np.float32] = self.pipeline_.predict_proba(_as_texts(X))
        return probabilities

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The likeliest labels (n,), or 0 and 1 (n, C) of multi-label data, 1 above `thresholds_`."""
        probabilities = self.predict_proba(X)
        if self.thresholds_ is not None:
            return (probabilities > self.thresholds_).astype(np.int64)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy; of multi-label data the share of texts whose labels are all right."""
        return float(super().score(X, self._labels(y), sample_weight))

    def f1_of_classes(self, X: Any, y: Any) -> dict[Any, float]:
        """Class -> F1 of the predictions for texts.

        Args:
            X: Texts, or a table of one column.
            y: Their labels, in the form of those of `fit`.
        """
        return f1_of_classes(self._labels(y), self.predict(X), self.classes_)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write a folder that `load` reads, and `MojiPipeline.from_pretrained` as well; no pickle.

        Raises:
            TypeError: The labels are neither strings nor numbers nor booleans.
            OSError: The folder cannot be written.
        """
        check_is_fitted(self, "pipeline_")
        labels = self.classes_.tolist()
        if not all(isinstance(label, str | int | float) for label in labels):
            raise TypeError(f"labels of {type(labels[0]).__name__} cannot be saved: use strings or numbers")
        columns = self._columns
        are_plain = all(isinstance(name, str | int | float) for name in columns or ())
        parameters = self.get_params(deep=False)
        weights = parameters.pop("class_weight")
        del parameters["device"]  # that of another machine
        about = {
            "classes": labels,
            "multi_label": self.multi_label_,
            "columns": columns if are_plain else None,
            "history": self.history_,
            "data_sha256": self.data_sha256,
            "data_label": self.data_label,
            "parameters": {
                **{name: os.fspath(v) if isinstance(v, Path) else v for name, v in parameters.items()},
                "random_state": int(self.random_state) if isinstance(self.random_state, Integral) else None,
            },
            "class_weight": list(map(list, weights.items())) if isinstance(weights, Mapping) else weights,
        }
        text = json.dumps(about, indent=1, default=_plain) + "\n"
        self.pipeline_._save(folder, extra={ABOUT_NAME: text})

    @classmethod
    def load(cls, folder: str | os.PathLike[str], device: Any = None) -> "TorchMojiClassifier":
        """Read a folder of `save`.

        The parameters are those of the classifier that was saved, but for `device` and a `random_state` that
        was no number: `model` names where its training began, so that `sklearn.base.clone` and
        `cross_val_score` begin there too, and not from these weights, which know the texts.

        Raises:
            FileNotFoundError: The folder is not one of `save`.
            ValueError: A file in it is damaged.
        """
        path = Path(folder) / ABOUT_NAME
        if not path.is_file():
            raise FileNotFoundError(
                f"{os.fspath(folder)} is no fine-tuned classifier ({ABOUT_NAME} is missing): give a folder "
                "of `torchmoji finetune` or TorchMojiClassifier.save"
            )
        try:
            about = read_json(path)
            classes, multi_label, history = _checked_about(about)
            weights = about["class_weight"]
            classifier = cls(
                **about["parameters"],
                class_weight=dict(weights) if isinstance(weights, list) else weights,
                device=device,
            )
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is damaged ({error!r:.200}): save the classifier again") from error
        classifier.classes_, classifier.multi_label_, classifier.history_ = classes, multi_label, history
        classifier.data_sha256, classifier.data_label = about.get("data_sha256"), about.get("data_label")
        classifier._columns = about.get("columns")
        files = find(folder)
        if ABOUT_NAME not in files.config.get("files", {ABOUT_NAME: None}):
            raise ValueError(f"{path} is of another model than the one beside it: save the classifier again")
        classifier.pipeline_ = pipeline = MojiPipeline.from_pretrained(files, "torch", device)
        engine = pipeline.engine
        if (len(classes), multi_label) != (engine.nb_classes, engine.multi_label):
            raise ValueError(
                f"{path} is of {len(classes)} classes, several for a text: {multi_label}; the model beside "
                f"it of {engine.nb_classes}, {engine.multi_label}: save the classifier again"
            )
        classifier.thresholds_ = None
        if multi_label:
            default = (DEFAULT_THRESHOLD,) * len(classes)
            classifier.thresholds_ = np.array(pipeline.thresholds or default)
        return classifier


def _plain(value: Any) -> Any:
    """A number of NumPy for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"the parameter {value!r} cannot be saved: use strings or numbers")


def _checked_about(about: Any) -> tuple[npt.NDArray[Any], bool, list[dict[str, Any]]]:
    """Classes, whether there are several for a text, and the history of `classifier.json`.

    KeyError, TypeError or ValueError where it is not what `save` writes.
    """
    if not isinstance(about, dict):
        raise ValueError("it must be a JSON object")
    classes, multi_label, history = about["classes"], about["multi_label"], about["history"]
    is_list = isinstance(classes, list) and classes and len({type(name) for name in classes}) == 1
    if not is_list or not isinstance(classes[0], str | int | float):
        raise ValueError("classes must be a list of names or of numbers")
    if not isinstance(classes[0], str) and not all(math.isfinite(name) for name in classes):
        raise ValueError("classes must be finite")
    found = np.array(classes)
    if found.dtype == object or len(set(found.tolist())) < len(classes):
        raise ValueError("classes must be different, and numbers below 2^63")
    if not isinstance(multi_label, bool):
        raise ValueError(f"multi_label must be true or false, got {multi_label!r:.40}")
    columns = about.get("columns", classes)
    if columns is not None and not (
        isinstance(columns, list) and all(isinstance(name, str | int | float) for name in columns)
    ):
        raise ValueError("columns must be a list of names or null")
    for name in ("data_sha256", "data_label"):
        if not isinstance(about.get(name), str | None):
            raise ValueError(f"{name} must be a string or null")
    keys = {"stage", "train_loss", "val_loss", "val_accuracy"}
    if not isinstance(history, list) or not all(isinstance(e, dict) and keys <= set(e) for e in history):
        raise ValueError("history must be a list of epochs")
    check_choice("method", about["parameters"]["method"], FINETUNING_METHODS)
    return found, multi_label, history
