"""The commands `build-corpus` and `pretrain`."""

import argparse
import json
import logging
import shlex
import sys
from pathlib import Path
from typing import Any

from torchmoji.cli.arguments import (
    add_force,
    add_options,
    add_other_spelling,
    add_text_column,
    minutes,
    new_folder,
    positive,
    read_options,
    show_bar,
)
from torchmoji.corpus.settings import CorpusSettings, Rules
from torchmoji.pretraining.settings import Settings
from torchmoji.weights.folder import FILE_NAMES

_ABOUT_CORPUS = """Find emojis in texts, take them out, and write what is left for `torchmoji pretrain`.
Inputs are files, folders, globs and URLs: texts, one a line, CSV, TSV, JSON, also with .gz, .zst or .bz2, and
Parquet, Arrow and Feather. Left out are texts without one of the emojis, retweets, texts with links, and
texts with the same emojis and the same or nearly the same words. A text with k different emojis is k samples.
An interrupted command goes on when it is given again. The same input gives the same bytes."""
_ABOUT_TRAINING = """Train a model to guess the emojis of texts, store and score it, and write its card.
Of several processes that torchrun starts each takes its part of every step. A command that was interrupted
goes on from its last checkpoint when it is given again."""

_GOES_ON = "the same command goes on where it was"


def add_commands(add: Any) -> None:
    """Add both; `add` makes a command from its name, a summary, a description and examples."""
    _add_build_corpus(add)
    _add_pretrain(add)


def _add_build_corpus(add: Any) -> None:
    command = add(
        "build-corpus",
        "make a training set from raw texts",
        _ABOUT_CORPUS,
        [
            "torchmoji build-corpus tweets/ --out corpus/ --validation 0.02",
            "torchmoji build-corpus 'chat/*.jsonl.zst' --text-column body --emojis '😀 😡 🎉' --out corpus/",
            "torchmoji build-corpus labelled.csv --labels-column emoji --out corpus/ --nb-tokens 20000",
        ],
    )
    command.add_argument("inputs", nargs="+", metavar="INPUT", help="file, folder, glob or URL")
    command.add_argument("--out", required=True, metavar="FOLDER", help="the new corpus")
    add_text_column(command)
    command.add_argument(
        "--labels-column",
        metavar="NAME",
        help="column of emojis or class numbers (default: the emojis are in the texts)",
    )
    add_other_spelling(command, "--label-column", "labels_column", metavar="NAME")
    command.add_argument(
        "--no-header",
        action="store_true",
        help="CSV and TSV have no header: columns are given by number, from 1 on",
    )
    command.add_argument(
        "--emojis", metavar="LIST", help="a file of emojis, or '😀 😡 🎉' (default: DeepMoji's 64)"
    )
    command.add_argument("--drop-mentions", action="store_true", help="leave out texts that mention somebody")
    add_options(command, Rules, ("emojis", "keep_mentions"))
    add_options(command, CorpusSettings, ("rules", "columns"))
    command.add_argument(
        "--validation-from", nargs="+", default=[], metavar="INPUT", help="texts that are all held out"
    )
    command.add_argument("--workers", type=int, metavar="N", help="processes (default: one for each core)")
    add_force(command)
    command.add_argument("--json", action="store_true", help="the manifest, for programs")
    command.add_argument("--quiet", action="store_true", help="no progress bars")
    command.set_defaults(run=_build_corpus, stopped=_GOES_ON)


