"""Teach a model by several fine-tuned sentence encoders at once, on one GPU.

CORPUS is of `torchmoji build-corpus --keep-text`. ENCODER is a folder that `transformers` reads: a BERT-like
model with its tokenizer, such as all-MiniLM-L6-v2. OUT receives the model, in int8, with its card. It is
`train_teacher.py`, `ask_teachers.py`, `encode_corpus.py` and `torchmoji pretrain` in one program, for runs
that are so short on a GPU that nothing is stored in between, and with new texts (`varied_texts.py`) beside
those of the corpus. It needs `pip install transformers` beside torchmoji.

Each teacher is ENCODER, fine-tuned to guess the emojis of the corpus. The model begins as --start-from, which
guesses beside the teachers, and learns the mean of all guesses, ENCODER's own embeddings, and a little from
the emojis themselves. Each step is a CUDA graph (`graphed_steps.py`).

Examples:
    distill.py corpus/ all-MiniLM-L6-v2/ runs/taught
    distill.py corpus/ all-MiniLM-L6-v2/ runs/taught --teachers 6 --passes 12 --prior-adjustment 0.2
"""

import logging
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from default_model import KNOWN_VALIDATION_TEXTS, DefaultCard
from distill_texts import Guess, Reader, Table, read_texts
from graphed_steps import EqualLengths, GraphedGradients, on_own_stream, train
from joblib import cpu_count
from research_helper import run_alone
from torch import Tensor
from torch.nn import functional as F
from train_teacher import AVERAGE, Teacher, load_encoder, mean_of_tokens

from torchmoji.cli.arguments import make_parser, not_negative, positive
from torchmoji.corpus.shards import Corpus, shard_texts
from torchmoji.emojis import EXAMPLE_TEXTS
from torchmoji.files.atomic import atomic_write_text
from torchmoji.model_def import TorchMoji
from torchmoji.pretraining.card import Report, model_card
from torchmoji.pretraining.distributed import Processes, device_name
from torchmoji.pretraining.loop import seeded, settled
from torchmoji.pretraining.loss import ModelWithEmbeddings
from torchmoji.pretraining.pretraining import Settings, Trained, new_model, store
from torchmoji.pretraining.scores import Scores, score_probabilities
from torchmoji.pretraining.start import start_with_model
from torchmoji.weights.folder import CARD_NAME, find

logger = logging.getLogger(__name__)


def features_of(model: TorchMoji, ids: Tensor) -> Tensor:
    """`TorchMoji.features_of` for texts without padding, in operations that a CUDA graph can record.

    Args:
        model: Of the features.
        ids: (batch, time).
    """
    batch, time_steps = ids.shape
    x = torch.tanh(model.embed(ids.t().flatten()))  # all texts' first tokens, then their second ones
    if model.embed_dropout.training and model.embed_dropout.p > 0:
        x = x * model.embed_dropout(x.new_ones(batch, model.embedding_dim)).repeat(time_steps, 1)
    a, _ = model.lstm_0.run_packed(x, [batch] * time_steps)
    b, _ = model.lstm_1.run_packed(a, [batch] * time_steps)
    z = torch.cat([b, a, x], dim=1)
    scores = torch.mv(z, model.attention_layer.attention_vector).float().view(time_steps, batch, 1)
    weights = torch.softmax(scores, dim=0)
    return (z.view(time_steps, batch, -1) * weights).sum(0)


def cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    """The sum over texts and labels.

    Args:
        logits: (n, C).
        wanted: How often each label is wanted (n, C).
    """
    return -(wanted.float() * F.log_softmax(logits.float(), dim=1)).sum()


