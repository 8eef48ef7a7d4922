"""Fine-tune on DeepMoji's benchmark sets and write a table with the peers' scores beside ours.

DIR has a folder for each data set with its raw.pickle. Every method is run on every data set for every seed;
a run already in the results file under the same settings is not repeated, so an interrupted benchmark goes on
where it stopped. The method new starts from random weights of the paper's sizes; full and chain-thaw extend
the vocabulary, as in the paper.

Examples:
    finetune.py --data DIR --methods new --datasets SS-Youtube --resume runs.jsonl --output table.md
    finetune.py --data DIR --methods last chain-thaw --weights pytorch_model.bin --vocabulary vocabulary.json
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.transfer import Benchmark, Task, new_model, tuning_options
from torchmoji.class_avg_finetuning import class_avg_finetune
from torchmoji.create_vocab import load_vocabulary
from torchmoji.finetuning import finetune, load_benchmark

ACCURACY = "accuracy"


def _task(nb_classes: int, metric: str, tfidf: float, minilm: float) -> Task:
    """With logistic regression on TF-IDF of words (1-2) and characters (2-4), and on all-MiniLM-L6-v2."""
    return Task(nb_classes, metric, {"TF-IDF + LR": tfidf, "MiniLM + LR": minilm})


TASKS = {
    "SS-Youtube": _task(2, ACCURACY, 0.814, 0.879),
    "Olympic": _task(4, "class-average F1", 0.474, 0.515),
    "SCv1": _task(2, "F1", 0.671, 0.669),
    "SE0714": _task(3, "class-average F1", 0.303, 0.456),
    "kaggle-insults": _task(2, ACCURACY, 0.803, 0.815),
}


def run(settings: dict[str, Any], data_directory: Path, quiet: bool) -> float:
    """Fine-tune once; gives the score of the test part.

    Args:
        settings: Of the run, see `benchmarks.transfer.SETTINGS`.
        data_directory: Has NAME/raw.pickle.
        quiet: No progress bars.
    """
    task = TASKS[settings["dataset"]]
    data = load_benchmark(
        data_directory / settings["dataset"] / "raw.pickle",
        load_vocabulary(settings["vocabulary"]),
        extend_with=settings["extend_with"],
    )
    nb_outputs = task.nb_classes if task.metric == ACCURACY else 2
    model = new_model(settings, nb_outputs, data["added"])
    tune = finetune if task.metric == ACCURACY else class_avg_finetune
    _, score = tune(
        model,
        data["texts"],
        data["labels"],
        task.nb_classes,
        settings["batch_size"] or data["batch_size"],
        settings["method"],
        **tuning_options(settings, quiet),
    )
    return score


BENCHMARK = Benchmark("benchmarks/finetune.py", __doc__, TASKS, run, "has NAME/raw.pickle")


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing and write the table."""
    BENCHMARK.main(argv)


if __name__ == "__main__":
    main()
