"""What the benchmarks of transfer learning share: options, runs that are not repeated, tables.

A benchmark names its tasks and how one is run. Every method is run on every task for every seed; a run that
is in the results file already, under the same settings, is not repeated.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import torchmoji
from benchmarks.report import write_report
from torchmoji.files import atomic_write_text
from torchmoji.global_variables import FINETUNING_METHODS, PRETRAINED_PATH, VOCAB_PATH
from torchmoji.model_def import EMBED_DROPOUT_RATE, TorchMoji, torchmoji_transfer
from torchmoji.pretraining.distributed import device_name
from torchmoji.runtime.machine import processor, versions
from torchmoji.training.optimizer import EMBED_L2, PRETRAINED_LEARNING_RATE

EXTENDING_METHODS = ("full", "chain-thaw")
"""Those that train the embedding, so that new words can learn something."""
SETTINGS = (
    "dataset",
    "method",
    "seed",
    "weights",
    "vocabulary",
    "epochs",
    "first_stage_epochs",
    "epoch_size",
    "patience",
    "extend_with",
    "embed_dropout",
    "first_stage_dropout",
    "pretrained_lr",
    "embed_l2",
    "batch_size",
    "bfloat16",
    "device",
)
"""What makes two runs the same."""


class Task(NamedTuple):
    """A data set, how it is scored, and what others reach on its test part."""

    nb_classes: int
    metric: str
    peers: Mapping[str, float]
    """Name -> score; the same names for all tasks of a benchmark."""


Run = Callable[[dict[str, Any], Path, bool], float]
"""Trains once by the settings, with data of a folder, quietly or not; gives the score of the test part."""


class Benchmark(NamedTuple):
    """A program of this kind."""

    path: str
    """Of the program, from the repository's root."""
    description: str
    tasks: Mapping[str, Task]
    run: Run
    data_help: str
    own_settings: tuple[str, ...] = ()
    """Names of arguments that only this program has, which make two runs the same as well."""
    add_options: Callable[[Callable[..., object]], None] | None = None
    """Adds them, with the `add_argument` that it is given."""

    def command_line(self) -> argparse.ArgumentParser:
        """Describe the command line."""
        parser = argparse.ArgumentParser(
            description=self.description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        add = parser.add_argument
        add("--data", type=Path, required=True, metavar="DIR", help=self.data_help)
        add("--methods", nargs="+", choices=FINETUNING_METHODS, default=["new"])
        add("--datasets", nargs="+", choices=list(self.tasks), default=list(self.tasks))
        add("--weights", metavar="PATH", help="default: the installed model; none: random weights")
        add("--vocabulary", metavar="PATH", help="default: that of the installed model")
        add("--epochs", type=int, default=1000, metavar="N", help="at most (default: %(default)s)")
        add("--first-stage-epochs", type=int, metavar="N", help="of chain-thaw (default: as in the others)")
        add("--epoch-size", type=int, default=5000, metavar="N", help="default: %(default)s")
        add("--patience", type=int, default=5, metavar="N", help="in epochs (default: %(default)s)")
        add("--seeds", nargs="+", type=int, default=[42], metavar="N", help="default: 42")
        add("--extend-with", type=int, default=10000, metavar="N", help="new words (default: %(default)s)")
        add(
            "--embed-dropout",
            type=float,
            default=EMBED_DROPOUT_RATE,
            metavar="N",
            help="of embedding channels; with 0 `last` encodes each text once (default: %(default)s)",
        )
        add(
            "--no-first-stage-dropout",
            action="store_true",
            help="chain-thaw encodes each text once in its first stage, as last does with --embed-dropout 0",
        )
        add(
            "--pretrained-lr",
            type=float,
            default=PRETRAINED_LEARNING_RATE,
            metavar="N",
            help="learning rate of what is pretrained, for chain-thaw and full (default: %(default)s)",
        )
        add("--embed-l2", type=float, default=EMBED_L2, metavar="N", help="default: %(default)s")
        add("--batch-size", type=int, metavar="N", help="default: by the length of the texts, 250 or 50")
        if self.add_options is not None:
            self.add_options(add)
        add("--device", default="cpu", help="default: %(default)s")
        add("--bfloat16", action="store_true", help="matrix products in bfloat16, not float32")
        add("--output", type=Path, metavar="FILE", help="Markdown; default: standard output")
        add("--resume", type=Path, metavar="FILE", help="JSONL: results so far, to be continued")
        add("--quiet", action="store_true", help="no progress bars")
        return parser

    def main(self, argv: Sequence[str] | None = None) -> None:
        """Run what is missing and write the table."""
        argv = sys.argv[1:] if argv is None else argv
        arguments = self.command_line().parse_args(argv)
        earlier = read_results(arguments.resume) if arguments.resume else []
        results = []
        names = (*SETTINGS, *self.own_settings)
        for planned in planned_runs(arguments):
            settings = planned | {name: getattr(arguments, name) for name in self.own_settings}
            result = next((r for r in earlier if all(r.get(name) == settings[name] for name in names)), None)
            if result is None:
                print(
                    f"{settings['dataset']}, {settings['method']}, seed {settings['seed']}", file=sys.stderr
                )
                result = self._timed(settings, arguments)
                earlier.append(result)
                if arguments.resume:
                    atomic_write_text(arguments.resume, "".join(json.dumps(r) + "\n" for r in earlier))
            results.append(result)
        write_report(
            f"{table(results, self.tasks)}\n{circumstances(self.path, argv, arguments.device)}",
            arguments.output,
        )

    def _timed(self, settings: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
        """Run once; gives the settings with the score and the time in seconds."""
        started = time.perf_counter()
        kind = torch.device(settings["device"]).type
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=settings["bfloat16"]):
            score = self.run(settings, arguments.data, arguments.quiet)
        return {**settings, "score": score, "seconds": round(time.perf_counter() - started, 1)}


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
                    "first_stage_epochs": arguments.first_stage_epochs if method == "chain-thaw" else None,
                    "epoch_size": arguments.epoch_size,
                    "patience": arguments.patience,
                    "extend_with": arguments.extend_with if method in EXTENDING_METHODS else 0,
                    "embed_dropout": arguments.embed_dropout,
                    "first_stage_dropout": not arguments.no_first_stage_dropout,
                    "pretrained_lr": arguments.pretrained_lr,
                    "embed_l2": arguments.embed_l2,
                    "batch_size": arguments.batch_size,
                    "bfloat16": arguments.bfloat16,
                    "device": arguments.device,
                }


