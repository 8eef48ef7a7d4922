"""Write what trained models say of a corpus's texts, from which another model learns beside the emojis.

CORPUS is of `torchmoji build-corpus`, MODEL a folder, a repository of the Hugging Face hub or "default", with
the corpus's emojis. OUT is the file for `torchmoji pretrain --soft-targets`: of several teachers the
geometric mean of their probabilities. With --targets, such files are teachers as well. With --embeddings, a
file of encode_corpus.py, a small network learns the emojis from these and is one more teacher. Texts for
which one of these files has nothing are not asked about.

Examples:
    ask_teachers.py corpus/ targets.npy --models runs/one runs/other
    ask_teachers.py corpus/ targets.npy --models runs/one --embeddings embeddings.npy --embeddings-share 0.3
    ask_teachers.py corpus/ targets.npy --models runs/one --targets teacher/targets.npy
    torchmoji pretrain corpus/ --out model/ --start-from default --soft-targets targets.npy
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from research_helper import check_emojis, run_alone
from torch import Tensor, nn
from torch.nn import functional as F
from wanted_rows import write_wanted_rows

from torchmoji.cli.arguments import make_parser
from torchmoji.corpus.shards import MANIFEST_NAME, Corpus, TokenRows
from torchmoji.create_vocab import words_by_id
from torchmoji.files.resumable import fingerprint
from torchmoji.global_variables import UNKNOWN_ID
from torchmoji.model_def import load_model
from torchmoji.pretraining.distributed import Processes
from torchmoji.pretraining.loss import open_embedding_targets, open_soft_targets
from torchmoji.weights.folder import find

HIDDEN_SIZE = 1024
PASSES = 3
BATCH_SIZE = 1024
LEARNING_RATE = 2e-3
INPUT_DROPOUT, HIDDEN_DROPOUT = 0.1, 0.4
SEED = 42
_SMALLEST = 1e-9
"""Probability below which a teacher's no counts no more."""

Rows = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.floating]
Teacher = Callable[[Rows], Probabilities]
"""Numbers of training texts (n,) to probabilities (n, C)."""

logger = logging.getLogger(__name__)


def model_teacher(name: str, corpus: Corpus, rows: TokenRows, device: torch.device) -> Teacher:
    """A model with the emojis of a corpus; a word that it does not know is unknown to it.

    Args:
        name: Of the model.
        corpus: Its vocabulary and emojis.
        rows: Its training texts.
        device: Where the model is to be.

    Raises:
        ValueError: The model has other emojis.
    """
    files = find(name)
    known = files.vocabulary or {}
    check_emojis(name, files.config.get("classes"), corpus)
    ids = np.array([known.get(word, UNKNOWN_ID) for word in words_by_id(corpus.vocabulary)])
    model = load_model(files.weights).to(device)

    def ask(numbers: Rows) -> Probabilities:
        given: Probabilities = model.run_ids(ids[rows.token_ids(numbers)])[0]
        return given

    return ask


def file_teacher(targets: npt.NDArray[np.float16]) -> Teacher:
    """What a file of soft targets (rows, C) says; emojis that it leaves out share what is left of the sum 1.

    They get no more than the least likely one that it has, since float16 rounds.
    """

    def ask(numbers: Rows) -> Probabilities:
        given = targets[numbers].astype(np.float32)
        is_left_out = given == 0
        rest = (1 - given.sum(1)).clip(0) / is_left_out.sum(1).clip(1)
        least = np.where(is_left_out, np.inf, given).min(1)
        given = np.where(is_left_out, np.minimum(rest, least)[:, np.newaxis], given)
        scaled: Probabilities = given / given.sum(1, keepdims=True)
        return scaled

    return ask


