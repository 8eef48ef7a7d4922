"""The command `torchmoji`. Results go to standard output or a file, all else to standard error."""

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import tee
from typing import Any

from torchmoji import __version__
from torchmoji.cli_training import add_commands
from torchmoji.create_vocab import load_vocabulary
from torchmoji.global_variables import PRETRAINED_PATH, VOCAB_PATH, original_weights_installed
from torchmoji.numpy_weights import has_int8_rows
from torchmoji.onnx import OUTPUTS, export
from torchmoji.pipeline import MojiPipeline
from torchmoji.pretrained import find
from torchmoji.tables import (
    check_writable,
    ending,
    read_texts,
    standard_input,
    with_progress,
    write_lines,
    write_npy,
    write_rows,
)

_ONNX_ENDING = ".onnx"

_INPUTS = """
Texts are arguments, or lines of standard input (-), or come from a file (--input): .txt, .csv, .tsv, .jsonl,
also gzipped, or .parquet. Results go to standard output, or to a file (--out): .csv, .tsv, .jsonl or
.parquet."""

Result = dict[str, Any]


class _Help(argparse.RawDescriptionHelpFormatter):
    pass


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="torchmoji", description="Read emotion out of short texts.")
    parser.add_argument("--version", action="version", version=f"torchmoji {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_emojize(commands)
    for name, summary, action, examples in _TEXT_COMMANDS:
        command = _add(commands, name, summary, f"{summary.capitalize()}.\n{_INPUTS}", examples)
        _add_texts(command)
        command.set_defaults(run=_run_texts, rows=action)
    _add_encode(commands)
    add_commands(partial(_add, commands))
    _add_export(commands)
    info = _add(
        commands, "info", "describe a model", "Say what a model is made of.", ["torchmoji info --json"]
    )
    _add_model(info)
    info.add_argument("--json", action="store_true", help="JSON, for programs")
    info.set_defaults(run=_info)
    download = _add(
        commands,
        "download",
        "fetch the original DeepMoji weights",
        "Fetch the original weights and their vocabulary into the cache; they are used from then on. An "
        "interrupted download goes on where it stopped.",
        ["torchmoji download", "torchmoji download --quiet"],
    )
    download.add_argument("--quiet", action="store_true", help="no progress bars")
    download.set_defaults(run=_download)
    return parser


def _add(commands: Any, name: str, summary: str, description: str, examples: Sequence[str]) -> Any:
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog="examples:\n  " + "\n  ".join(examples) + "\n",
        formatter_class=_Help,
    )


def _add_emojize(commands: Any) -> None:
    examples = [
        'torchmoji emojize "I love mom\'s cooking"',
        'torchmoji emojize "see you tomorrow" "not again.." --top-k 3',
        "torchmoji emojize --input tweets.csv --column text --out emojis.csv",
        "cat tweets.txt | torchmoji emojize - --json > emojis.jsonl",
    ]
    summary = "give texts their likeliest emojis"
    emojize = _add(commands, "emojize", summary, f"{summary.capitalize()}.\n{_INPUTS}", examples)
    _add_texts(emojize)
    emojize.add_argument(
        "--top-k", type=int, default=5, metavar="K", help="emojis a text (default: %(default)s)"
    )
    emojize.set_defaults(run=_run_texts, rows=_emojis)


def _add_texts(command: Any) -> None:
    command.add_argument("texts", nargs="*", metavar="TEXT", help="a text; - for lines of standard input")
    command.add_argument("--input", metavar="FILE", help="a file of texts")
    command.add_argument("--column", metavar="NAME", help="the texts' column in it (default: text)")
    command.add_argument("--out", metavar="FILE", help="the new file")
    command.add_argument("--json", action="store_true", help="JSON lines on standard output")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    _add_model(command)


def _add_model(command: Any) -> None:
    command.add_argument(
        "--model", metavar="NAME", help="default, deepmoji (the original weights), a folder, or a hub id"
    )
    command.add_argument("--weights", metavar="FILE", help="weights of a model, or an .onnx file")
    command.add_argument(
        "--vocabulary", metavar="FILE", help="the vocabulary of these weights; an .onnx file can have its own"
    )
    command.add_argument(
        "--backend",
        choices=("auto", "onnx", "torch"),
        default="auto",
        help="what computes: auto is onnx, which starts sooner, for .onnx files and, where the extra onnx is "
        "installed, for int8 weights such as the default model's; else torch (default: %(default)s)",
    )


