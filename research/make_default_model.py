"""Make the default model: from texts labelled with emojis and a teacher to a folder like `model/`.

DATA holds train.tsv.gz and valid.tsv.gz: lines of comma-separated classes (0 to 63), a tab, and the text; and
drop_train.txt.gz and drop_valid.txt.gz, numbers (from 0) of lines to leave out, where there are such lines.
TEACHER is a torchMoji model, with which the new one begins and whose guesses it learns beside the labels, or
a folder that `transformers` reads: a BERT-like model with its tokenizer, such as all-MiniLM-L6-v2, which is
fine-tuned; then the new model begins with fresh weights, and `pip install transformers` is needed.
OUT receives the model with its card, and OUT/work what the steps leave for each other: the corpus, what the
teachers say of the texts, and the model as it is after training. Each step goes on where it was interrupted,
or is left out where it is done, when the same command is given again. README.md here says what the shipped
model took.

Examples:
    make_default_model.py data/emoji default runs/default
    make_default_model.py data/emoji all-MiniLM-L6-v2/ runs/fresh
    make_default_model.py data/emoji all-MiniLM-L6-v2/ runs/small --teachers 1 --teacher-passes 0.5 --passes 1
"""

import argparse
import copy
import gzip
import json
import logging
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import everyday
import numpy as np
import numpy.typing as npt
import torch
from card import KNOWN_VALIDATION_TEXTS, default_model_card
from encoder import Teacher, as_wordpieces, embeddings_of, encoder_files, guesses_of, load_encoder
from sentences import (
    REPEATS,
    Sentence,
    emoticon_spellings,
    fitting,
    read_sentences,
    target_of,
    with_sentences,
)
from wanted_rows import write_wanted_rows

from torchmoji.batching import unit_rows
from torchmoji.cli.arguments import make_parser, positive
from torchmoji.corpus import Columns, Corpus, CorpusSettings, build_corpus
from torchmoji.corpus.emoji_finder import EmojiFinder, EmoticonFinder
from torchmoji.corpus.settings import Rules
from torchmoji.corpus.shards import MANIFEST_NAME, TokenRows, in_memory, shard_texts
from torchmoji.create_vocab import words_by_id
from torchmoji.emojis import EMOJIS
from torchmoji.files.atomic import atomic_path, atomic_write_text, sha256
from torchmoji.files.resumable import fingerprint
from torchmoji.global_variables import NB_TOKENS, SPECIAL_TOKENS
from torchmoji.model_def import TorchMoji, load_model
from torchmoji.pipeline import MojiPipeline
from torchmoji.pipeline.pipeline import LONGEST
from torchmoji.pretraining import Settings, pretrain
from torchmoji.pretraining.card import Report
from torchmoji.pretraining.data_order import DataOrder
from torchmoji.pretraining.distributed import Processes, joined_processes
from torchmoji.pretraining.loop import CHECKPOINT_NAME, train_model
from torchmoji.pretraining.pretraining import STORED
from torchmoji.pretraining.scores import Scores, commonest_scores, score_emojis
from torchmoji.pretraining.start import start_with_model
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.weights.folder import CARD_NAME, CONFIG_NAME, VOCABULARY_NAME, find, save
from torchmoji.weights.layers import WEIGHTS_NAME

HASHTAGS = 25_000
"""Commonest words that share their embeddings with their hashtags."""
RULES = Rules(emoticons=True, put_in=0.15)
"""Emoticons are labels, and in so many texts one of the labels stands as emoji or emoticon."""
BEGINNING, KEPT = "the model that it began with", "the model whose features it keeps"
AXES, AXES_FROM = 384, 20_000
"""Principal axes of a model's features that the new one keeps, and texts from which they are found."""
MARK_SHARE = 0.6
"""Of an emoji or emoticon in a text, in what a torchMoji model as teacher says of it."""
AGAIN = Settings(
    passes=1.0,
    batch_size=1024,
    max_length=30,
    learning_rate=6e-4,
    warmup_steps=60,
    average=0.99,
    soft_share=0.6,
    embedding_weight=2.0,
    evaluate_every=130,
    evaluation_texts=3000,
    bfloat16=True,
)
"""How to train from a torchMoji model on."""
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
    seed=52,
)
TEACHER = Settings(passes=2, batch_size=512, learning_rate=4e-4, average=0.999)

logger = logging.getLogger(__name__)


