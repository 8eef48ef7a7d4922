"""Fine-tune on a data set, once for each seed, and append the scores to a results file.

The results go to RESULTS/NAME_METHOD_METRIC.jsonl, one line a run; analyze_results.py and
analyze_all_results.py read them. The metrics are acc (accuracy), weighted (F1 weighted by
support) and class-avg (F1 averaged over the classes, each against the others). The method new
trains from random weights.

Examples:
    finetune_dataset.py ../examples/data/insults.csv --method last --epochs 5 --epoch-size 256 --batch-size 32
    finetune_dataset.py SS-Youtube/raw.pickle --method chain-thaw --seeds 0 1 2 3 4
    finetune_dataset.py Olympic/raw.pickle --method new --metric class-avg
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from script_helper import append_result, dataset_name

from torchmoji.class_avg_finetuning import class_avg_finetune
from torchmoji.cli.arguments import make_parser, not_negative, positive
from torchmoji.create_vocab import load_vocabulary
from torchmoji.finetuning import finetune, load_benchmark
from torchmoji.global_variables import FINETUNING_METHODS, FINETUNING_METRICS, VOCAB_PATH, pretrained_weights
from torchmoji.model_def import torchmoji_transfer

CLASS_AVERAGE = "class-avg"
EXTEND_WITH = 10000  # words, as in the paper; with `last` new words could not be learnt


def command_line() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help=".csv, .jsonl or benchmark .pickle")
    parser.add_argument("--method", choices=FINETUNING_METHODS, default="last", help="default: %(default)s")
    parser.add_argument(
        "--metric", choices=[*FINETUNING_METRICS, CLASS_AVERAGE], default="acc", help="default: %(default)s"
    )
    parser.add_argument(
        "--seeds", nargs="+", type=not_negative, default=[42], metavar="N", help="default: 42"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="FOLDER", help="default: %(default)s"
    )
    parser.add_argument("--weights", metavar="FILE", help="default: the installed model")
    parser.add_argument("--vocabulary", type=Path, metavar="FILE", help="the vocabulary of these weights")
    parser.add_argument(
        "--extend",
        type=not_negative,
        metavar="N",
        help=f"new words of the training part (default: {EXTEND_WITH}, with the method last 0)",
    )
    parser.add_argument("--epochs", type=positive, default=1000, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--epoch-size", type=positive, default=5000, metavar="N", help="samples (default: %(default)s)"
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="samples (default: 250, for long texts 50, as in the paper)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser


def run(options: argparse.Namespace, data: dict[str, Any], weights: str | None, seed: int) -> float:
    """Fine-tune with one seed and give the score on the test part."""
    labels = data["labels"][0]
    nb_classes = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
    class_average = options.metric == CLASS_AVERAGE
    torch.manual_seed(seed)  # new layers start at random
    model = torchmoji_transfer(2 if class_average else nb_classes, weights, extend_embedding=data["added"])
    arguments = (model, data["texts"], data["labels"], nb_classes, data["batch_size"], options.method)
    sizes = {"epoch_size": options.epoch_size, "nb_epochs": options.epochs, "seed": seed}
    if class_average:
        return class_avg_finetune(*arguments, **sizes, verbose=not options.quiet)[1]
    return finetune(*arguments, metric=options.metric, **sizes, verbose=0 if options.quiet else 1)[1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run once for each seed, append the scores."""
    parser = command_line()
    options = parser.parse_args(arguments)
    weights = None if options.method == "new" else options.weights or pretrained_weights()
    if weights and (options.weights is None) != (options.vocabulary is None):
        parser.error("--weights and --vocabulary belong together; give both or neither")
    extend_with = options.extend
    if extend_with is None:
        extend_with = 0 if options.method == "last" else EXTEND_WITH
    try:
        vocabulary = load_vocabulary(options.vocabulary or VOCAB_PATH)
        data = load_benchmark(options.data, vocabulary, extend_with=extend_with)
        data["batch_size"] = options.batch_size or data["batch_size"]
        settings = (
            f"weights {Path(weights).name if weights else 'none'}, {data['added']} words added, "
            f"up to {options.epochs} epochs of {options.epoch_size} samples, batches of {data['batch_size']}"
        )
        for seed in options.seeds:
            start = time.perf_counter()
            score = run(options, data, weights, seed)
            result = {
                "dataset": dataset_name(options.data),
                "method": options.method,
                "metric": options.metric,
                "settings": settings,
                "seed": seed,
                "score": score,
                "seconds": round(time.perf_counter() - start, 1),
            }
            path = append_result(options.results, result)
            print(f"seed {seed}: {options.metric} {score:.4f} -> {path}")
    except (OSError, ValueError, ModuleNotFoundError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