def _add_pretrain(add: Any) -> None:
    command = add(
        "pretrain",
        "train a model on a corpus of build-corpus",
        _ABOUT_TRAINING,
        [
            "torchmoji pretrain corpus/ --out model/ --passes 2",
            "torchmoji pretrain corpus/ --out small/ --embedding-dim 64 --hidden-size 64 --int8",
            "torchrun --nproc-per-node 4 -m torchmoji pretrain corpus/ --out model/ --batch-size 2048",
            'torchmoji emojize "what a day" --model model/',
        ],
    )
    command.add_argument("corpus", metavar="CORPUS", help="folder of build-corpus")
    command.add_argument("--out", required=True, metavar="FOLDER", help="the new model")
    add_options(command, Settings, ["bfloat16"])
    precision = command.add_mutually_exclusive_group()
    for name, is_bfloat16 in (("bfloat16", True), ("float32", False)):
        precision.add_argument(
            f"--{name}",
            action="store_const",
            const=is_bfloat16,
            dest="bfloat16",
            help=f"matrix products in {name} (default: bfloat16 where the machine is fast at it)",
        )
    command.add_argument("--device", metavar="NAME", help="such as cuda (default: cuda where it is there)")
    command.add_argument("--int8", action="store_true", help="store matrices as int8: a quarter of the size")
    command.add_argument(
        "--checkpoint-minutes", type=minutes, default=10, metavar="N", help="default: %(default)s"
    )
    command.add_argument("--threads", type=positive, metavar="N", help="threads (default: one for each core)")
    add_force(command)
    command.add_argument("--notes", metavar="FILE", help="Markdown for the model card")
    command.add_argument("--json", action="store_true", help="JSON, for programs")
    command.add_argument("--quiet", action="store_true", help="no progress bars, no log")
    command.set_defaults(run=_pretrain, stopped=_GOES_ON)


def _build_corpus(options: argparse.Namespace) -> None:
    from torchmoji.corpus.build import build_corpus
    from torchmoji.corpus.emoji_finder import parse_emojis
    from torchmoji.corpus.reading import Columns
    from torchmoji.emojis import EMOJIS

    rules = read_options(
        options,
        Rules,
        emojis=EMOJIS if options.emojis is None else parse_emojis(options.emojis),
        keep_mentions=not options.drop_mentions,
    )
    columns = Columns(options.text_column or "text", options.labels_column, not options.no_header)
    new_folder(options.out, options.force, ())
    manifest = build_corpus(
        options.inputs,
        options.out,
        read_options(options, CorpusSettings, rules=rules, columns=columns),
        validation_inputs=options.validation_from,
        workers=options.workers,
        progress=show_bar(options.quiet),
        force=options.force,
    )
    if options.json:
        print(json.dumps(manifest, ensure_ascii=False))
        return
    counts, splits = manifest["counts"], manifest["splits"]
    dropped = {reason: number for reason, number in counts["dropped"].items() if number}
    print(f"{options.out}: {counts['kept']} of {counts['texts']} texts")
    for name, split in splits.items():
        if split["rows"]:
            known = f"{split['known_tokens']:.1%} of the tokens known"
            print(f"  {name}: {split['rows']} texts, {split['samples']} samples, {known}")
    print(f"  vocabulary: {manifest['vocabulary']['words']} words")
    for reason, number in dropped.items():
        print(f"  left out, {reason.replace('_', ' ')}: {number}")
    if counts["bad_lines"]:
        print(f"  bad lines: {counts['bad_lines']}")


def _pretrain(options: argparse.Namespace) -> None:
    from torchmoji.pretraining.loop import CHECKPOINT_NAME
    from torchmoji.pretraining.pretraining import pretrain

    is_begun = Path(options.out, CHECKPOINT_NAME).is_file()  # and gone on with
    new_folder(options.out, options.force or is_begun, FILE_NAMES, [options.start_from, options.corpus])
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    if not options.quiet and not sys.stderr.isatty():  # where there is no terminal for a bar
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        notes = Path(options.notes).read_text(encoding="utf-8") if options.notes else ""
    except UnicodeDecodeError as error:
        raise ValueError(f"--notes {options.notes} is not UTF-8 ({error}): save it as UTF-8") from error
    try:
        result = pretrain(
            options.corpus,
            options.out,
            read_options(options, Settings),
            device=options.device,
            int8=options.int8,
            checkpoint_seconds=60 * options.checkpoint_minutes,
            progress=not options.quiet,
            command=shlex.join(["torchmoji", *sys.argv[1:]]),
            notes=notes,
            force=options.force,
        )
    except FloatingPointError as error:
        raise ValueError(str(error)) from error
    if result.scores is None:
        return
    scores = {name: scores.summary() for name, scores in result.scores.items()}
    if options.json:
        print(json.dumps({"steps": result.steps, "seconds": round(result.seconds, 1), "scores": scores}))
        return
    print(f"{options.out}: {result.steps} steps in {result.seconds / 60:.1f} minutes")
    for name, shares in scores.items():
        print(
            f"  {name}: first guess {shares['first']:.1%}, first five {shares['first_five']:.1%}, "
            f"averaged over classes {shares['average_first']:.1%}, {shares['average_first_five']:.1%}"
        )