def _add_encode(commands: Any) -> None:
    examples = [
        "torchmoji encode --input tweets.txt.gz --out features.npy",
        'torchmoji encode "I love it" --json',
    ]
    description = (
        "Give the emotional encoding of texts, float32 numbers (2304 of them in the original's sizes).\n"
        f"{_INPUTS[:-1]}; with .npy as one array."
    )
    encode = _add(commands, "encode", "give texts their emotional encodings", description, examples)
    _add_texts(encode)
    encode.set_defaults(run=_encode)


def _add_export(commands: Any) -> None:
    exporting = _add(
        commands,
        "export",
        "write a model as an ONNX file",
        "Write a model as an ONNX file, with its vocabulary.",
        [
            "torchmoji export --out model.onnx --quantize int8",
            "torchmoji export --out features.onnx --weights weights.bin --output features attention",
        ],
    )
    exporting.add_argument("--out", required=True, metavar="FILE", help="the new file")
    exporting.add_argument("--model", metavar="FOLDER", help="a model's folder")
    exporting.add_argument(
        "--weights", metavar="FILE", help="weights of a model (default: the installed one)"
    )
    exporting.add_argument(
        "--vocabulary", metavar="FILE", help="the vocabulary of these weights (default: none goes with them)"
    )
    exporting.add_argument(
        "--quantize", choices=("int8",), help="a quarter of the size, two to three times as fast"
    )
    exporting.add_argument(
        "--output", nargs="+", choices=OUTPUTS, metavar="NAME", help=f"some of {', '.join(OUTPUTS)}"
    )
    exporting.set_defaults(run=_export)


# --- results of texts ---------------------------------------------------------------------------------------


def _emojis(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    for prediction in pipeline.predict_stream(texts, options.top_k):
        row: Result = {"text": prediction.text}
        for number, score in enumerate(prediction, start=1):
            row |= {f"emoji_{number}": score.emoji, f"probability_{number}": round(score.probability, 6)}
        yield row


def _scores(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    for prediction in pipeline.predict_stream(texts, max(1, len(pipeline.classes))):
        by_class = {score.index: round(score.probability, 6) for score in prediction}
        yield {"text": prediction.text} | {
            name: by_class[index] for index, name in enumerate(pipeline.classes)
        }


def _emotions(pipeline: MojiPipeline, texts: Iterator[str], options: argparse.Namespace) -> Iterator[Result]:
    from torchmoji.emotions import EMOTIONS

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


_TEXT_COMMANDS = (
    (
        "score",
        "give the probability of every class",
        _scores,
        ["torchmoji score --input tweets.csv --out scores.csv"],
    ),
    (
        "emotions",
        "give anger, anticipation, disgust, fear, joy, sadness, surprise and trust, 0 to 1",
        _emotions,
        ['torchmoji emotions "not again.. my train is late"'],
    ),
    (
        "attention",
        "give the words of texts with their weight and their place in the text",
        _attention,
        ['torchmoji attention "I love mom\'s cooking" --json'],
    ),
    (
        "explain",
        "say how each word left out changes the probability of the likeliest emoji",
        _explain,
        ['torchmoji explain "I love mom\'s cooking"'],
    ),
)


def _run_texts(options: argparse.Namespace) -> None:
    texts = _texts(options)
    if options.out:
        check_writable(options.out, has_numbers=False)
    pipeline = _load(options)
    rows = options.rows(pipeline, with_progress(texts, _shows_progress(options)), options)
    if options.out:
        write_rows(rows, options.out)
    elif options.json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False), flush=True)
    else:
        _print_rows(rows, options)


def _print_rows(rows: Iterator[Result], options: argparse.Namespace) -> None:
    """For people; `score`, a table of many columns, as CSV."""
    if options.rows is _scores:
        write_lines(rows, sys.stdout, ".csv")
        return
    for row in rows:
        print(row["text"])
        if options.rows is _emojis:
            count = sum(name.startswith("emoji_") for name in row)
            pairs = [(row[f"emoji_{n}"], row[f"probability_{n}"]) for n in range(1, count + 1)]
            print("  " + "   ".join(f"{emoji} {probability:.1%}" for emoji, probability in pairs))
        elif options.rows is _emotions:
            print("  " + "   ".join(f"{name} {value:.2f}" for name, value in row.items() if name != "text"))
        else:
            if "emoji" in row:
                print(f"  {row['emoji']} {row['probability']:.1%}")
            for word in row["words"]:
                number = f"{word['weight']:6.1%}" if "weight" in word else f"{word['change']:+7.1%}"
                print(f"  {number} {word['word']}")


