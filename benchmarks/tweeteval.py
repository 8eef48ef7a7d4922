"""Fine-tune on tasks of TweetEval and write a table with the leaderboard's scores beside ours.

DIR has a folder for each task (emotion, irony, emoji) with train_text.txt.gz, train_labels.txt, and the same
for val and test, as TweetEval gives them. Training sees the training part, the choice of the best epoch the
validation part; the score is that of the test part, by the leaderboard's measure. A run already in the
results file under the same settings is not repeated.

The texts of the emoji task still have the variation selector of an emoji that was taken out of them, which
gives two of its 20 classes away: the red heart and the sun. The tokenizer removes selectors. In
emoji-selectors, the same task, they are kept, as the models of the leaderboard had them: each is one of the
special tokens that DeepMoji's vocabularies keep free.

In irony-threshold, the same task as irony, a text is ironic above the probability that gives the best F1 on
the validation part, as DeepMoji's program scores tasks of F1 (`find_f1_threshold`), instead of above 0.5.

Examples:
    tweeteval.py --data DIR --methods last chain-thaw --seeds 1 2 3 --resume runs.jsonl --output table.md
    tweeteval.py --data DIR --datasets irony --methods last --weights model.bin --vocabulary vocabulary.json
"""

import gzip
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score
from torch import nn

from benchmarks.transfer import Benchmark, Task, new_model, tuning_options
from torchmoji.create_vocab import load_vocabulary
from torchmoji.finetuning import calculate_batchsize_maxlen, finetune
from torchmoji.global_variables import FINETUNING_MONITORS
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.training.metrics import (
    balanced_weights,
    find_f1_threshold,
    positive_probabilities,
    predicted_classes,
)
from torchmoji.training.sampling import Batches, get_data_loader

PARTS = ("train", "val", "test")
MACRO_F1 = "macro-F1"


def _task(nb_classes: int, metric: str, lstm: float, fasttext: float, svm: float, bertweet: float) -> Task:
    """With scores of the leaderboard (Barbieri et al. 2020)."""
    peers = {"LSTM": lstm, "FastText": fasttext, "SVM": svm, "BERTweet": bertweet}
    return Task(nb_classes, metric, peers)


TASKS = {
    "emotion": _task(4, MACRO_F1, 0.660, 0.652, 0.647, 0.793),
    "irony": _task(2, "F1 of the ironic class", 0.628, 0.631, 0.617, 0.821),
    "emoji": _task(20, MACRO_F1, 0.247, 0.258, 0.293, 0.334),
}
KEEPING = "-selectors"
"""Ends the name of a task whose texts keep their variation selectors."""
SELECTOR = "\ufe0f"
"""Asks for a picture in colour."""
SELECTOR_TOKEN = "CUSTOM_BLANK_6"
TASKS[f"emoji{KEEPING}"] = TASKS["emoji"]
CHOOSING = "-threshold"
"""Ends the name of a task of two classes whose threshold is chosen on the validation part."""
TASKS[f"irony{CHOOSING}"] = TASKS["irony"]