class Recipe:
    """The steps, each in a method; what one leaves is in `work`.

    Args:
        options: Of the command line.
        processes: The one that works.
        student, teacher, again: How to train: with an encoder, the encoder, and with a torchMoji model.
    """

    def __init__(
        self, options: Any, processes: Processes, student: Settings, teacher: Settings, again: Settings
    ) -> None:
        self.options, self.processes, self.device = options, processes, processes.device
        self.work: Path = options.out / "work"
        is_ours = options.teacher == "default" or (Path(options.teacher) / VOCABULARY_NAME).is_file()
        self.start: str | None = options.teacher if is_ours else None
        self.encoder = Path(options.teacher)
        names = ["soft_targets", "embedding_targets", "word_vectors"]
        files = ["targets.npy", "embeddings.npy", "words.npy"]
        if self.start:
            files = files[: 2 if options.features else 1]
        given = {name: getattr(options, name) for name in ("passes", "prior_adjustment", "seed")}
        self.student = replace(
            again if self.start else student,
            start_from=self.start,
            **{name: str(self.work / file) for name, file in zip(names, files, strict=False)},
            **{name: value for name, value in given.items() if value is not None},
        )
        self.teacher = replace(teacher, passes=options.teacher_passes)

    def cleaned(self, split: str) -> Path:
        """The texts of DATA but for the lines that are to be left out."""
        source: Path = self.options.data / f"{split}.tsv.gz"
        dropped = self.options.data / f"drop_{split}.txt.gz"
        target = self.work / source.name
        if not dropped.is_file():
            return source
        if not target.exists():
            with gzip.open(dropped, "rt") as numbers:
                left_out = set(map(int, numbers))
            with (
                gzip.open(source, "rb") as lines,
                atomic_path(target) as temporary,
                gzip.GzipFile(temporary, "wb", compresslevel=4, mtime=0) as file,
            ):
                file.writelines(line for number, line in enumerate(lines) if number not in left_out)
        return target

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus."""
        settings = CorpusSettings(
            rules=RULES,
            columns=Columns(text="2", labels="1", header=False),
            nb_tokens=self.options.nb_tokens,
            hashtags=HASHTAGS,
            keep_text=True,
        )
        build_corpus(
            self.cleaned("train"),
            self.work / "corpus",
            settings,
            validation_inputs=self.cleaned("valid"),
            progress=sys.stderr.isatty(),
        )
        return with_sentences(Corpus.load(self.work / "corpus"), self.sentences)

    @cached_property
    def sentences(self) -> list[Sentence]:
        """Those for training."""
        return read_sentences("sentences.jsonl")

    def texts(self, split: str) -> Iterator[str]:
        """The texts of the corpus, and the sentences after those for training."""
        yield from shard_texts(self.corpus.shard_paths(split))
        if split == "train":
            yield from [sentence.text for sentence in self.sentences] * REPEATS

    @cached_property
    def pieces(self) -> dict[str, TokenRows]:
        """The texts as the encoder's tokens."""
        return {
            split: as_wordpieces(self.encoder, self.texts(split), self.corpus.rows(split))
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
            about["teacher"] = self.start or encoder_files(self.encoder)
            write_wanted_rows(path, answer, is_wanted, columns, about, True, self.device.type)
        return path

    def embed(self) -> None:
        """Write the encoder's embeddings of the words and of the texts."""
        if (self.work / "embeddings.npy").exists():
            return
        encoder = load_encoder(self.encoder).eval().to(self.device)
        size = encoder.config.hidden_size
        words = words_by_id(self.corpus.vocabulary)
        alone = TokenRows([in_memory([[index] for index in range(len(words))], [[0]] * len(words))])
        rows = as_wordpieces(self.encoder, words, alone)
        is_word = np.arange(len(words)) >= len(SPECIAL_TOKENS)
        self._write("words.npy", embeddings_of(encoder, rows, self.device), size, is_word)
        ask = embeddings_of(encoder, self.pieces["train"], self.device)
        self._write("embeddings.npy", ask, size, self.is_seen)

    def ask_start(self, start: str) -> None:
        """Write what a torchMoji model says of the texts without emojis and emoticons, and what these say.

        Of a sentence it is the emojis that fit, weighed by the model's guesses. A class of which lines were
        left out is so much less likely: the model has learned these lines.
        """
        corpus = self.corpus
        pipeline = MojiPipeline.from_pretrained(start, precision="int8")
        if list(pipeline.classes) != list(corpus.classes):
            raise ValueError(f"{start} has other classes than the corpus: give a model of the 64 emojis")
        texts = list(self.texts("train"))
        first = len(texts) - REPEATS * len(self.sentences)
        fitting_ones = fitting(self.sentences, corpus.classes)
        finders = EmojiFinder(corpus.classes), EmoticonFinder(corpus.classes)
        kept = class_counts(self.cleaned("train")) / class_counts(self.options.data / "train.tsv.gz").clip(1)

        def answer(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
            fits = np.zeros((len(numbers), len(corpus.classes)), dtype=np.float32)
            plain = []
            for row, text in enumerate(texts[number] for number in numbers):
                for finder in finders:
                    marks, text = finder.take_out(text)
                    fits[row, list(marks)] = 1
                plain.append(text)
            guesses = pipeline.predict_proba(plain) * kept
            guesses /= guesses.sum(1, keepdims=True)
            count = fits.sum(1, keepdims=True)
            share = MARK_SHARE * (count > 0)
            said = (1 - share) * guesses + share * fits / count.clip(1)
            own = numbers >= first
            which = (numbers[own] - first) % len(self.sentences)
            said[own] = target_of(torch.from_numpy(guesses[own]), fitting_ones[which]).numpy()
            return said

        self._write("targets.npy", answer, len(corpus.classes), self.is_seen)

    def ask_features(self, model: str) -> None:
        """Write a torchMoji model's features of the texts, for the new model to keep, in fewer numbers.

        They are those of the texts on their first principal axes. The classifiers that people make from
        features lose what training for emojis alone does not need.
        """
        if (self.work / "embeddings.npy").exists():
            return
        pipeline, texts = MojiPipeline.from_pretrained(model, precision="int8"), list(self.texts("train"))
        sample = pipeline.encode(texts[:: max(1, len(texts) // AXES_FROM)], normalize_embeddings=True)
        axes = torch.linalg.svd(torch.from_numpy(sample), full_matrices=False).Vh[:AXES].T.numpy()

        def answer(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
            rows: npt.NDArray[np.floating] = pipeline.encode([texts[number] for number in numbers]) @ axes
            return np.asarray(unit_rows(rows))

        self._write("embeddings.npy", answer, axes.shape[1], self.is_seen, features=model)

    def ask_teachers(self) -> None:
        """Fine-tune the teachers, and write the mean of what they say of the texts."""
        if (self.work / "targets.npy").exists():
            return
        count = len(self.corpus.classes)
        parts = []
        for number in range(self.options.teachers):
            settings = replace(self.teacher, seed=self.student.seed + number)
            folder = self.work / f"teacher-{number + 1}"
            trained = train_model(
                lambda goes_on: Teacher(load_encoder(self.encoder), count),
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
        """Write the model with its card."""
        corpus, trained, out = self.corpus, self.work / "student", self.options.out
        held_out = corpus.rows("validation")
        config = json.loads((trained / CONFIG_NAME).read_text("utf-8"))
        model = load_model(trained / WEIGHTS_NAME)
        if self.options.keep:
            self._mix(model)
        vocabulary = {**emoticon_spellings(corpus.vocabulary), **corpus.vocabulary}
        save(out, model.state_dict(), vocabulary, config, int8=True)
        stored: TorchMoji = load_model(out / WEIGHTS_NAME).to(self.device)
        given = {BEGINNING: self.start, KEPT: self.options.features} if self.start else {}
        others = {name: model for name, model in given.items() if model}
        scores = {name: self._scores_of(model) for name, model in others.items()}
        count = len(corpus.classes)
        whole: dict[str, Scores] = {  # on all texts, unlike those of `pretrain`
            STORED: score_emojis(stored, held_out, count),
            **scores,
            "the same before rounding to int8": score_emojis(model.to(self.device), held_out, count),
            "always the commonest emojis": commonest_scores(held_out, corpus.class_counts("train")),
        }
        notes = self.options.notes.read_text(encoding="utf-8") if self.options.notes else ""
        report = replace(report, scores=whole, is_int8=True, command=self.options.command, notes=notes)
        pipeline = MojiPipeline.from_pretrained(out)
        pipelines = {name: MojiPipeline.from_pretrained(model) for name, model in others.items()}
        by_kind = everyday.report({"this model": pipeline, **pipelines})
        is_known = sha256(self.options.data / "valid.tsv.gz") == KNOWN_VALIDATION_TEXTS
        hard = read_sentences("hard_sentences.jsonl")
        card = default_model_card(report, pipeline, hard, by_kind, len(self.sentences), is_known)
        atomic_write_text(out / CARD_NAME, card)
        logger.info("%s: %s", out, whole[STORED].summary())

    @torch.no_grad()
    def _mix(self, model: TorchMoji) -> None:
        """Give the model a share of the weights of the one whose features it has learned to keep."""
        kept = copy.deepcopy(model)
        start_with_model(kept, self.options.features, self.corpus.vocabulary, self.corpus.classes)
        for weight, other in zip(model.parameters(), kept.parameters(), strict=True):
            weight.lerp_(other, self.options.keep)

    def _scores_of(self, model: str) -> Scores:
        """Those of another model, which reads the texts with its own words."""
        rows, files = self.corpus.rows("validation"), find(model)
        texts = list(shard_texts(self.corpus.shard_paths("validation")))
        ids, _, _ = SentenceTokenizer(files.vocabulary or {}, LONGEST).tokenize_sentences(texts)
        owners, classes = rows.labels(np.arange(len(rows)))
        labels = np.split(classes, np.searchsorted(owners, np.arange(1, len(rows))))
        tokens = [row[row != 0].tolist() for row in ids]
        own = TokenRows([in_memory(tokens, [of_row.tolist() for of_row in labels])])
        return score_emojis(load_model(files.weights).to(self.device), own, len(self.corpus.classes))

    def check_same(self) -> None:
        """Refuse what the steps of another recipe have left; what only shapes the end may be another."""
        data, options = self.options.data, self.options
        files = [*data.glob("*.gz"), Path(__file__).with_name("sentences.jsonl")]
        about = {
            "files": {path.name: sha256(path) for path in sorted(files)},
            "teacher": sha256(find(self.start).weights) if self.start else encoder_files(self.encoder),
            "options": [options.nb_tokens, options.teachers, asdict(self.teacher), options.features],
            "passes": [self.student.passes, self.student.seed],
        }
        path = self.work / "recipe.json"
        text = json.dumps(about, indent=1)
        if path.exists() and path.read_text("utf-8") != text:
            raise ValueError(f"{self.work} is of another recipe, see {path}: give another OUT, or remove it")
        atomic_write_text(path, text)

    def run(self) -> None:
        """All steps."""
        self.work.mkdir(parents=True, exist_ok=True)
        self.check_same()
        if self.start:
            self.ask_start(self.start)
            if self.options.features:
                self.ask_features(self.options.features)
        else:
            self.embed()
            self.ask_teachers()
        self.finish(self.train())


def class_counts(path: Path) -> npt.NDArray[np.int64]:
    """How many texts of a file have each emoji (64,)."""
    counts = np.zeros(len(EMOJIS), dtype=np.int64)
    with gzip.open(path, "rb") as lines:
        for line in lines:
            counts[[int(number) for number in line.partition(b"\t")[0].split(b",")]] += 1
    return counts


def make_default_model(
    options: Any, student: Settings = STUDENT, teacher: Settings = TEACHER, again: Settings = AGAIN
) -> None:
    """Run all steps by the options of the command line."""
    with joined_processes(options.device) as processes:
        if processes.count > 1:
            raise ValueError(f"{processes.count} processes: this works in one, start it without torchrun")
        if options.keep and not options.features:
            raise ValueError(f"--keep {options.keep} of which model? Give --features, or leave --keep out")
        if not 0 <= options.keep < 1:
            raise ValueError(f"--keep must be at least 0 and below 1, got {options.keep}")
        Recipe(options, processes, student, teacher, again).run()


def parse(arguments: Sequence[str] | None = None) -> tuple[argparse.ArgumentParser, Any]:
    """The parser, and the options."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("teacher", metavar="TEACHER")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--teachers", type=positive, default=3, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--teacher-passes", type=float, default=TEACHER.passes, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--passes",
        type=float,
        metavar="N",
        help=f"of the model (default: {AGAIN.passes}, with an encoder {STUDENT.passes})",
    )
    parser.add_argument(
        "--nb-tokens", type=positive, default=NB_TOKENS, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--features",
        metavar="MODEL",
        help="with a torchMoji model as teacher: learn to keep the features of this one, from which people "
        "make classifiers",
    )
    parser.add_argument(
        "--keep",
        type=float,
        default=0.0,
        metavar="S",
        help="mix so large a share of the weights of --features in at the end (default: %(default)s); "
        "another needs no new training",
    )
    parser.add_argument(
        "--prior-adjustment",
        type=float,
        metavar="B",
        help="take so much of their head start off common emojis, see torchmoji.pretraining.Settings "
        f"(default: {AGAIN.prior_adjustment}, with an encoder {STUDENT.prior_adjustment}); another needs no "
        "new training",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help=f"default: {AGAIN.seed}, with an encoder {STUDENT.seed}"
    )
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
