"""The commands `finetune` and `evaluate`."""

import argparse
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchmoji.cli.arguments import (
    Compute,
    add_compute,
    add_encoding,
    add_force,
    add_text_column,
    new_folder,
    not_negative,
    note,
    positive,
    show_bar,
)
from torchmoji.cli.models import load_pipeline
from torchmoji.files.atomic import sha256
from torchmoji.global_variables import FINETUNING_METHODS
from torchmoji.weights.folder import FILE_NAMES

_TABLE = "a table (.csv, .tsv, .jsonl, .json, .parquet)"


def add_commands(add: Any) -> None:
    """Add both.

    Args:
        add: Makes a command from its name, a summary, a description and examples.
    """
    finetune = add(
        "finetune",
        "fine-tune a model on texts with labels",
        f"Fine-tune a model on {_TABLE} with the columns text and\n"
        "label, and split (train, val, test) where there is one; without val, some of train stops training.\n"
        "The scores are those of the test part, which training does not see.",
        [
            "torchmoji finetune data.csv --out model/",
            "torchmoji finetune data.csv --out model/ --method chain-thaw --extend-vocabulary 1000",
            'torchmoji predict "what a day" --model model/',
        ],
    )
    _add_data(finetune)
    finetune.add_argument("--out", required=True, metavar="FOLDER", help="the fine-tuned model")
    finetune.add_argument("--model", default="default", metavar="NAME", help="where to start from")
    finetune.add_argument("--method", choices=FINETUNING_METHODS, default="last", help="default: %(default)s")
    finetune.add_argument(
        "--epochs", type=positive, default=50, metavar="N", help="at most (default: %(default)s)"
    )
    finetune.add_argument("--batch-size", type=positive, default=32, metavar="N", help="default: %(default)s")
    finetune.add_argument(
        "--extend-vocabulary",
        type=not_negative,
        default=0,
        metavar="N",
        help="new words, at most (default: none)",
    )
    finetune.add_argument("--balanced", action="store_true", help="weight classes by their rarity")
    finetune.add_argument("--seed", type=int, default=42, metavar="N", help="default: %(default)s")
    add_force(finetune)
    add_compute(finetune, ["precision", "batch_size", "windows", "balance"])
    finetune.set_defaults(
        run=_finetune, stopped="the model is written at the end: begin anew, say with --epochs"
    )
    evaluate = add(
        "evaluate",
        "score a fine-tuned model",
        f"Score a model of finetune on {_TABLE} with the columns text and\n"
        "label: on all rows; of a file with a column split, and of the one that finetune had, on the\n"
        "test part.",
        ["torchmoji evaluate new.csv --model model/", "torchmoji evaluate new.csv --model model/ --json"],
    )
    _add_data(evaluate)
    evaluate.add_argument(
        "--model", required=True, metavar="NAME", help="the folder of finetune, or an .onnx file of it"
    )
    evaluate.add_argument("--all", action="store_true", help="all rows in any case")
    evaluate.add_argument(
        "--seed", type=int, metavar="N", help="the test part of the file that finetune had with this seed"
    )
    add_compute(evaluate)
    evaluate.set_defaults(run=_evaluate, weights=None, vocabulary=None, backend="auto")


def _add_data(command: Any) -> None:
    command.add_argument("data", metavar="FILE", help="texts with labels")
    add_text_column(command)
    command.add_argument("--label-column", metavar="NAME", help="the labels' column (default: label)")
    add_encoding(command)
    command.add_argument("--json", action="store_true", help="JSON, for programs")
    command.add_argument("--quiet", action="store_true", help="no progress bars, no notes")


def _read(options: argparse.Namespace, seed: int, parts: tuple[str, ...], needs_split: bool) -> Any:
    from torchmoji.training.datasets import read_labelled_texts

    return read_labelled_texts(
        options.data,
        seed=seed,
        needs_split=needs_split,
        encoding=options.encoding,
        text_column=options.text_column or "text",
        label_column=options.label_column or "label",
        parts=parts,
    )


def _counts(labels: npt.NDArray[Any], classes: npt.NDArray[Any]) -> list[int]:
    """How many texts each class has."""
    if labels.ndim == 2:
        return [int(number) for number in labels.sum(axis=0)]
    return [int((labels == name).sum()) for name in classes]


def _tell_scores(
    predicted: npt.NDArray[Any], labels: npt.NDArray[Any], classes: npt.NDArray[Any], as_json: bool
) -> None:
    from torchmoji.training.metrics import f1_of_classes, score_of

    scores = {
        "texts": len(labels),
        "accuracy": round(score_of("acc", labels, predicted), 4),
        "macro_f1": round(score_of("macro", labels, predicted), 4),
    }
    counts = _counts(labels, classes)
    by_class = {
        str(name): (round(score, 4), count)
        for name, score, count in zip(classes, f1_of_classes(labels, predicted, classes), counts, strict=True)
        if count or score or labels.ndim == 2
    }
    if as_json:
        print(json.dumps(scores | {"f1": {name: score for name, (score, _) in by_class.items()}}))
        return
    for name, value in scores.items():
        print(f"{name}: {value}")
    for name, (score, count) in by_class.items():
        print(f"f1 of {name}: {score} ({count} texts)")