def read_part(folder: Path, part: str) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Texts and class numbers of a part.

    Args:
        folder: Of the task.
        part: train, val or test.

    Raises:
        ValueError: There are more texts than labels, or fewer.
    """
    with gzip.open(folder / f"{part}_text.txt.gz", "rt", encoding="utf-8", newline="\n") as file:
        texts = [line.rstrip("\n") for line in file]
    labels = np.array((folder / f"{part}_labels.txt").read_text("utf-8").split(), np.int64)
    if len(texts) != len(labels):
        raise ValueError(f"{folder} has {len(texts)} texts and {len(labels)} labels in its part {part}")
    return texts, labels


def run(settings: dict[str, Any], data_directory: Path, quiet: bool) -> float:
    """Fine-tune once; gives the score of the test part.

    Args:
        settings: Of the run, see `benchmarks.transfer.SETTINGS`.
        data_directory: Has a folder for each task.
        quiet: No progress bars.
    """
    task = TASKS[settings["dataset"]]
    folder = data_directory / settings["dataset"].removesuffix(KEEPING).removesuffix(CHOOSING)
    parts = [read_part(folder, part) for part in PARTS]
    texts = [text for part, _ in parts for text in part]
    bounds = np.cumsum([0, *(len(part) for part, _ in parts)])
    split = [list(range(start, end)) for start, end in pairwise(bounds)]
    batch_size, maxlen = calculate_batchsize_maxlen(texts)
    batch_size = settings["batch_size"] or batch_size
    tokenizer = tokenizer_for(settings["dataset"], load_vocabulary(settings["vocabulary"]), maxlen)
    ids, labels, added = tokenizer.split_train_val_test(
        texts, [int(label) for _, part in parts for label in part], split, extend_with=settings["extend_with"]
    )
    model, _ = finetune(
        new_model(settings, task.nb_classes, added),
        ids,
        [np.asarray(part) for part in labels],
        task.nb_classes,
        batch_size,
        settings["method"],
        class_weight=class_weights(np.asarray(labels[0]), task.nb_classes, settings["class_weight_power"]),
        monitor=settings["monitor"],
        **tuning_options(settings, quiet),
    )
    validation, test = (
        get_data_loader(ids[part], np.asarray(labels[part]), batch_size, extended_batch_sampler=False)
        for part in (1, 2)
    )
    if settings["dataset"].endswith(CHOOSING):
        return score_with_threshold(model, validation, test)
    return leaderboard_score(*predicted_classes(model, test), task.nb_classes)


def score_with_threshold(model: nn.Module, validation: Batches, test: Batches) -> float:
    """F1 of the second of two classes, above the probability that is best on the validation part.

    Args:
        model: Gives logits (batch, 1).
        validation: The texts that the threshold is chosen on.
        test: Those that are scored.
    """
    (p_val, y_val), (p_test, y_test) = (positive_probabilities(model, part) for part in (validation, test))
    return find_f1_threshold(y_val, p_val, y_test, p_test)[0]


def tokenizer_for(dataset: str, vocabulary: Mapping[str, int], maxlen: int) -> SentenceTokenizer:
    """The tokenizer of a task.

    Args:
        dataset: Name of the task.
        vocabulary: Word -> id.
        maxlen: Tokens of a text, at most.
    """
    if not dataset.endswith(KEEPING):
        return SentenceTokenizer(vocabulary, maxlen)
    tokenizer = SentenceTokenizer({**vocabulary, SELECTOR: vocabulary[SELECTOR_TOKEN]}, maxlen)
    tokenizer.wordgen.remove_variation_selectors = False
    return tokenizer


def class_weights(labels: npt.NDArray[np.int64], nb_classes: int, power: float | None) -> list[float] | None:
    """A power of the weights with which all classes count alike; None for samples that do.

    Args:
        labels: Class numbers of the training part (n,).
        nb_classes: Of the task.
        power: 1 for classes that count alike; None for samples that do.
    """
    return (balanced_weights(labels, nb_classes) ** power).tolist() if power is not None else None


def leaderboard_score(
    predicted: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], nb_classes: int
) -> float:
    """F1 of the second of two classes, or the mean of the F1 of more.

    Args:
        predicted: Class numbers (n,).
        truth: Class numbers (n,).
        nb_classes: Of the task.
    """
    return float(f1_score(truth, predicted, average="binary" if nb_classes == 2 else "macro"))


def add_options(add: Callable[..., object]) -> None:
    """Add what only this program has."""
    add(
        "--class-weight-power",
        type=float,
        metavar="P",
        help="1: classes count alike, in between 0 and 1: rare classes gain (default: samples count alike)",
    )
    add(
        "--monitor",
        choices=FINETUNING_MONITORS,
        default="loss",
        help="what the best epoch is chosen by, on the validation part (default: %(default)s)",
    )


BENCHMARK = Benchmark(
    *("benchmarks/tweeteval.py", __doc__, TASKS, run, "has a folder for each task"),
    own_settings=("class_weight_power", "monitor"),
    add_options=add_options,
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing and write the table."""
    BENCHMARK.main(argv)


if __name__ == "__main__":
    main()