def _encode(options: argparse.Namespace) -> None:
    texts = _texts(options)
    if options.out:
        check_writable(options.out, has_numbers=True)
    pipeline = _load(options)
    shown = with_progress(texts, _shows_progress(options))
    if options.out and ending(options.out) == ".npy":
        write_npy(pipeline.encode_stream(shown), pipeline.engine.nb_features, options.out)
        return
    shown, again = tee(shown)
    pairs = zip(shown, pipeline.encode_stream(again), strict=True)
    rows = ({"text": text, "features": row.tolist()} for text, row in pairs)
    if options.out:
        write_rows(rows, options.out)
    else:
        write_lines(rows, sys.stdout, ".jsonl")


def _shows_progress(options: argparse.Namespace) -> bool:
    return bool(options.input) and not options.quiet and sys.stderr.isatty()


def _texts(options: argparse.Namespace) -> Iterator[str]:
    if options.column and not options.input:
        raise ValueError("--column needs --input: it names a column of that file")
    if options.input and options.texts:
        raise ValueError("give texts or --input, not both")
    if options.input:
        return read_texts(options.input, options.column)
    if options.texts == ["-"]:
        return standard_input()
    if not options.texts:
        raise ValueError("no texts: give some, - for standard input, or --input FILE")
    return iter(options.texts)


# --- models -------------------------------------------------------------------------------------------------


def _load(options: argparse.Namespace) -> MojiPipeline:
    weights = options.weights
    if options.model and weights:
        raise ValueError("give --model or --weights, not both")
    if weights is None and options.vocabulary is not None and not options.model:
        raise ValueError("--weights and --vocabulary belong together: give both or neither")
    is_onnx = weights is not None and weights.endswith(_ONNX_ENDING)
    if is_onnx and options.backend == "torch":
        raise ValueError(f"torch cannot run {weights}: use --backend onnx, or weights for torch")
    if is_onnx and not os.path.isfile(weights):
        raise FileNotFoundError(f"there is no ONNX file {weights}: check the path")
    if weights is not None and not is_onnx and options.vocabulary is None:
        raise ValueError("--weights and --vocabulary belong together: give both or neither")
    vocabulary = load_vocabulary(options.vocabulary) if options.vocabulary else None
    name = weights or options.model or ("deepmoji" if original_weights_installed() else "default")
    backend = options.backend
    if backend == "auto":
        has_extra = all(find_spec(package) for package in ("onnx", "onnxruntime"))
        quick = is_onnx or (has_extra and has_int8_rows(find(name, vocabulary).weights))
        backend = "onnx" if quick else "torch"
    return MojiPipeline.from_pretrained(name, backend, vocabulary=vocabulary)


def _export(options: argparse.Namespace) -> None:
    if options.model and (options.weights or options.vocabulary):
        raise ValueError("give --model or --weights with --vocabulary, not both")
    if options.vocabulary is not None and options.weights is None:
        raise ValueError("--vocabulary needs --weights: the default model goes with its own")
    classes = None
    if options.model:
        files = find(options.model)
        weights, vocabulary, classes = os.fspath(files.weights), files.vocabulary, files.config.get("classes")
    else:
        weights = options.weights or os.fspath(PRETRAINED_PATH)
        path = options.vocabulary if options.weights else VOCAB_PATH
        vocabulary = load_vocabulary(path) if path else None
    export(
        weights, options.out, options.quantize, output=options.output, vocabulary=vocabulary, classes=classes
    )
    print(f"{options.out}: {os.path.getsize(options.out) / 1e6:.1f} MB")


def _info(options: argparse.Namespace) -> None:
    pipeline = _load(options)
    about = {
        "classes": list(pipeline.classes),
        "features": pipeline.engine.nb_features,
        "tokens": pipeline.engine.nb_tokens,
        "words": len(pipeline.vocabulary),
        "max_length": pipeline.max_length,
        "version": __version__,
    }
    if options.json:
        print(json.dumps(about, ensure_ascii=False))
        return
    for name, value in about.items():
        print(f"{name}: {' '.join(value) if isinstance(value, list) else value}")


def _download(options: argparse.Namespace) -> None:
    from torchmoji.hub import download_original

    weights, vocabulary = download_original(progress=not options.quiet)
    print(f"weights:    {weights}\nvocabulary: {vocabulary}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Those of the process by default.

    Returns:
        The exit status: 0, 1 where the work failed, 130 after Ctrl-C. A wrong option exits with 2.
    """
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], None] = options.run
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # where the terminal has no emojis
    try:
        run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader has gone, as in `| head`; what is left in the buffer has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError, ModuleNotFoundError) as error:
        print(f"torchmoji: {error}", file=sys.stderr)
        return 1
    return 0
