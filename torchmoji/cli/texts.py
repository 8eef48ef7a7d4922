"""The commands that take texts: `emojize`, `predict`, `score`, `emotions`, `attention`, `explain`, `encode`.

Each gives a row for each text. Of a table the row keeps all its columns and gets the command's behind them; a
name that is taken gets an underscore. Emojis are written as people should see them, with U+FE0F.
"""

import argparse
import os
import sys
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain, islice, tee
from pathlib import Path
from typing import Any, NamedTuple

from torchmoji.batch.encoder import names_of_classes
from torchmoji.cli.arguments import (
    add_compute,
    add_encoding,
    add_force,
    add_text_column,
    new_output,
    note,
    positive,
    show_bar,
)
from torchmoji.cli.batch import EXAMPLES, add_job_options, is_job, run_job
from torchmoji.cli.models import add_model_options, load_pipeline, model_name
from torchmoji.emojis import shown
from torchmoji.files.resumable import RESUMABLE, PartialFile, can_be_resumed, fingerprint
from torchmoji.files.tables import (
    DEFAULT_COLUMN,
    LONGEST_LINE,
    NOT_READ,
    READABLE,
    check_writable,
    compression,
    ending,
    is_utf_8,
    open_table,
    unused_name,
    write_lines,
    write_npy,
    write_rows,
)
from torchmoji.pipeline.pipeline import MojiPipeline
from torchmoji.pipeline.spans import placed_words
from torchmoji.weights.folder import find

_INPUTS = """
Arguments are texts, or files where they name some; - is standard input, whose lines are answered as they
come. Files are .txt, .csv, .tsv, .jsonl, .json, also compressed, or .parquet; all columns of a table are
kept. Results go to standard output, or to a file (--out): .csv, .tsv, .jsonl or .parquet"""

_CHUNK_BYTES = 1 << 18
_NAME_ONE = "name one with --text-column"

Result = dict[str, Any]
Item = tuple[str, Result]
"""A text and its row."""
Answer = tuple[str, Result, Result]
"""A text, its row, and what the command adds."""


def add_commands(add: Any) -> None:
    """Add all; `add` makes a command from its name, a summary, a description and examples."""
    for name, (summary, results, examples) in _COMMANDS.items():
        ending_note = "; with .npy as one array." if name == "encode" else "."
        command = add(name, summary, f"{summary.capitalize()}.\n{_INPUTS}{ending_note}", examples)
        command.set_defaults(
            run=_run_texts, results=results, resume=False, workers=None, stopped=_how_to_go_on
        )
        command.add_argument("texts", nargs="*", metavar="TEXT|FILE", help="texts, or files of them, or -")
        command.add_argument(
            "--input", action="append", default=[], metavar="FILE", help="a file of texts; may be repeated"
        )
        add_text_column(command)
        add_encoding(command)
        command.add_argument("--out", metavar="FILE", help="the new file")
        command.add_argument(
            "--output-dir", metavar="FOLDER", help="a new file here for each file of texts, of the same name"
        )
        add_force(command)
        command.add_argument("--json", action="store_true", help="JSON lines on standard output")
        command.add_argument("--quiet", action="store_true", help="no progress bar, no notes")
        add_model_options(command)
        add_compute(command)
        if name != "explain":
            command.add_argument(
                "--workers",
                type=positive,
                metavar="N",
                help="processes, each with the model and a share of the cores: for many texts (default: one)",
            )
        if name in ("emojize", "predict"):
            command.add_argument(
                "--top-k", type=positive, default=5, metavar="K", help="of a text (default: %(default)s)"
            )
        elif name == "encode":
            command.add_argument(
                "--resume",
                action="store_true",
                help="go on where an interrupted run from a file to --out (.npy, .jsonl, .csv, .tsv) was",
            )
            add_job_options(command)


# --- results of texts ---------------------------------------------------------------------------------------


