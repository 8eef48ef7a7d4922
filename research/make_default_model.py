"""Make the default model: from texts labelled with emojis and a sentence encoder to a folder like `model/`.

DATA holds train.tsv.gz and valid.tsv.gz: lines of comma-separated classes (0 to 63), a tab, and the text.
ENCODER is a folder that `transformers` reads: a BERT-like model with its tokenizer, such as all-MiniLM-L6-v2.
OUT receives the model with its card, and OUT/work what the steps leave for each other: the corpus, the
encoder's embeddings, the teachers and what they say of the texts, and the model as it is after training. Each
step goes on where it was interrupted, or is left out where it is done, when the same command is given again.
It needs `pip install transformers` beside torchmoji. README.md here says what the shipped model took.

Examples:
    make_default_model.py data/emoji all-MiniLM-L6-v2/ runs/default
    make_default_model.py data/emoji all-MiniLM-L6-v2/ runs/small --teachers 1 --teacher-passes 0.5 --passes 1
"""

import argparse
import json
import logging
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import numpy.typing as npt
from after_training import (
    learn_emojis,
    learn_sentences,
    read_sentences,
    read_texts,
    with_emojis,
    with_several,
)
from card import default_model_card
from encoder import Teacher, as_wordpieces, embeddings_of, encoder_files, guesses_of, load_encoder
from wanted_rows import write_wanted_rows

from torchmoji.cli.arguments import make_parser, positive
from torchmoji.corpus import Columns, Corpus, CorpusSettings, build_corpus
from torchmoji.corpus.shards import MANIFEST_NAME, TokenRows, in_memory, shard_texts
from torchmoji.create_vocab import load_vocabulary, words_by_id
from torchmoji.files import atomic_write_text
from torchmoji.files.resumable import fingerprint
from torchmoji.global_variables import NB_TOKENS, SPECIAL_TOKENS
from torchmoji.model_def import TorchMoji, load_model
from torchmoji.pipeline import MojiPipeline
from torchmoji.pretraining import Settings, pretrain
from torchmoji.pretraining.card import Report
from torchmoji.pretraining.data_order import DataOrder
from torchmoji.pretraining.distributed import Processes, joined_processes
from torchmoji.pretraining.loop import CHECKPOINT_NAME, train_model
from torchmoji.pretraining.pretraining import STORED, new_model
from torchmoji.pretraining.scores import Scores, score_emojis
from torchmoji.weights.folder import CARD_NAME, CONFIG_NAME, VOCABULARY_NAME, save
from torchmoji.weights.layers import WEIGHTS_NAME

HASHTAGS = 25_000
"""Commonest words that share their embeddings with their hashtags."""
STUDENT = Settings(
    word_passes=1.5,
    passes=4.7,
    batch_size=2048,
    learning_rate=0.0025,
    warmup_steps=100,
    embed_dropout_rate=0.15,
    final_dropout_rate=0.3,
    average=0.998,
    soft_share=0.9,
    embedding_weight=2.0,
    prior_adjustment=0.2,
    evaluate_every=800,
)
TEACHER = Settings(passes=2, batch_size=512, learning_rate=4e-4, average=0.999)

logger = logging.getLogger(__name__)


