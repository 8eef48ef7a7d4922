"""Fine-tune a sentence encoder to guess emojis, and write what it says of a corpus, for a smaller model.

CORPUS is of `torchmoji build-corpus --keep-text`. ENCODER is a folder that `transformers` reads: a BERT-like
model with its tokenizer, such as all-MiniLM-L6-v2. OUT receives `targets.npy` for `torchmoji pretrain
--soft-targets`, and `scores.json`. An interrupted run goes on where it was when the same command is given
again. It needs `pip install transformers` beside torchmoji.

Examples:
    train_teacher.py corpus/ all-MiniLM-L6-v2/ teacher/
    torchmoji pretrain corpus/ --out model/ --soft-targets teacher/targets.npy
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchmoji.arguments import make_parser, positive
from torchmoji.batch_dropout import Place
from torchmoji.corpus_folder import MANIFEST_NAME, Corpus
from torchmoji.data_order import DataOrder
from torchmoji.emoji_scores import score_emojis
from torchmoji.files import atomic_write_text, sha256
from torchmoji.pretraining_loss import PretrainingLoss
from torchmoji.pretraining_settings import Settings, learning_rate
from torchmoji.pretraining_steps import Stepper
from torchmoji.processes import Processes
from torchmoji.shards import RowBatch, TokenRows, shard_texts
from torchmoji.soft_targets import save_soft_targets
from torchmoji.training_checkpoint import (
    CHECKPOINT_NAME,
    check_same_run,
    load_training,
    random_states,
    restore_random_states,
    save_training,
)
from torchmoji.training_progress import TrainingProgress
from torchmoji.weight_average import WeightAverage

AVERAGE = 0.999
CHECKPOINT_SECONDS = 600.0
PAD = 0  # of BERT's vocabularies, and of `TokenRows`
_TOKENIZED_TOGETHER = 10_000
_TELL_EVERY = 50

logger = logging.getLogger(__name__)


class Teacher(nn.Module):
    """An encoder with an output layer over the mean of its tokens.

    Args:
        encoder: Of `transformers`.
        nb_classes: Number of emojis C.
    """

    def __init__(self, encoder: nn.Module, nb_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        config: Any = encoder.config
        self.output_layer = nn.Linear(config.hidden_size, nb_classes)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (batch, time), `PAD` where a text has ended, to logits (batch, C)."""
        kept = (ids != PAD).long()
        states = self.encoder(input_ids=ids, attention_mask=kept).last_hidden_state
        mask = kept.unsqueeze(2)
        mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        logits: Tensor = self.output_layer(mean)
        return logits


def as_wordpieces(tokenizer: Any, texts: Iterable[str], rows: TokenRows, max_length: int) -> TokenRows:
    """The texts of a corpus as the encoder's tokens, with the same labels.

    Args:
        tokenizer: Of `transformers`.
        texts: In the order of the rows.
        rows: Their tokens and labels in the corpus.
        max_length: Tokens after which a text is cut.
    """
    pieces: list[npt.NDArray[np.uint32]] = []
    counts: list[int] = []
    for some in _batched(texts, _TOKENIZED_TOGETHER):
        found = tokenizer(some, truncation=True, max_length=max_length)["input_ids"]
        counts += map(len, found)
        pieces.append(np.concatenate([np.asarray(ids, dtype=np.uint32) for ids in found]))
    numbers = np.arange(len(rows))
    batch = RowBatch(
        np.concatenate(pieces),
        np.concatenate([[0], np.cumsum(counts)]),
        rows.labels(numbers)[1],
        np.concatenate([[0], np.cumsum(rows.label_counts(numbers))]),
    )
    return TokenRows([batch])


