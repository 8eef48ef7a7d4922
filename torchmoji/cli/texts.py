"""The commands that take texts: `emojize`, `score`, `emotions`, `attention`, `explain` and `encode`."""

import argparse
import json
import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from itertools import chain, tee, zip_longest
from typing import Any

from torchmoji.cli.arguments import add_encoding
from torchmoji.cli.models import add_model_options, load_pipeline, model_name
from torchmoji.emojis import shown
from torchmoji.files.resumable import RESUMABLE, PartialFile, fingerprint
from torchmoji.files.tables import check_writable, ending, read_texts, write_lines, write_npy, write_rows
from torchmoji.pipeline.pipeline import MojiPipeline
from torchmoji.weights.folder import find

_INPUTS = """
Texts are arguments, or lines of standard input (-), answered as they come, or come from a file (--input):
.txt, .csv, .tsv, .jsonl, .json, also gzipped, or .parquet. Results go to standard output, or to a file
(--out): .csv, .tsv, .jsonl or .parquet"""

_CHUNK_BYTES = 1 << 18

Result = dict[str, Any]


def add_commands(add: Any) -> None:
    """Add all.

    Args:
        add: Makes a command from its name, a summary, a description and examples.
    """
    for name, (summary, rows, examples) in _COMMANDS.items():
        ending_note = "; with .npy as one array." if name == "encode" else "."
        command = add(name, summary, f"{summary.capitalize()}.\n{_INPUTS}{ending_note}", examples)
        command.set_defaults(run=_run_texts, rows=rows)
        command.add_argument("texts", nargs="*", metavar="TEXT", help="a text; - for lines of standard input")
        command.add_argument("--input", metavar="FILE", help="a file of texts")
        command.add_argument("--column", metavar="NAME", help="the texts' column in it (default: text)")
        add_encoding(command)
        command.add_argument("--out", metavar="FILE", help="the new file")
        command.add_argument("--json", action="store_true", help="JSON lines on standard output")
        command.add_argument("--quiet", action="store_true", help="no progress bar")
        add_model_options(command)
        if name == "emojize":
            command.add_argument(
                "--top-k", type=int, default=5, metavar="K", help="emojis a text (default: %(default)s)"
            )
            command.add_argument(
                "--balance",
                type=float,
                default=0.0,
                metavar="B",
                help="from 0 to 1, how much of their head start to take off common emojis "
                "(default: %(default)s)",
            )
        elif name == "encode":
            command.set_defaults(run=_encode)
            command.add_argument(
                "--resume",
                action="store_true",
                help="go on where an interrupted run from --input to --out (.npy, .jsonl, .csv, .tsv) was",
            )


# --- results of texts ---------------------------------------------------------------------------------------