class Recipe:
    """The steps, each in a method; what one leaves is in `work`.

    Args:
        options: Of the command line.
        processes: The one that works.
        student, teacher: How to train.
    """

    def __init__(self, options: Any, processes: Processes, student: Settings, teacher: Settings) -> None:
        self.options, self.processes, self.device = options, processes, processes.device
        self.work: Path = options.out / "work"
        self.student = replace(
            student,
            passes=options.passes,
            seed=options.seed,
            start_from=options.start_from,
            word_vectors=None if options.start_from else str(self.work / "words.npy"),
            word_passes=0.0 if options.start_from else student.word_passes,
            soft_targets=str(self.work / "targets.npy"),
            embedding_targets=str(self.work / "embeddings.npy"),
        )
        self.teacher = replace(teacher, passes=options.teacher_passes)

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus."""
        settings = CorpusSettings(
            columns=Columns(text="2", labels="1", header=False),
            nb_tokens=self.options.nb_tokens,
            hashtags=HASHTAGS,
            keep_text=True,
        )
        build_corpus(
            self.options.data / "train.tsv.gz",
            self.work / "corpus",
            settings,
            validation_inputs=self.options.data / "valid.tsv.gz",
            progress=sys.stderr.isatty(),
        )
        return Corpus.load(self.work / "corpus")

    @cached_property
    def pieces(self) -> dict[str, TokenRows]:
        """The texts as the encoder's tokens."""
        return {
            split: as_wordpieces(
                self.options.encoder, shard_texts(self.corpus.shard_paths(split)), self.corpus.rows(split)
            )
            for split in ("train", "validation")
        }

    @cached_property
    def is_seen(self) -> npt.NDArray[np.bool_]:
        """Which texts the model will meet: the others are not asked about."""
        order = DataOrder(self.corpus.rows("train"), self.student.batch_size, self.student.seed)
        return order.seen(self.student.passes)

    def _write(self, name: str, answer: Any, columns: int, is_wanted: Any, **about: Any) -> Path:
        path = self.work / name
        if not path.exists():
            about["corpus"] = fingerprint(self.corpus.folder / MANIFEST_NAME, content=True)
            about["encoder"] = encoder_files(self.options.encoder)
            write_wanted_rows(path, answer, is_wanted, columns, about, True, self.device.type)
        return path

    def embed(self) -> None:
        """Write the encoder's embeddings of the words and of the texts."""
        if (self.work / "embeddings.npy").exists():
            return
        encoder = load_encoder(self.options.encoder).eval().to(self.device)
        size = encoder.config.hidden_size
        words = words_by_id(self.corpus.vocabulary)
        alone = TokenRows([in_memory([[index] for index in range(len(words))], [[0]] * len(words))])
        rows = as_wordpieces(self.options.encoder, words, alone)
        is_word = np.arange(len(words)) >= len(SPECIAL_TOKENS)
        self._write("words.npy", embeddings_of(encoder, rows, self.device), size, is_word)
        ask = embeddings_of(encoder, self.pieces["train"], self.device)
        self._write("embeddings.npy", ask, size, self.is_seen)

    def ask_teachers(self) -> None:
        """Fine-tune the teachers, and write the mean of what they say of the texts."""
        if (self.work / "targets.npy").exists():
            return
        count = len(self.corpus.classes)
        parts = []
        for number in range(self.options.teachers):
            settings = replace(self.teacher, seed=self.options.seed + number)
            folder = self.work / f"teacher-{number + 1}"
            trained = train_model(
                lambda: Teacher(load_encoder(self.options.encoder), count),
                self.corpus,
                folder,
                settings,
                self.pieces,
                processes=self.processes,
                progress=sys.stderr.isatty(),
            )
            ask = guesses_of(
                trained.model, self.pieces["train"], self.device, bool(trained.settings.bfloat16)
            )
            training = fingerprint(folder / CHECKPOINT_NAME)
            name = f"teacher-{number + 1}/targets.npy"
            parts.append(self._write(name, ask, count, self.is_seen, training=training))
            scores = score_emojis(trained.model, self.pieces["validation"], count, processes=self.processes)
            logger.info("teacher %d: %s", number + 1, scores.summary())
        files = [np.load(path, mmap_mode="r") for path in parts]

        def mean(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
            total: npt.NDArray[np.floating] = np.mean([file[numbers] for file in files], 0, dtype=np.float32)
            return total

        self._write("targets.npy", mean, count, self.is_seen, teachers=[fingerprint(path) for path in parts])

    def train(self) -> Report:
        """Train the model in float32, and say what it took."""
        reports: list[Report] = []

        def card(report: Report) -> str:
            reports.append(report)
            return ""

        folder = self.work / "student"
        pretrain(
            self.corpus, folder, self.student, device=self.device, progress=sys.stderr.isatty(), card=card
        )
        return reports[0]

    def finish(self, report: Report) -> None:
        """Teach emojis and sentences, and write the model with its card."""
        corpus, trained, out = self.corpus, self.work / "student", self.options.out
        model = new_model(self.student, corpus.nb_tokens, len(corpus.classes)).eval().requires_grad_(False)
        model.load_state_dict(load_model(trained / WEIGHTS_NAME).state_dict())
        model = model.to(self.device)
        vocabulary, emoji_ids = with_emojis(load_vocabulary(trained / VOCABULARY_NAME), corpus.classes)
        several = read_texts(corpus, "train", vocabulary, least_emojis=2)
        after = {"emojis": 0, "sentences": 0}
        if len(with_several(several, emoji_ids)):
            after["emojis"] = len({index for index in emoji_ids if index >= 0})
            learn_emojis(model, several, emoji_ids, self.options.seed)
        else:
            vocabulary = dict(corpus.vocabulary)
        held_out = read_texts(corpus, "validation", vocabulary)
        scores = {"before the sentences": score_emojis(model, held_out, len(corpus.classes))}
        sentences = read_sentences("sentences.jsonl")
        after["sentences"] = learn_sentences(model, vocabulary, corpus, sentences, self.options.seed)
        config = json.loads((trained / CONFIG_NAME).read_text("utf-8"))
        save(out, model.state_dict(), vocabulary, config, int8=True)
        stored: TorchMoji = load_model(out / WEIGHTS_NAME).to(self.device)
        earlier = {name: value for name, value in report.scores.items() if name != STORED}
        whole: dict[str, Scores] = {
            STORED: score_emojis(stored, held_out, len(corpus.classes)),
            **scores,
            **earlier,
        }
        notes = self.options.notes.read_text(encoding="utf-8") if self.options.notes else ""
        report = replace(report, scores=whole, is_int8=True, command=self.options.command, notes=notes)
        pipeline = MojiPipeline.from_pretrained(out)
        card = default_model_card(report, pipeline, read_sentences("hard_sentences.jsonl"), after)
        atomic_write_text(out / CARD_NAME, card)
        logger.info("%s: %s", out, whole[STORED].summary())

    def run(self) -> None:
        """All steps."""
        self.embed()
        self.ask_teachers()
        self.finish(self.train())


def make_default_model(options: Any, student: Settings = STUDENT, teacher: Settings = TEACHER) -> None:
    """Run all steps by the options of the command line."""
    with joined_processes(options.device) as processes:
        if processes.count > 1:
            raise ValueError(f"{processes.count} processes: this works in one, start it without torchrun")
        Recipe(options, processes, student, teacher).run()


def parse(arguments: Sequence[str] | None = None) -> tuple[argparse.ArgumentParser, Any]:
    """The parser, and the options."""
    parser = make_parser(__doc__)
    for name in ("data", "encoder", "out"):
        parser.add_argument(name, type=Path, metavar=name.upper())
    parser.add_argument("--teachers", type=positive, default=3, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--teacher-passes", type=float, default=TEACHER.passes, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--passes",
        type=float,
        default=STUDENT.passes,
        metavar="N",
        help="of the model (default: %(default)s)",
    )
    parser.add_argument(
        "--start-from", metavar="MODEL", help="see torchmoji pretrain (default: fresh weights)"
    )
    parser.add_argument(
        "--nb-tokens", type=positive, default=NB_TOKENS, metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=52, metavar="N", help="default: %(default)s")
    parser.add_argument("--device", metavar="NAME", help="such as cuda (default: cuda where it is there)")
    parser.add_argument("--notes", type=Path, metavar="FILE", help="Markdown for the card, below its samples")
    given = sys.argv[1:] if arguments is None else arguments
    parser.set_defaults(command=shlex.join(["python", "research/make_default_model.py", *given]))
    return parser, parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, and make the model."""
    parser, options = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        make_default_model(options)
    except (OSError, ValueError, FloatingPointError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