def _guesses(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    name, number = ("label", "score") if options.command == "predict" else names_of_classes(pipeline.classes)
    top_k = min(options.top_k, max(1, len(pipeline.classes)))
    for prediction in pipeline.predict(texts, top_k, workers=options.workers):
        row: Result = {}
        for place in range(top_k):
            score = prediction[place] if place < len(prediction) else None
            row[f"{name}_{place + 1}"] = score and shown(score.emoji)
            row[f"{number}_{place + 1}"] = score and round(score.probability, 6)
        yield row


def _scores(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    names = [shown(name) for name in pipeline.classes]
    if len(set(names)) < len(names):  # ❤ with and without its selector, in labels of a user
        names = list(pipeline.classes)
    texts, again = tee(texts)
    for text, row in zip(texts, pipeline.predict_proba(again, workers=options.workers), strict=True):
        yield _numbers(names, text, row)


def _numbers(names: Sequence[str], text: str, row: Iterable[Any]) -> Result:
    """Numbers by name; none for a text without words, about which the model knows nothing."""
    values = [round(float(value), 6) for value in row] if placed_words(text) else [None] * len(names)
    return dict(zip(names, values, strict=True))


def _emotions(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    from torchmoji.emojis import EMOTIONS

    texts, again = tee(texts)
    for text, row in zip(texts, pipeline.emotions(again, workers=options.workers), strict=True):
        yield _numbers(EMOTIONS, text, row)


def _attention(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    for prediction in pipeline.predict(texts, 1, workers=options.workers):
        yield {"words": [word._asdict() | {"weight": round(word.weight, 6)} for word in prediction.words]}


def _explain(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    name, number = names_of_classes(pipeline.classes)
    for text in texts:
        top, words = pipeline.explain(text)
        effects = [word._asdict() | {"change": round(word.change, 6)} for word in words]
        likeliest = (shown(top.emoji), round(top.probability, 6)) if words else (None, None)
        yield {name: likeliest[0], number: likeliest[1], "words": effects}


def _features(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    for row in pipeline.encode(texts, workers=options.workers):
        yield {"features": row.tolist()}


_COMMANDS: dict[str, tuple[str, Callable[..., Iterator[Result]], list[str]]] = {
    "emojize": (
        "give texts their likeliest emojis",
        _guesses,
        [
            'torchmoji emojize "I love mom\'s cooking"',
            'torchmoji emojize "see you tomorrow" "not again.." --top-k 3',
            "torchmoji emojize tweets.csv --text-column tweet --out emojis.csv",
            "torchmoji emojize tweets.csv other.jsonl --output-dir emojis/",
            "cat tweets.txt | torchmoji emojize - --json > emojis.jsonl",
        ],
    ),
    "predict": (
        "give texts their likeliest labels by a classifier of your own",
        _guesses,
        ['torchmoji predict "what a waste of time" --model sentiment/ --top-k 1'],
    ),
    "score": (
        "give the probability of every class",
        _scores,
        ["torchmoji score tweets.csv --out scores.csv"],
    ),
    "emotions": (
        "give anger, anticipation, disgust, fear, joy, sadness, surprise and trust, 0 to 1",
        _emotions,
        ['torchmoji emotions "not again.. my train is late"'],
    ),
    "attention": (
        "give the words of texts with their weight and their place in the text",
        _attention,
        ['torchmoji attention "I love mom\'s cooking" --json'],
    ),
    "explain": (
        "say how each word left out changes the probability of the likeliest emoji",
        _explain,
        ['torchmoji explain "I love mom\'s cooking"'],
    ),
    "encode": (
        "give texts their emotional encodings: float32 numbers, 2304 in the original's sizes",
        _features,
        [
            "torchmoji encode tweets.txt.gz --out features.npy",
            "torchmoji encode tweets.txt.gz --out features.npy --resume",
            'torchmoji encode "I love it" --json',
            *EXAMPLES,
        ],
    ),
}


def _run_texts(options: argparse.Namespace) -> None:
    if is_job(options):
        run_job(options, options.input + options.texts)
        return
    jobs = _jobs(options)
    if not jobs:
        return
    pipeline = load_pipeline(options)
    for source, target in jobs:
        with ExitStack() as files:
            windows, columns = _windows(source, options, files)
            bar = _bar(source, options)
            if target is None:
                _print(bar(_answers(pipeline, windows, options)), options)
            else:
                _write(pipeline, windows, source, target, columns, options, bar)


def _answers(
    pipeline: MojiPipeline, windows: Iterable[Iterable[Item]], options: argparse.Namespace
) -> Iterator[Answer]:
    """The results of all texts, of each window before the next one is read."""
    for window in windows:
        items, again = tee(window)
        results = options.results(pipeline, (text for text, _ in again), options)
        for (text, row), result in zip(items, results, strict=True):
            yield text, row, result


def _merged(answers: Iterable[Answer]) -> Iterator[Result]:
    """Rows with all their columns."""
    for _, row, result in answers:
        yield row | {unused_name(name, row): value for name, value in result.items()}


def _bar(source: str | None, options: argparse.Namespace) -> Callable[..., Any]:
    """What shows how many results of a file have passed."""
    from tqdm import tqdm

    is_shown = source is not None and show_bar(options.quiet)
    total = None
    if source and is_shown and os.path.isfile(source):  # reading twice takes a thousandth of the work
        column = options.text_column or DEFAULT_COLUMN
        with open_table(source, encoding=options.encoding, only=[column]) as table:
            total = sum(1 for _ in table)
    return partial(tqdm, total=total, unit=" texts", disable=not is_shown)


def _print(answers: Iterable[Answer], options: argparse.Namespace) -> None:
    if options.json or options.command == "encode":
        write_lines(_merged(answers), sys.stdout, ".jsonl", flush=True)
    elif options.command == "score":  # a table of many columns
        write_lines(_merged(answers), sys.stdout, ".csv", flush=True)
    else:
        for text, _, result in answers:
            print(text, *_readable(text, result, options.command), sep="\n", flush=True)


def _readable(text: str, result: Result, command: str) -> Iterator[str]:
    """A result for people, in lines."""
    values = list(result.values())
    if values[0] is None or values[-1] == []:
        yield "  (none is likely enough)" if placed_words(text) else "  (no words)"
    elif command in ("emojize", "predict"):
        pairs = zip(values[::2], values[1::2], strict=True)
        yield "  " + "   ".join(f"{name} {number:.1%}" for name, number in pairs if name is not None)
    elif "words" not in result:
        yield "  " + "   ".join(f"{name} {value:.2f}" for name, value in result.items())
    else:
        if command == "explain":
            yield f"  {values[0]} {values[1]:.1%}"
        for word in result["words"]:
            number = f"{word['weight']:6.1%}" if "weight" in word else f"{word['change']:+7.1%}"
            yield f"  {number} {word['word']}"


def _write(
    pipeline: MojiPipeline,
    windows: Iterable[Iterable[Item]],
    source: str | None,
    target: Path,
    columns: list[str],
    options: argparse.Namespace,
    bar: Callable[..., Any],
) -> None:
    def features(items: Iterable[Item]) -> Iterator[Any]:
        return pipeline.encode((text for text, _ in items), workers=options.workers)

    is_array = ending(target) == ".npy"
    if options.resume or (options.command == "encode" and source and ending(target) in RESUMABLE):
        about = {
            "input": fingerprint(source or ""),
            "column": options.text_column,
            "encoding": options.encoding,
            "model": fingerprint(find(model_name(options), options.vocabulary).weights, content=True),
            "engine": repr(pipeline),
            "limits": [pipeline.max_length, pipeline.windows],
            "version": 2,  # of the columns
        }
        with PartialFile(target, pipeline.engine.nb_features, about, options.resume) as file:
            left = file.skip(chain.from_iterable(windows))
            if is_array:
                file.write_arrays(bar(features(left), initial=file.done))
            else:
                rows, names = _rows_and_names(pipeline, [left], columns, options)
                file.write_rows(bar(rows, initial=file.done), names)
    elif is_array:
        write_npy(bar(features(chain.from_iterable(windows))), pipeline.engine.nb_features, target)
    else:
        rows, names = _rows_and_names(pipeline, windows, columns, options)
        write_rows(bar(rows), target, names)


def _rows_and_names(
    pipeline: MojiPipeline, windows: Iterable[Iterable[Item]], columns: list[str], options: argparse.Namespace
) -> tuple[Iterator[Result], list[str]]:
    """Rows with all their columns, and if there are none the names of the columns."""
    rows = _merged(_answers(pipeline, windows, options))
    if first := list(islice(rows, 1)):
        return chain(first, rows), columns
    here = argparse.Namespace(**vars(options) | {"workers": None})
    results = next(options.results(pipeline, iter([""]), here))
    return rows, [*columns, *(unused_name(name, columns) for name in results)]


def _how_to_go_on(options: argparse.Namespace) -> str:
    """What to say after Ctrl-C."""
    if is_job(options):
        return "whole parts are kept, and the same command goes on behind them"
    if options.command == "encode" and options.out and can_be_resumed(options.out):
        return "the same command with --resume goes on where it was"
    if options.out or options.output_dir:
        return "what was not whole is not written; give the same command to begin anew"
    return "the same command begins anew"


# --- texts in, files out ------------------------------------------------------------------------------------


class _Job(NamedTuple):
    source: str | None
    """A file of texts; None for those of the command line or standard input."""
    target: Path | None
    """The new file; None for standard output."""


def _jobs(options: argparse.Namespace) -> list[_Job]:
    """What to read and where to write; all that can be refused is, before a model is loaded."""
    sources = _sources(options)
    has_numbers = options.command == "encode"
    if options.text_column and not sources:
        raise ValueError("--text-column needs a file: it names a column of it")
    if options.encoding and not sources and options.texts != ["-"]:
        raise ValueError("--encoding is that of a file or of standard input: arguments have the terminal's")
    if options.out and options.output_dir:
        raise ValueError("give --out for one file or --output-dir for several, not both")
    if options.resume and not (options.out and len(sources) == 1):
        raise ValueError("--resume needs a file of texts and --out FILE: it goes on with half of such a file")
    if options.output_dir and not sources:
        raise ValueError("--output-dir needs files of texts: give --out FILE for texts")
    if len(sources) > 1 and not (options.output_dir or options.json):
        raise ValueError("several files need --output-dir FOLDER, or --json for lines on standard output")
    if len(sources) > 1 and options.out:
        raise ValueError("--out takes the result of one file: give --output-dir FOLDER for several")
    if options.json and (options.out or options.output_dir):
        raise ValueError("--json is for standard output: leave it out, or give --out FILE.jsonl alone")
    kinds = set()
    for file in filter(os.path.isfile, sources):
        with open_table(file, encoding=options.encoding) as table:  # else it is refused before the work
            kinds.add(table.kind)
            next(table.texts(options.text_column or DEFAULT_COLUMN, _NAME_ONE), None)
    if options.text_column and kinds == {".txt"}:
        raise ValueError(f"--text-column names a column, but {sources[0]} has a text a line: leave it out")
    given: Sequence[str | None] = sources or [None]
    if not (options.out or options.output_dir):
        return [_Job(source, None) for source in given]
    jobs: dict[Path, _Job] = {}
    for source in given:
        name = Path(options.out or Path(options.output_dir, _name_of_result(source, has_numbers)))
        check_writable(name, has_numbers)
        target = new_output(name, options.force or options.resume, sources)
        if target in jobs:
            raise ValueError(
                f"{jobs[target].source} and {source} would both become {target}: give another folder for one"
            )
        jobs[target] = _Job(source, target)
        if source and has_numbers and can_be_resumed(target) and not (options.resume or options.force):
            raise FileExistsError(f"{name} is half done: --resume goes on with it, --force begins anew")
        if options.resume and target.exists() and not options.force:
            if can_be_resumed(target):
                raise FileExistsError(f"{name} exists: --force lets the unfinished one replace it")
            about = "nothing is left to do, if it is from this input and model; --force makes it anew"
            note(f"{name} is finished: {about}", options.quiet)
            return []
    return list(jobs.values())


def _name_of_result(source: str | None, has_numbers: bool) -> str:
    path, kind = Path(source or ""), ending(source or "")
    stem = Path(path.stem if compression(path) else path.name).stem
    other = dict.fromkeys((".json", ".jsonl", ".ndjson"), ".jsonl") | {".tsv": ".tsv", ".parquet": ".parquet"}
    return stem + (".npy" if has_numbers else other.get(kind, ".csv"))


def _is_file(word: str) -> bool:
    return os.path.exists(word) and not os.path.isdir(word)  # a pipe is one, too


def _sources(options: argparse.Namespace) -> list[str]:
    """The files of texts; arguments that name files are such."""
    texts: Sequence[str] = options.texts
    if options.input and texts:
        raise ValueError("give texts or --input, not both")
    if "-" in texts and len(texts) > 1:
        raise ValueError("- stands for all texts of standard input: give it alone")
    if not texts and not options.input:
        raise ValueError("no texts: give some, - for standard input, or files")
    as_text = "a text of that name can come by standard input (-)"
    files = [word for word in texts if word != "-" and _is_file(word)]
    for word in texts:
        if os.path.isdir(word) and os.path.basename(word) != word:
            raise IsADirectoryError(f"{word} is a folder: name files in it; {as_text}")
        if ending(word) in (*READABLE, *NOT_READ) and not _is_file(word) and len(word.split()) == 1:
            raise FileNotFoundError(f"there is no file {word}: check the path; {as_text}")
    if files and len(files) < len(texts):
        other = next(word for word in texts if word not in files)
        raise ValueError(f"{files[0]} is a file, {other!r} is none: give texts or files, not both; {as_text}")
    for file in files:
        note(f"reading the file {file}; {as_text}", options.quiet)
    return files or options.input


def _windows(
    source: str | None, options: argparse.Namespace, files: ExitStack
) -> tuple[Iterable[Iterable[Item]], list[str]]:
    """The texts, and their columns.

    Texts of standard input come as they arrive, of a file, the command line or for workers in one window.
    """
    if source is None and options.texts == ["-"]:
        arriving = (
            [(text, {DEFAULT_COLUMN: text}) for text in lines] for lines in _arriving_texts(options.encoding)
        )
        return [chain.from_iterable(arriving)] if options.workers else arriving, [DEFAULT_COLUMN]
    if source is None:
        return [[(text, {DEFAULT_COLUMN: text}) for text in options.texts]], [DEFAULT_COLUMN]
    table = files.enter_context(open_table(source, encoding=options.encoding))
    columns = table.columns or [DEFAULT_COLUMN]
    return [table.texts(options.text_column or DEFAULT_COLUMN, _NAME_ONE)], columns


def _arriving_texts(encoding: str | None = None) -> Iterator[list[str]]:
    """The lines of standard input; each time as many as have come, so that none has to wait.

    Raises ValueError where one is not in the encoding, by default UTF-8.
    """
    try:
        decoder = getincrementaldecoder("utf-8-sig" if is_utf_8(encoding) else encoding or "")()
    except LookupError as error:
        raise ValueError(f"--encoding {encoding!r} is unknown: take utf-8, latin-1 or cp1252") from error
    if sys.stdin is None:
        raise ValueError("standard input is closed: give texts or files")
    stream: Any = sys.stdin.buffer
    pieces: list[str] = []
    number, size, chunk = 1, 0, b"?"  # of the line that is arriving
    while chunk:
        chunk = stream.read1(_CHUNK_BYTES)
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            line = number + error.object[: error.start].count(b"\n")
            raise ValueError(
                f"standard input, line {line}, is not {encoding or 'UTF-8'} (byte "
                f"{error.object[error.start]:#04x}): name its encoding with --encoding"
            ) from error
        *ended, rest = text.split("\n")
        if ended:
            ended[0] = "".join([*pieces, ended[0]])
            pieces, size = [], 0
            number += len(ended)
            yield [line.rstrip("\r") for line in ended]
        pieces.append(rest)
        size += len(rest)
        if size > LONGEST_LINE:
            raise ValueError(
                f"standard input, line {number}, is longer than {LONGEST_LINE} characters: is this a text?"
            )
    if last := "".join(pieces):
        yield [last.rstrip("\r")]