def _emojis(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    columns = range(1, min(options.top_k, len(pipeline.classes)) + 1)
    for prediction in pipeline.predict_stream(texts, options.top_k):
        row: Result = {"text": prediction.text}
        for number, score in zip_longest(columns, prediction):  # a text without words has empty cells
            row |= {
                f"emoji_{number}": score and shown(score.emoji),
                f"probability_{number}": score and round(score.probability, 6),
            }
        yield row


def _scores(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    texts, again = tee(texts)
    for text, row in zip(texts, pipeline.predict_proba(again), strict=True):
        values = (round(float(value), 6) for value in row)
        yield {"text": text} | dict(zip(pipeline.classes, values, strict=True))


def _emotions(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    from torchmoji.emojis import EMOTIONS

    texts, again = tee(texts)
    for text, row in zip(texts, pipeline.emotions(again), strict=True):
        yield {"text": text} | dict(zip(EMOTIONS, (round(float(value), 6) for value in row), strict=True))


def _attention(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    for prediction in pipeline.predict_stream(texts, 1):
        words = [word._asdict() | {"weight": round(word.weight, 6)} for word in prediction.words]
        yield {"text": prediction.text, "words": words}


def _explain(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    for text in texts:
        top, words = pipeline.explain(text)
        effects = [word._asdict() | {"change": round(word.change, 6)} for word in words]
        yield {"text": text, "emoji": top.emoji, "probability": round(top.probability, 6), "words": effects}


def _features(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    texts, again = tee(texts)
    for text, row in zip(texts, pipeline.encode_stream(again), strict=True):
        yield {"text": text, "features": row.tolist()}


_COMMANDS = {
    "emojize": (
        "give texts their likeliest emojis",
        _emojis,
        [
            'torchmoji emojize "I love mom\'s cooking"',
            'torchmoji emojize "see you tomorrow" "not again.." --top-k 3',
            "torchmoji emojize --input tweets.csv --column text --out emojis.csv",
            "cat tweets.txt | torchmoji emojize - --json > emojis.jsonl",
        ],
    ),
    "score": (
        "give the probability of every class",
        _scores,
        ["torchmoji score --input tweets.csv --out scores.csv"],
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
            "torchmoji encode --input tweets.txt.gz --out features.npy",
            "torchmoji encode --input tweets.txt.gz --out features.npy --resume",
            'torchmoji encode "I love it" --json',
        ],
    ),
}


def _run_texts(options: argparse.Namespace) -> None:
    windows = _windows(options)
    if options.out:
        check_writable(options.out, has_numbers=False)
    rows = _rows(options.rows, load_pipeline(options), windows, options)
    if options.out:
        write_rows(rows, options.out)
    elif options.json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False), flush=True)
    elif options.rows is _scores:  # a table of many columns
        write_lines(rows, sys.stdout, ".csv", flush=True)
    else:
        for row in rows:
            print(_readable(row, options), flush=True)


def _rows(
    run: Any, pipeline: MojiPipeline, windows: Iterable[Iterable[str]], options: argparse.Namespace
) -> Iterator[Result]:
    """The results of all texts, of each window before the next one is read."""
    for window in windows:
        yield from run(pipeline, iter(window), options)


def _readable(row: Result, options: argparse.Namespace) -> str:
    """A result for people."""
    lines = [row["text"]]
    if options.rows is _emojis:
        count = sum(name.startswith("emoji_") for name in row)
        pairs = [(row[f"emoji_{n}"], row[f"probability_{n}"]) for n in range(1, count + 1)]
        lines.append("".join(f"   {emoji} {share:.1%}" for emoji, share in pairs if emoji)[1:])
    elif options.rows is _emotions:
        values = [f"{name} {value:.2f}" for name, value in row.items() if name != "text"]
        lines.append("  " + "   ".join(values))
    else:
        if "emoji" in row:
            lines.append(f"  {row['emoji']} {row['probability']:.1%}")
        for word in row["words"]:
            number = f"{word['weight']:6.1%}" if "weight" in word else f"{word['change']:+7.1%}"
            lines.append(f"  {number} {word['word']}")
    return "\n".join(lines)


def _encode(options: argparse.Namespace) -> None:
    windows = _windows(options)
    if options.out:
        check_writable(options.out, has_numbers=True)
    if options.resume and not (options.input and options.out):
        raise ValueError("--resume needs --input FILE and --out FILE: it goes on with half of such a file")
    pipeline = load_pipeline(options)
    if not options.out:
        write_lines(_rows(_features, pipeline, windows, options), sys.stdout, ".jsonl", flush=True)
    elif options.resume or (options.input and ending(options.out) in RESUMABLE):
        _encode_file(pipeline, windows, options)
    elif ending(options.out) == ".npy":
        rows = pipeline.encode_stream(chain.from_iterable(windows))
        write_npy(rows, pipeline.engine.nb_features, options.out)
    else:
        write_rows(_rows(_features, pipeline, windows, options), options.out)


def _encode_file(
    pipeline: MojiPipeline, windows: Iterable[Iterable[str]], options: argparse.Namespace
) -> None:
    """Encode a file into a file, so that an interrupted run can be resumed."""
    about = {
        "input": fingerprint(options.input),
        "column": options.column,
        "encoding": options.encoding,
        "model": fingerprint(find(model_name(options), options.vocabulary).weights, content=True),
        "engine": repr(pipeline),
    }
    with PartialFile(options.out, pipeline.engine.nb_features, about, options.resume) as file:
        texts = file.skip(chain.from_iterable(windows))
        if ending(options.out) == ".npy":
            file.write_arrays(pipeline.encode_stream(texts))
        else:
            file.write_rows(_features(pipeline, texts, options))


# --- texts --------------------------------------------------------------------------------------------------


def _windows(options: argparse.Namespace) -> Iterable[Iterable[str]]:
    """The texts: of standard input as they come, of a file or the command line in one window."""
    if options.column and not options.input:
        raise ValueError("--column needs --input: it names a column of that file")
    if options.encoding and not options.input:
        raise ValueError("--encoding needs --input: it is that of the file")
    if options.input and options.texts:
        raise ValueError("give texts or --input, not both")
    if options.input:
        from tqdm import tqdm

        texts = read_texts(options.input, options.column, options.encoding)
        return [tqdm(texts, unit=" texts", disable=options.quiet or not sys.stderr.isatty())]
    if "-" in options.texts and len(options.texts) > 1:
        raise ValueError("- stands for all texts of standard input: give it alone")
    if options.texts == ["-"]:
        return _arriving_texts()
    if not options.texts:
        raise ValueError("no texts: give some, - for standard input, or --input FILE")
    return [options.texts]


def _arriving_texts() -> Iterator[list[str]]:
    """The lines of standard input, as UTF-8; each time as many as have come, so that none has to wait."""
    pieces: list[bytes] = []
    is_first = True
    stream: Any = sys.stdin
    while chunk := stream.buffer.read1(_CHUNK_BYTES):
        if is_first:
            chunk, is_first = chunk.removeprefix(BOM_UTF8), False
        *ended, rest = chunk.split(b"\n")
        if ended:
            ended[0] = b"".join([*pieces, ended[0]])
            pieces = []
            yield [_line(line) for line in ended]
        pieces.append(rest)
    if last := b"".join(pieces):
        yield [_line(last)]


def _line(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").rstrip("\r")