def train(teacher: Teacher, rows: TokenRows, corpus: Corpus, out: Path, settings: Settings) -> None:
    """Fine-tune the teacher in place, or go on with a run that was interrupted.

    Args:
        teacher: With fresh weights in its output layer.
        rows: The training texts as its tokens.
        corpus: Where they come from.
        out: For the checkpoint and `metrics.jsonl`.
        settings: Passes, rate, batch and seed.
    """
    order = DataOrder(rows, settings.batch_size, settings.seed)
    total = max(1, round(order.steps_a_pass * settings.passes))
    device = torch.device("cpu")
    optimizer = torch.optim.Adam(teacher.parameters(), lr=settings.learning_rate, fused=True)
    average = WeightAverage(teacher, AVERAGE)
    loss = PretrainingLoss(settings, corpus.class_counts("train"))
    stepper = Stepper(teacher, optimizer, rows, loss, settings, Processes(device), Place(settings.seed))
    identity = {"corpus": sha256(corpus.folder / MANIFEST_NAME), **asdict(settings)}
    path = out / CHECKPOINT_NAME
    state = load_training(path)
    step, written, before = 0, 0, 0.0
    if state is not None:
        check_same_run(path, state["identity"], identity)
        teacher.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.load_state_dict(state["average"])
        restore_random_states(state["random"], device)
        step, written, before = state["step"], state["written"], state["seconds"]
        logger.info("going on after step %d of %d", step, total)
    told = TrainingProgress(out, total, shown=True, tensorboard=False)
    told.begin(step, written)
    started = saved = time.monotonic()
    losses: list[float] = []
    teacher.train()
    for batch in islice(order.batches(step), total - step):
        rate = learning_rate(step, total, settings)
        found, norm = stepper.step(step, batch, rate)
        average.update(teacher, step)
        step += 1
        losses.append(found)
        told.advance(len(batch))
        seconds = before + time.monotonic() - started
        if step % _TELL_EVERY == 0 or step == total:
            mean = sum(losses) / len(losses)
            told.tell_training(step, seconds, {"loss": mean, "learning_rate": rate, "gradient_norm": norm})
            losses.clear()
        if time.monotonic() - saved >= CHECKPOINT_SECONDS or step == total:
            states = {"model": teacher.state_dict(), "optimizer": optimizer.state_dict()}
            place = {"step": step, "written": told.written, "seconds": seconds}
            kept = {"average": average.state_dict(), "random": random_states(device), "identity": identity}
            save_training(path, {**states, **place, **kept})
            saved = time.monotonic()
    told.close()
    teacher.load_state_dict(average.state_dict(), strict=False)
    teacher.eval()


def probabilities(teacher: nn.Module) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.floating]]:
    """What `save_soft_targets` asks: probabilities (n, C) of ids (n, time)."""

    @torch.no_grad()
    def ask(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
        order = np.argsort((ids != PAD).sum(1), kind="stable")
        found: npt.NDArray[np.floating] | None = None
        for some in np.array_split(order, max(1, len(order) // 256)):
            longest = int((ids[some] != PAD).sum(1).max())
            with torch.autocast("cpu", torch.bfloat16):
                logits = teacher(torch.from_numpy(ids[some, :longest]))
            given = torch.softmax(logits.float(), dim=1).numpy()
            if found is None:
                found = np.zeros((len(ids), given.shape[1]), dtype=np.float32)
            found[some] = given
        assert found is not None
        return found

    return ask


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, train, write."""
    parser = make_parser(__doc__)
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    parser.add_argument("encoder", type=Path, metavar="ENCODER")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--passes", type=float, default=1.0, metavar="N", help="default: %(default)s")
    parser.add_argument("--learning-rate", type=float, default=3e-4, metavar="N", help="default: %(default)s")
    parser.add_argument("--batch-size", type=positive, default=256, metavar="N", help="default: %(default)s")
    parser.add_argument("--max-length", type=positive, default=64, metavar="N", help="default: %(default)s")
    parser.add_argument("--top-k", type=positive, metavar="N", help="of the emojis (default: all)")
    parser.add_argument("--seed", type=int, default=42, metavar="N", help="default: %(default)s")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        make_targets(options)
    except (OSError, ValueError, FloatingPointError) as error:
        parser.error(str(error))


def make_targets(options: Any) -> None:
    """Train, score and write, by the options of the command line."""
    from transformers import AutoModel, AutoTokenizer

    settings = Settings(
        passes=options.passes,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        max_length=options.max_length,
        seed=options.seed,
    )
    corpus = Corpus.load(options.corpus)
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(options.encoder, local_files_only=True)
    rows = {
        split: as_wordpieces(
            tokenizer, shard_texts(corpus.shard_paths(split)), corpus.rows(split), options.max_length
        )
        for split in ("train", "validation")
    }
    torch.manual_seed(settings.seed)
    encoder = AutoModel.from_pretrained(options.encoder, local_files_only=True, use_safetensors=True)
    teacher = Teacher(encoder, len(corpus.classes))
    train(teacher, rows["train"], corpus, options.out, settings)
    with torch.autocast("cpu", torch.bfloat16):
        scores = score_emojis(teacher, rows["validation"], len(corpus.classes))
    atomic_write_text(options.out / "scores.json", json.dumps(scores.summary(), indent=1) + "\n")
    logger.info("first guess %.1f%%, first five %.1f%%", 100 * scores.first, 100 * scores.first_five)
    save_soft_targets(
        *(options.out / "targets.npy", corpus, probabilities(teacher), options.top_k),
        rows=rows["train"],
    )


def _batched(texts: Iterable[str], size: int) -> Iterable[list[str]]:
    iterator = iter(texts)
    while some := list(islice(iterator, size)):
        yield some


if __name__ == "__main__":
    main()