def new_model(settings: Mapping[str, Any], nb_classes: int, added: int) -> TorchMoji:
    """The model that a run starts from; its new layers depend on the run's seed.

    Args:
        settings: Of the run.
        nb_classes: Of the task.
        added: Words by which the vocabulary was extended.
    """
    torch.manual_seed(settings["seed"])
    weights = None if settings["weights"] == "none" else settings["weights"]
    model = torchmoji_transfer(
        nb_classes, weights, extend_embedding=added, embed_dropout_rate=settings["embed_dropout"]
    )
    return model.to(settings["device"])


def tuning_options(settings: Mapping[str, Any], quiet: bool) -> dict[str, Any]:
    """What `finetune` and `class_avg_finetune` are told of a run, by keyword."""
    return {
        "verbose": 0 if quiet else 1,
        "epoch_size": settings["epoch_size"],
        "nb_epochs": settings["epochs"],
        "first_stage_epochs": settings["first_stage_epochs"],
        "first_stage_dropout": settings["first_stage_dropout"],
        "pretrained_lr": settings["pretrained_lr"],
        "embed_l2": settings["embed_l2"],
        "patience": settings["patience"],
        "seed": settings["seed"],
    }


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read a results file; there need not be one yet."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def score_cell(scores: Sequence[float]) -> str:
    """The mean, and the range where there are several."""
    mean = f"{np.mean(scores):.3f}"
    return mean if len(scores) == 1 else f"{mean} ({min(scores):.3f} to {max(scores):.3f})"


def table(results: Sequence[dict[str, Any]], tasks: Mapping[str, Task]) -> str:
    """Markdown: a row for each data set and method, in the order of their first result."""
    names = list(next(iter(tasks.values())).peers)
    heads = ["data set", "metric", "method", "torchMoji", *names, "runs", "seconds a run"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for dataset, method in dict.fromkeys((r["dataset"], r["method"]) for r in results):
        of_row = [r for r in results if (r["dataset"], r["method"]) == (dataset, method)]
        task = tasks[dataset]
        cells = [
            *(dataset, task.metric, method, score_cell([r["score"] for r in of_row])),
            *(f"{task.peers[name]:.3f}" for name in names),
            *(str(len(of_row)), f"{np.mean([r['seconds'] for r in of_row]):.0f}"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def circumstances(path: str, arguments: Sequence[str], device: str) -> str:
    """Markdown: the command, the machine and the versions."""
    card = "" if device == "cpu" else f"{device_name(torch.device(device))}; "
    return (
        f"    python {path} {shlex.join(arguments)}\n\n"
        f"{card}{processor()}, {torch.get_num_threads()} threads; "
        f"{versions('torch', 'numpy', 'scikit-learn')}, torchmoji {torchmoji.__version__}.\n"
    )