def embedding_teacher(
    embeddings: npt.NDArray[np.float16], numbers: Rows, rows: TokenRows, nb_classes: int, device: torch.device
) -> Teacher:
    """Train a network with one hidden layer on embeddings.

    Args:
        embeddings: Of the training texts (rows, D).
        numbers: Those that have one.
        rows: The training texts.
        nb_classes: Number of emojis C.
        device: Where it is trained.
    """
    taken = torch.from_numpy(embeddings[numbers].astype(np.float32))
    mean, scale = taken.mean(0), taken.std(0).clamp(min=1e-3)
    owners, classes = map(torch.from_numpy, rows.labels(numbers))
    generator = torch.Generator().manual_seed(SEED)
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        network = nn.Sequential(
            nn.Dropout(INPUT_DROPOUT),
            nn.Linear(taken.shape[1], HIDDEN_SIZE),
            nn.GELU(),
            nn.Dropout(HIDDEN_DROPOUT),
            nn.Linear(HIDDEN_SIZE, nb_classes),
        ).to(device)
        steps = -(-len(owners) // BATCH_SIZE)
        optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=PASSES * steps)
        for number in range(PASSES):
            losses = []
            for batch in torch.randperm(len(owners), generator=generator).split(BATCH_SIZE):
                logits = network(((taken[owners[batch]] - mean) / scale).to(device))
                loss = F.cross_entropy(logits, classes[batch].to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
            logger.info("embeddings, pass %d of %d: loss %.4f", number + 1, PASSES, np.mean(losses))
    network.eval()

    @torch.inference_mode()
    def ask(numbers: Rows) -> Probabilities:
        given = torch.from_numpy(embeddings[numbers].astype(np.float32))
        logits: Tensor = network(((given - mean) / scale).to(device))
        probabilities: Probabilities = torch.softmax(logits, dim=1).cpu().numpy()
        return probabilities

    return ask


def geometric_mean(teachers: Sequence[Teacher], shares: Sequence[float]) -> Teacher:
    """Ask several teachers and mix what they say.

    Args:
        teachers: One or more.
        shares: The weight of each; together 1.
    """

    def ask(numbers: Rows) -> Probabilities:
        logs = [np.log(teacher(numbers) + _SMALLEST) for teacher in teachers]
        mixed = np.exp(sum(share * log for share, log in zip(shares, logs, strict=True)))
        scaled: Probabilities = mixed / mixed.sum(1, keepdims=True)
        return scaled

    return ask


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, ask, write."""
    parser = make_parser(__doc__)
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--models", nargs="+", default=[], metavar="MODEL")
    parser.add_argument("--targets", nargs="+", type=Path, default=[], metavar="FILE", help="soft targets")
    parser.add_argument("--embeddings", type=Path, metavar="FILE", help="of encode_corpus.py")
    parser.add_argument(
        "--embeddings-share",
        type=float,
        default=0.3,
        metavar="N",
        help="weight of the network that learns from these; the others share the rest (default: %(default)s)",
    )
    parser.add_argument("--resume", action="store_true", help="go on with half of OUT")
    run_alone(parser, arguments, write_targets)


def check_some(is_wanted: npt.NDArray[np.bool_]) -> None:
    """Refuse to ask about no text.

    Raises:
        ValueError: There is none.
    """
    if not is_wanted.any():
        raise ValueError("no text has an answer in every file: make the files for the same texts")


def write_targets(options: Any, processes: Processes) -> None:
    """Ask and write, by the options of the command line."""
    if options.out.suffix != ".npy":
        raise ValueError(f"{options.out} must end with .npy: it is a NumPy array")
    if not 0 < options.embeddings_share < 1:
        raise ValueError(f"--embeddings-share must be between 0 and 1, got {options.embeddings_share:g}")
    if not options.models and not options.targets:
        raise ValueError("there is no teacher: give --models or --targets")
    corpus, device = Corpus.load(options.corpus), processes.device
    rows, nb_classes = corpus.rows("train"), len(corpus.classes)
    files = [open_soft_targets(path, (len(rows), nb_classes)) for path in options.targets]
    teachers = [model_teacher(name, corpus, rows, device) for name in options.models]
    teachers += map(file_teacher, files)
    shares = [1 / len(teachers)] * len(teachers)
    is_wanted = np.ones(len(rows), dtype=bool)
    for targets in files:
        is_wanted &= targets.any(1)
    check_some(is_wanted)
    about: dict[str, Any] = {
        "corpus": fingerprint(options.corpus / MANIFEST_NAME, content=True),
        "models": [fingerprint(find(name).weights, content=True) for name in options.models],
        "targets": [fingerprint(path) for path in options.targets],
        "embeddings": None,
    }
    if options.embeddings is not None:
        embeddings = open_embedding_targets(options.embeddings, len(rows))
        has_embedding = embeddings.any(1)
        if not has_embedding.any():
            raise ValueError(f"{options.embeddings} has no embedding: make it with encode_corpus.py")
        is_wanted &= has_embedding
        check_some(is_wanted)
        about["embeddings"] = [*fingerprint(options.embeddings), options.embeddings_share]
        numbers = np.flatnonzero(has_embedding)
        teachers.append(embedding_teacher(embeddings, numbers, rows, nb_classes, device))
        shares = [share * (1 - options.embeddings_share) for share in shares] + [options.embeddings_share]
    ask = geometric_mean(teachers, shares)
    write_wanted_rows(options.out, ask, is_wanted, nb_classes, about, options.resume, device.type)


if __name__ == "__main__":
    main()
