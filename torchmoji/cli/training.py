"""The commands `finetune` and `evaluate`."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

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
    read_options,
    seed_number,
    show_bar,
)
from torchmoji.cli.models import load_pipeline
from torchmoji.files.atomic import sha256
from torchmoji.global_variables import FINETUNING_METHODS
from torchmoji.weights.folder import FILE_NAMES

if TYPE_CHECKING:
    from torchmoji.training.datasets import LabelledTexts

_MOST_SHOWN = 30
_TABLE = "a table (.csv, .tsv, .jsonl, .json, .parquet)"


def add_commands(add: Any) -> None:
    """Add both; `add` makes a command from its name, a summary, a description and examples."""
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
    finetune.add_argument("--seed", type=seed_number, default=42, metavar="N", help="default: %(default)s")
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
        "--seed",
        type=seed_number,
        metavar="N",
        help="the test part of the file that finetune had with this seed",
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


def _read(options: argparse.Namespace, seed: int, needs_split: bool) -> "LabelledTexts":
    from torchmoji.training.datasets import read_labelled_texts

    return read_labelled_texts(
        options.data,
        seed=seed,
        needs_split=needs_split,
        encoding=options.encoding,
        text_column=options.text_column or "text",
        label_column=options.label_column or "label",
    )


def _tell_scores(
    predicted: npt.NDArray[Any], labels: npt.NDArray[Any], counts: Mapping[Any, int], as_json: bool
) -> None:
    """Print scores; of single classes those that the texts have."""
    from torchmoji.training.metrics import f1_of_classes, score_of

    scores = {
        "texts": len(labels),
        "accuracy": round(score_of("acc", labels, predicted), 4),
        "macro_f1": round(score_of("macro", labels, predicted), 4),
    }
    f1 = f1_of_classes(labels, predicted, list(counts))
    by_class = {name: round(f1[name], 4) for name, count in counts.items() if count}
    if as_json:
        print(json.dumps(scores | {"f1": by_class}, ensure_ascii=False))
        return
    for name, value in scores.items():
        print(f"{name}: {value}")
    for name, value in by_class.items():
        print(f"f1 of {name}: {value} ({counts[name]} texts)")


def _counts(data: "LabelledTexts", rows: Sequence[int]) -> dict[Any, int]:
    """How many of some rows have each class."""
    return replace(data, labels=data.labels[list(rows)]).class_counts()


def _finetune(options: argparse.Namespace) -> None:
    new_folder(options.out, options.force, FILE_NAMES, [options.model])
    from torchmoji.estimator import TorchMojiClassifier

    compute = read_options(options, Compute)
    _set_threads(compute)
    data = _read(options, options.seed, needs_split=True)
    if data.labels.ndim == 2 and data.labels.shape[1] == 1:
        raise ValueError(
            f"{options.data} has lists of one class only: give each text a single label, such as yes and no"
        )
    training, validation, test = map(data.part, data.split)
    by_class = [f"{name}: {count}" for name, count in _counts(data, data.split[0]).items()]
    more = f" and {len(by_class) - _MOST_SHOWN} more" if len(by_class) > _MOST_SHOWN else ""
    shown = ", ".join(by_class[:_MOST_SHOWN]) + more
    note(f"{len(training[0])} texts to learn from; of the classes {shown}", options.quiet)
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
    classifier.fit(training[0], training[1], validation, label_names=data.label_names)
    classifier.data_sha256, classifier.data_label = sha256(options.data), options.label_column or "label"
    classifier.save(options.out)
    _tell_scores(classifier.predict(test[0]), test[1], _counts(data, data.split[2]), options.json)


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
    data_label: str | None


def _model(options: argparse.Namespace) -> _Model:
    if options.model.endswith(".onnx"):
        pipeline = load_pipeline(options)
        names = np.array(pipeline.classes)
        several = pipeline.engine.multi_label

        def predict(texts: list[str]) -> npt.NDArray[Any]:
            probabilities = pipeline.predict_proba(texts)
            if several:
                return (probabilities > np.array(pipeline.thresholds or 0.5)).astype(np.int64)
            return names[probabilities.argmax(axis=1)]

        return _Model(predict, names, several, 42, None, None)
    from torchmoji.estimator import TorchMojiClassifier

    classifier = TorchMojiClassifier.load(options.model)
    if (compute := read_options(options, Compute)) != Compute():
        _set_threads(compute)
        classifier.pipeline_ = load_pipeline(options)
    seed = classifier.random_state if isinstance(classifier.random_state, int) else 42
    return _Model(
        *(classifier.predict, classifier.classes_, classifier.multi_label_, seed),
        *(classifier.data_sha256, classifier.data_label),
    )


def _evaluate(options: argparse.Namespace) -> None:
    model = _model(options)
    is_known = model.data_sha256 is not None and sha256(options.data) == model.data_sha256
    if is_known and options.seed not in (None, model.seed):
        raise ValueError(
            f"--seed {options.seed} is another split of {options.data} than the model learned from "
            f"({model.seed}), so that it has seen most of its test part: leave --seed out"
        )
    needs_split = not options.all and (is_known or options.seed is not None)
    data = _read(options, model.seed if options.seed is None else options.seed, needs_split)
    label = options.label_column or "label"
    if is_known and not data.has_split and not options.all and model.data_label not in (None, label):
        raise ValueError(
            f"by the column {label!r} {options.data} is split in another way than by {model.data_label!r}, "
            "which the model learned from, so that it has seen most of the test part: --all scores all rows"
        )
    data = data.for_classes(model.classes.tolist(), model.multi_label)
    rows = range(len(data.texts)) if options.all else data.split[2]
    if not rows:
        raise ValueError(f"{options.data}: no row has the split 'test'; --all scores all rows")
    texts, labels = data.part(rows)
    if options.model.endswith(".onnx"):
        note(
            "an ONNX file does not say what it was fine-tuned on: give it texts that it has not seen",
            options.quiet,
        )
    if is_known:
        kind = "on all texts, most of which it learned from" if options.all else "on its test part"
        note(f"the model was fine-tuned on {options.data}: scored {kind}", options.quiet)
    elif len(texts) < len(data.texts):
        note(f"scored on the {len(texts)} of {len(data.texts)} texts that are for testing", options.quiet)
    _tell_scores(model.predict(texts), labels, _counts(data, rows), options.json)