def _finetune(options: argparse.Namespace) -> None:
    new_folder(options.out, options.force, FILE_NAMES, [options.model])
    from torchmoji.estimator import TorchMojiClassifier

    compute = Compute.of(options)
    _set_threads(compute)
    data = _read(options, options.seed, ("train", "test"), True)
    training, validation, test = map(data.part, data.split)
    classes = np.arange(training[1].shape[1]) if training[1].ndim == 2 else np.unique(training[1])
    counts = zip(classes, _counts(training[1], classes), strict=True)
    by_class = ", ".join(f"{name}: {count}" for name, count in counts)
    note(f"{len(training[0])} texts to learn from; of the classes {by_class}", options.quiet)
    classifier = TorchMojiClassifier(
        options.model,
        method=options.method,
        epochs=options.epochs,
        batch_size=options.batch_size,
        extend_vocabulary=options.extend_vocabulary,
        class_weight="balanced" if options.balanced else None,
        max_length=compute.max_length,
        device=compute.device,
        random_state=options.seed,
        verbose=int(show_bar(options.quiet)),
    )
    classifier.fit(training[0], training[1], validation if validation[0] else None)
    classifier.data_sha256 = sha256(options.data)
    classifier.save(options.out)
    _tell_scores(classifier.predict(test[0]), test[1], classifier.classes_, options.json)


def _set_threads(compute: Compute) -> None:
    if compute.threads is not None:
        import torch

        torch.set_num_threads(compute.threads)


class _Model(NamedTuple):
    """What is evaluated."""

    predict: Callable[[list[str]], npt.NDArray[Any]]
    classes: npt.NDArray[Any]
    multi_label: bool
    seed: int
    data_sha256: str | None


def _model(options: argparse.Namespace) -> _Model:
    if options.model.endswith(".onnx"):
        pipeline = load_pipeline(options)
        names = np.array(pipeline.classes)
        several = bool(getattr(pipeline.engine, "multi_label", False))

        def predict(texts: list[str]) -> npt.NDArray[Any]:
            probabilities = pipeline.predict_proba(texts)
            return (probabilities > 0.5).astype(np.int64) if several else names[probabilities.argmax(axis=1)]

        return _Model(predict, names, several, 42, None)
    from torchmoji.estimator import TorchMojiClassifier

    classifier = TorchMojiClassifier.load(options.model)
    if Compute.of(options) != Compute():
        _set_threads(Compute.of(options))
        classifier.pipeline_ = load_pipeline(options)
    seed = classifier.random_state if isinstance(classifier.random_state, int) else 42
    return _Model(
        classifier.predict, classifier.classes_, classifier.multi_label_, seed, classifier.data_sha256
    )


def _evaluate(options: argparse.Namespace) -> None:
    model = _model(options)
    is_known = model.data_sha256 is not None and sha256(options.data) == model.data_sha256
    needs_split = not options.all and (is_known or options.seed is not None)
    data = _read(options, model.seed if options.seed is None else options.seed, ("test",), needs_split)
    everything = data.part(range(len(data.texts)))
    texts, labels = everything if options.all else data.part(data.split[2])
    known = model.classes
    if model.multi_label != (everything[1].ndim == 2):
        kinds = ("several labels a text", "one label a text")
        given, wanted = kinds if everything[1].ndim == 2 else kinds[::-1]
        raise ValueError(f"{options.data} has {given}, the model {wanted}: give data of its kind")
    if model.multi_label and everything[1].shape[1] != len(known):
        raise ValueError(f"{options.data} has {everything[1].shape[1]} labels, the model {len(known)}")
    if known.dtype.kind == "U" and labels.dtype.kind != "U":  # the names of an .onnx file's classes
        everything, labels = (everything[0], everything[1].astype(str)), labels.astype(str)
    if not model.multi_label and not np.isin(everything[1], known).all():
        unknown = sorted(set(everything[1].tolist()) - set(known.tolist()))
        raise ValueError(f"{options.data} has labels {unknown}, the model knows {known.tolist()}")
    if is_known:
        kind = (
            "scored on all texts, most of which it learned from" if options.all else "scored on its test part"
        )
        note(f"the model was fine-tuned on {options.data}: {kind}", options.quiet)
    elif len(texts) < len(everything[0]):
        note(f"scored on the {len(texts)} of {len(everything[0])} texts that are for testing", options.quiet)
    _tell_scores(model.predict(texts), labels, known, options.json)