class _Work:
    """What all parts of the program need.

    Args:
        options: Of the command line.
        device: Where to compute.
    """

    def __init__(self, options: Any, device: torch.device) -> None:
        self.options, self.device = options, device
        self.corpus = Corpus.load(options.corpus)
        self.nb_classes = len(self.corpus.classes)
        self.settings = settled(
            Settings(
                passes=options.passes,
                start_from=options.start_from,
                batch_size=options.batch_size,
                learning_rate=options.learning_rate,
                warmup_steps=options.warmup_steps,
                embed_dropout_rate=options.embed_dropout_rate,
                final_dropout_rate=options.final_dropout_rate,
                average=options.average,
                soft_share=options.soft_share,
                embedding_weight=options.embedding_weight,
                prior_adjustment=options.prior_adjustment,
                seed=options.seed,
                evaluate_every=options.evaluate_every,
            ),
            Processes(device),
        )
        try:
            self.taught = Settings(
                passes=options.teacher_passes,
                batch_size=options.teacher_batch_size,
                learning_rate=options.teacher_learning_rate,
                average=AVERAGE,
            )
        except ValueError as error:
            raise ValueError(f"of the teachers, {error}") from error
        self.started = time.monotonic()
        reader = (self.corpus.vocabulary, options.encoder, self.settings.max_length)
        texts = list(shard_texts(self.corpus.shard_paths("train")))
        own = Reader(*reader)  # before the processes, so that what is wrong with the encoder is told
        workers = options.workers or cpu_count()
        read = read_texts(texts, options.new_texts, options.seed, workers, reader)
        validation = own.read(list(shard_texts(self.corpus.shard_paths("validation"))))
        examples = own.read(list(EXAMPLE_TEXTS))
        self.count = len(texts)
        self.tell(f"{len(read.tokens.ids)} texts read")
        self.tokens = [Table(part.tokens, device) for part in (read, validation, examples)]
        self.pieces = [Table(part.pieces, device) for part in (read, validation, examples)]
        labels, held_out = (
            rows.label_table(np.arange(len(rows)), self.nb_classes)
            for rows in map(self.corpus.rows, ("train", "validation"))
        )
        self.labels = torch.from_numpy(labels).to(device, torch.float16)
        self.validation_labels = [np.flatnonzero(row).tolist() for row in held_out]

    def tell(self, text: str) -> None:
        """Log, with the time since the beginning."""
        logger.info("%.0f s: %s", time.monotonic() - self.started, text)

    def autocast(self) -> Any:
        """Products in bfloat16 where that is fast."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bool(self.settings.bfloat16))

    def probabilities(self, logits: Guess) -> Guess:
        """What gives probabilities."""

        def guess(ids: Tensor) -> Tensor:
            with self.autocast():
                found = logits(ids)
            return torch.softmax(found.float(), dim=1)

        return guess

    def asked(self, tables: Sequence[Table], guess: Guess, name: str) -> list[Tensor]:
        """Ask about the texts, the validation texts and the examples; log how good the guesses are."""
        found = [table.ask(guess, self.nb_classes) for table in tables]
        self.judge(name, *found[-2:])
        return found

    def judge(self, name: str, validation: Tensor, examples: Tensor) -> None:
        """Log how good guesses are.

        Args:
            name: Whose.
            validation: Probabilities for the validation texts (n, C).
            examples: For the `EXAMPLE_TEXTS`.
        """
        if len(validation):
            found = np.maximum(validation.float().cpu().numpy(), 1e-7)
            self.tell(f"{name}: {_said(score_probabilities(found, self.validation_labels))}")
        for text, row in zip(EXAMPLE_TEXTS, examples.float().cpu(), strict=True):
            chances, places = row.topk(min(8, self.nb_classes))
            guesses = (
                f"{self.corpus.classes[place]} {chance:.2f}"
                for chance, place in zip(chances.tolist(), places.tolist(), strict=True)
            )
            logger.info("    %s | %s", text, " ".join(guesses))


def _said(scores: Scores) -> str:
    return (
        f"loss {scores.loss:.3f}, first {scores.first:.2%}, first five {scores.first_five:.2%}, averaged "
        f"{scores.average_first:.2%}, {scores.average_first_five:.2%}"
    )


def guesses_of_teachers(work: _Work) -> Iterator[list[Tensor]]:
    """Fine-tune the teachers one after the other, and ask each."""
    pieces = work.pieces[0]
    batches = EqualLengths(pieces.lengths[: work.count], work.taught.batch_size)
    encoder = load_encoder(work.options.encoder)
    teacher = Teacher(encoder, work.nb_classes, is_padded=False).to(work.device)
    first = {name: value.clone() for name, value in teacher.state_dict().items()}

    def loss(length: int, rows: Tensor) -> Tensor:
        with work.autocast():
            logits = teacher(pieces.batch(length, rows))
        return cross_entropy(logits, work.labels[rows]) / work.taught.batch_size

    gradients = GraphedGradients(list(teacher.parameters()), loss, work.device)
    for number in range(work.options.teachers):
        settings = replace(work.taught, seed=work.options.seed + number)
        teacher.load_state_dict(first)
        with seeded(work.device, settings.seed):
            teacher.output_layer.reset_parameters()
            train(teacher.train(), gradients, batches, settings)
        work.tell(f"teacher {number + 1} is trained")
        yield work.asked(work.pieces, work.probabilities(teacher.eval()), f"teacher {number + 1}")


def embeddings(work: _Work) -> Tensor:
    """The encoder's own embeddings (n, D) of length 1, float16."""
    encoder = load_encoder(work.options.encoder).eval().to(work.device)

    def guess(ids: Tensor) -> Tensor:
        with work.autocast():
            found = mean_of_tokens(encoder, ids, is_padded=False)
        return F.normalize(found.float(), dim=1)

    return work.pieces[0].ask(guess, encoder.config.hidden_size)


