"""The commands `finetune` and `evaluate`."""

import argparse
import json
from pathlib import Path
from typing import Any

from torchmoji.cli.arguments import add_encoding, not_negative, positive
from torchmoji.global_variables import FINETUNING_METHODS


def add_commands(add: Any) -> None:
    """Add both.

    Args:
        add: Makes a command from its name, a summary, a description and examples.
    """
    finetune = add(
        "finetune",
        "fine-tune a model on texts with labels",
        "Fine-tune a model on a table (.csv, .tsv, .jsonl, .json, .parquet) with the columns text and\n"
        "label, and split (train, val, test) where there is one. The score is that of the test part, which\n"
        "training does not see.",
        [
            "torchmoji finetune data.csv --out model/",
            "torchmoji finetune data.csv --out model/ --method chain-thaw --extend-vocabulary 1000",
            'torchmoji emojize "what a day" --model model/',
        ],
    )
    finetune.add_argument("data", metavar="FILE", help="texts with labels")
    add_encoding(finetune)
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
    finetune.add_argument("--force", action="store_true", help="replace the model of that name")
    finetune.add_argument("--json", action="store_true", help="JSON, for programs")
    finetune.add_argument("--quiet", action="store_true", help="no progress bars")
    finetune.set_defaults(run=_finetune)
    evaluate = add(
        "evaluate",
        "score a fine-tuned model",
        "Score a model of finetune on a table with the columns text and label; of one with a column split,\n"
        "on its test part.",
        ["torchmoji evaluate data.csv --model model/", "torchmoji evaluate data.csv --model model/ --json"],
    )
    evaluate.add_argument("data", metavar="FILE", help="texts with labels")
    add_encoding(evaluate)
    evaluate.add_argument("--model", required=True, metavar="FOLDER", help="what finetune wrote")
    evaluate.add_argument("--all", action="store_true", help="all texts, not the test part alone")
    evaluate.add_argument(
        "--seed", type=int, metavar="N", help="of the test part (default: that of the model's fine-tuning)"
    )
    evaluate.add_argument("--json", action="store_true", help="JSON, for programs")
    evaluate.set_defaults(run=_evaluate)


def _tell_scores(classifier: Any, texts: list[str], labels: Any, as_json: bool) -> None:
    from torchmoji.training.metrics import score_of

    predicted = classifier.predict(texts)
    scores = {
        "texts": len(texts),
        "accuracy": round(score_of("acc", labels, predicted), 4),
        "macro_f1": round(score_of("macro", labels, predicted), 4),
    }
    print(json.dumps(scores) if as_json else "\n".join(f"{name}: {value}" for name, value in scores.items()))


def _finetune(options: argparse.Namespace) -> None:
    from torchmoji.estimator import TorchMojiClassifier
    from torchmoji.training.datasets import read_labelled_texts

    if (Path(options.out) / "config.json").exists() and not options.force:
        raise FileExistsError(f"{options.out} has a model: give another name, or --force to replace it")
    data = read_labelled_texts(options.data, seed=options.seed, encoding=options.encoding)
    training, validation, test = map(data.part, data.split)
    classifier = TorchMojiClassifier(
        options.model,
        method=options.method,
        epochs=options.epochs,
        batch_size=options.batch_size,
        extend_vocabulary=options.extend_vocabulary,
        class_weight="balanced" if options.balanced else None,
        random_state=options.seed,
        verbose=0 if options.quiet else 1,
    )
    classifier.fit(*training, validation=validation, label_names=data.label_names)
    classifier.save(options.out)
    _tell_scores(classifier, *test, options.json)


def _evaluate(options: argparse.Namespace) -> None:
    import numpy as np

    from torchmoji.estimator import TorchMojiClassifier
    from torchmoji.training.datasets import read_labelled_texts

    classifier = TorchMojiClassifier.load(options.model)
    seed = options.seed
    if seed is None:
        seed = classifier.random_state if isinstance(classifier.random_state, int) else 42
    data = read_labelled_texts(
        options.data, seed=seed, needs_split=not options.all, encoding=options.encoding
    )
    texts, labels = data.part(range(len(data.texts)))
    known = classifier.classes_
    if not classifier.multi_label_ and not np.isin(labels, known).all():
        unknown = sorted(set(labels.tolist()) - set(known.tolist()))
        raise ValueError(f"{options.data} has labels {unknown}, the model knows {known.tolist()}")
    if not options.all:
        texts, labels = data.part(data.split[2])
    _tell_scores(classifier, texts, labels, options.json)
