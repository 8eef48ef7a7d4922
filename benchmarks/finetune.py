"""Fine-tune on DeepMoji's benchmark sets and write a table with the peers' scores beside ours.

DIR has a folder for each data set with its raw.pickle. Every method is run on every data set for every seed;
a run already in the results file under the same settings is not repeated, so an interrupted benchmark goes on
where it stopped. The method new starts from random weights of the paper's sizes; full and chain-thaw extend
the vocabulary, as in the paper.

Examples:
    finetune.py --data DIR --methods new --datasets SS-Youtube --resume runs.jsonl --output table.md
    finetune.py --data DIR --methods last chain-thaw --weights pytorch_model.bin --vocabulary vocabulary.json
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

import torchmoji
from benchmarks.report import write_report
from torchmoji.class_avg_finetuning import class_avg_finetune
from torchmoji.create_vocab import load_vocabulary
from torchmoji.files import atomic_write_text
from torchmoji.finetuning import finetune, load_benchmark
from torchmoji.global_variables import FINETUNING_METHODS, PRETRAINED_PATH, VOCAB_PATH
from torchmoji.machine import processor, versions
from torchmoji.model_def import torchmoji_transfer


class Benchmark(NamedTuple):
    """A data set, how it is scored, and what others reach on its test part."""

    nb_classes: int
    metric: str
    tfidf: float
    """TF-IDF of words (1-2) and characters (2-4), logistic regression."""
    minilm: float
    """all-MiniLM-L6-v2 embeddings, logistic regression."""


ACCURACY = "accuracy"
BENCHMARKS = {
    "SS-Youtube": Benchmark(2, ACCURACY, 0.814, 0.879),
    "Olympic": Benchmark(4, "class-average F1", 0.474, 0.515),
    "SCv1": Benchmark(2, "F1", 0.671, 0.669),
    "SE0714": Benchmark(3, "class-average F1", 0.303, 0.456),
    "kaggle-insults": Benchmark(2, ACCURACY, 0.803, 0.815),
}
EXTENDING_METHODS = ("full", "chain-thaw")
SETTINGS = (
    "dataset",
    "method",
    "seed",
    "weights",
    "vocabulary",
    "epochs",
    "epoch_size",
    "patience",
    "extend_with",
    "bfloat16",
)
"""What makes two runs the same."""


def command_line() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="has NAME/raw.pickle")
    parser.add_argument("--methods", nargs="+", choices=FINETUNING_METHODS, default=["new"])
    parser.add_argument("--datasets", nargs="+", choices=list(BENCHMARKS), default=list(BENCHMARKS))
    parser.add_argument(
        "--weights", metavar="PATH", help="default: the installed model; none: random weights"
    )
    parser.add_argument("--vocabulary", metavar="PATH", help="default: that of the installed model")
    parser.add_argument(
        "--epochs", type=int, default=1000, metavar="N", help="at most (default: %(default)s)"
    )
    parser.add_argument("--epoch-size", type=int, default=5000, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--patience", type=int, default=5, metavar="N", help="in epochs (default: %(default)s)"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[42], metavar="N", help="default: 42")
    parser.add_argument(
        "--extend-with", type=int, default=10000, metavar="N", help="new words (default: %(default)s)"
    )
    parser.add_argument("--bfloat16", action="store_true", help="matrix products in bfloat16, not float32")
    parser.add_argument("--output", type=Path, metavar="FILE", help="Markdown; default: standard output")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="JSONL: results so far, to be continued")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser


def planned_runs(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The settings of each run."""
    for dataset in arguments.datasets:
        for method in arguments.methods:
            for seed in arguments.seeds:
                yield {
                    "dataset": dataset,
                    "method": method,
                    "seed": seed,
                    "weights": "none" if method == "new" else str(arguments.weights or PRETRAINED_PATH),
                    "vocabulary": str(arguments.vocabulary or VOCAB_PATH),
                    "epochs": arguments.epochs,
                    "epoch_size": arguments.epoch_size,
                    "patience": arguments.patience,
                    "extend_with": arguments.extend_with if method in EXTENDING_METHODS else 0,
                    "bfloat16": arguments.bfloat16,
                }


def run(settings: dict[str, Any], data_directory: Path, quiet: bool) -> dict[str, Any]:
    """Fine-tune once; gives the settings with the score and the time in seconds."""
    benchmark = BENCHMARKS[settings["dataset"]]
    data = load_benchmark(
        data_directory / settings["dataset"] / "raw.pickle",
        load_vocabulary(settings["vocabulary"]),
        extend_with=settings["extend_with"],
    )
    torch.manual_seed(settings["seed"])  # initial weights
    model = torchmoji_transfer(
        benchmark.nb_classes if benchmark.metric == ACCURACY else 2,
        None if settings["weights"] == "none" else settings["weights"],
        extend_embedding=data["added"],
    )
    common = {
        "epoch_size": settings["epoch_size"],
        "nb_epochs": settings["epochs"],
        "patience": settings["patience"],
        "seed": settings["seed"],
    }
    tune = finetune if benchmark.metric == ACCURACY else class_avg_finetune
    started = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings["bfloat16"]):
        _, score = tune(
            model,
            data["texts"],
            data["labels"],
            benchmark.nb_classes,
            data["batch_size"],
            settings["method"],
            verbose=0 if quiet else 1,
            **common,
        )
    return {**settings, "score": score, "seconds": round(time.perf_counter() - started, 1)}


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read a results file; there need not be one yet."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def score_cell(scores: Sequence[float]) -> str:
    """The mean, and the range where there are several."""
    mean = f"{np.mean(scores):.3f}"
    return mean if len(scores) == 1 else f"{mean} ({min(scores):.3f} to {max(scores):.3f})"


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row for each data set and method, in the order of their first result."""
    lines = [
        "| data set | metric | method | torchMoji | TF-IDF + LR | MiniLM + LR | runs | seconds a run |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for dataset, method in dict.fromkeys((r["dataset"], r["method"]) for r in results):
        of_row = [r for r in results if (r["dataset"], r["method"]) == (dataset, method)]
        benchmark = BENCHMARKS[dataset]
        cells = [
            *(dataset, benchmark.metric, method, score_cell([r["score"] for r in of_row])),
            *(f"{benchmark.tfidf:.3f}", f"{benchmark.minilm:.3f}", str(len(of_row))),
            f"{np.mean([r['seconds'] for r in of_row]):.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def circumstances(arguments: Sequence[str]) -> str:
    """Markdown: the command, the machine and the versions."""
    return (
        f"    python benchmarks/finetune.py {shlex.join(arguments)}\n\n"
        f"{processor()}, {torch.get_num_threads()} threads; "
        f"{versions('torch', 'numpy', 'scikit-learn')}, torchmoji {torchmoji.__version__}.\n"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing and write the table."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = command_line().parse_args(argv)
    earlier = read_results(arguments.resume) if arguments.resume else []
    results = []
    for settings in planned_runs(arguments):
        result = next((r for r in earlier if all(r[key] == settings[key] for key in SETTINGS)), None)
        if result is None:
            print(f"{settings['dataset']}, {settings['method']}, seed {settings['seed']}", file=sys.stderr)
            result = run(settings, arguments.data, arguments.quiet)
            earlier.append(result)
            if arguments.resume:
                atomic_write_text(arguments.resume, "".join(json.dumps(r) + "\n" for r in earlier))
        results.append(result)
    report = f"{table(results)}\n{circumstances(argv)}"
    write_report(report, arguments.output)


if __name__ == "__main__":
    main()