def begun(work: _Work) -> TorchMoji:
    """The model as it begins."""
    with seeded(work.device, work.settings.seed):
        model = new_model(work.settings, work.corpus.nb_tokens, work.nb_classes).to(work.device)
    if work.settings.start_from is not None:
        start_with_model(model, work.settings.start_from, work.corpus.vocabulary, work.corpus.classes)
    return model


def logits_of(model: TorchMoji) -> Guess:
    """What gives logits of texts without padding."""
    return lambda ids: model.output_layer(model.final_dropout(features_of(model, ids)))


def wanted_labels(work: _Work, soft: Tensor) -> Tensor:
    """How often each label is wanted (n, C), float16: by the labels of a text, and by its teachers.

    Args:
        work: With the labels.
        soft: Mean of the guesses (n, C).
    """
    share, labels = work.settings.soft_share, work.labels
    wanted = soft.clone()
    own = wanted[: work.count]
    own.mul_(share * labels.sum(1, keepdim=True)).add_(labels, alpha=1 - share)
    return wanted


def distill(options: Any, processes: Processes) -> None:
    """Train the teachers, then the model, by the options of the command line."""
    device = processes.device
    notes = options.notes.read_text(encoding="utf-8") if options.notes else ""
    if options.start_from is not None:
        find(options.start_from)
    options.out.mkdir(parents=True, exist_ok=True)
    work = _Work(options, device)
    with on_own_stream(device):
        model = begun(work)
        asked = [*guesses_of_teachers(work)]
        if options.start_from is not None:
            guess = work.probabilities(logits_of(model.eval()))
            asked.append(work.asked(work.tokens, guess, "the start"))
        soft, *judged = (sum(parts[1:], parts[0].clone()) / len(parts) for parts in zip(*asked, strict=True))
        work.judge("all together", *judged)
        del asked
        wanted = wanted_labels(work, soft)
        known = embeddings(work)
        student = ModelWithEmbeddings(model, known.shape[1])
        work.tell("the model begins to learn")
        steps = learn(work, student, wanted, known)
        model.eval()
        trained = Trained(model, work.settings, steps, time.monotonic() - work.started)
        scores = store(work.corpus, options.out, work.settings, trained, int8=True)
    for name, found in scores.items():
        work.tell(f"{name}: {_said(found)}")
    report = Report(
        manifest=work.corpus.manifest,
        settings=work.settings,
        nb_tokens=work.corpus.nb_tokens,
        steps=steps,
        seconds=trained.seconds,
        device=device_name(device),
        processes=1,
        scores=scores,
        is_int8=True,
        command=options.command,
        notes="\n\n".join(part for part in (about(work), notes.strip()) if part),
    )
    is_known = any(entry["sha256"] == KNOWN_VALIDATION_TEXTS for entry in work.corpus.manifest["inputs"])
    card = DefaultCard(options.out) if is_known else model_card
    atomic_write_text(options.out / CARD_NAME, card(report))


def about(work: _Work) -> str:
    """What the card says of the teachers and the texts."""
    options, settings = work.options, work.taught
    number = "a teacher" if options.teachers == 1 else f"{options.teachers} teachers"
    start = " and of the model that this one began as" if options.start_from is not None else ""
    new = f", and {options.new_texts} new texts for each, made of parts of them" if options.new_texts else ""
    return (
        f"It learned from the guesses of {number}{start}: {options.encoder.name}, "
        f"fine-tuned for {settings.passes:g} passes in batches of {settings.batch_size} with a highest "
        f"learning rate of {settings.learning_rate:g}, whose own embeddings of the texts it learned as well. "
        "The passes above are "
        f"over all texts: those of the corpus{new}. The encoder is no part of the model."
    )


def learn(work: _Work, student: ModelWithEmbeddings, wanted: Tensor, known: Tensor) -> int:
    """Train the model; gives the number of steps.

    Args:
        work: With the texts.
        student: The model.
        wanted: See `wanted_labels`.
        known: See `embeddings`.
    """
    model, settings, tokens = student.model, work.settings, work.tokens[0]

    def loss(length: int, rows: Tensor) -> Tensor:
        weights = wanted[rows]
        with work.autocast():
            features = features_of(model, tokens.batch(length, rows))
            logits = model.output_layer(model.final_dropout(features))
            guessed = student.projection(features)
        distances = (guessed.float() - known[rows].float()).square().sum(1)
        total = (distances * weights.float().sum(1)).sum()
        return (cross_entropy(logits, weights) + settings.embedding_weight * total) / settings.batch_size

    def evaluate(step: int) -> None:
        guess = work.probabilities(logits_of(model))
        work.judge(f"step {step}", *(table.ask(guess, work.nb_classes) for table in work.tokens[1:]))

    batches = EqualLengths(tokens.lengths, settings.batch_size)
    with seeded(work.device, settings.seed):
        gradients = GraphedGradients(list(student.parameters()), loss, work.device)
        return train(student.train(), gradients, batches, settings, evaluate)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, train, write."""
    of_run = Settings()
    parser = make_parser(__doc__)
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    parser.add_argument("encoder", type=Path, metavar="ENCODER")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument(
        "--start-from", metavar="MODEL", help="see torchmoji pretrain (default: fresh weights)"
    )
    parser.add_argument("--teachers", type=positive, default=4, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--new-texts",
        type=not_negative,
        default=3,
        metavar="N",
        help="for each text of the corpus (default: %(default)s)",
    )

    def number(name: str, kind: Callable[[str], Any], default: Any) -> None:
        parser.add_argument(name, type=kind, default=default, metavar="N", help="default: %(default)s")

    number("--teacher-passes", float, 2.0)
    number("--teacher-batch-size", positive, 512)
    number("--teacher-learning-rate", float, 4e-4)
    parser.add_argument(
        "--passes", type=float, default=8.0, metavar="N", help="over old and new texts (default: %(default)s)"
    )
    number("--batch-size", positive, 2048)
    number("--learning-rate", float, of_run.learning_rate)
    number("--warmup-steps", not_negative, of_run.warmup_steps)
    number("--embed-dropout-rate", float, of_run.embed_dropout_rate)
    number("--final-dropout-rate", float, of_run.final_dropout_rate)
    number("--average", float, 0.999)
    number("--soft-share", float, 0.9)
    number("--embedding-weight", float, 2.0)
    number("--prior-adjustment", float, 0.0)
    number("--seed", int, of_run.seed)
    number("--evaluate-every", not_negative, 0)
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="processes that read (default: one for each core)"
    )
    parser.add_argument("--notes", type=Path, metavar="FILE", help="Markdown for the model card")
    given = sys.argv[1:] if arguments is None else arguments
    parser.set_defaults(command=shlex.join(["python", "research/distill.py", *given]))
    run_alone(parser, arguments, distill)


if __name__ == "__main__":
    main()
