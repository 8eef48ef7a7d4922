"""The command `torchmoji`."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from torchmoji import __version__
from torchmoji.create_vocab import load_vocabulary
from torchmoji.emojis import EMOJIS, top_emojis
from torchmoji.global_variables import PRETRAINED_PATH, VOCAB_PATH
from torchmoji.numpy_weights import has_int8_rows
from torchmoji.onnx import OUTPUTS, OnnxModel, export, serialize
from torchmoji.sentence_tokenizer import SentenceTokenizer

_EXAMPLES = """examples:
  torchmoji emojize "I love mom's cooking"
  torchmoji emojize "see you tomorrow" "not again.." --top-k 3
"""

_EXPORT_EXAMPLES = """examples:
  torchmoji export --out model.onnx --quantize int8
  torchmoji export --out features.onnx --weights weights.bin --output features attention
"""

_ONNX_ENDING = ".onnx"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="torchmoji", description="Read emotion out of short texts.")
    parser.add_argument("--version", action="version", version=f"torchmoji {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    emojize = commands.add_parser(
        "emojize",
        help="print texts with their likeliest emojis",
        description="Print each text with its likeliest emojis and their probabilities.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    emojize.add_argument("texts", nargs="+", metavar="TEXT")
    emojize.add_argument(
        "--top-k", type=int, default=5, metavar="K", help="emojis a text (default: %(default)s)"
    )
    emojize.add_argument(
        "--weights", metavar="FILE", help="weights of a model, or an .onnx file (default: the installed one)"
    )
    emojize.add_argument(
        "--vocabulary", metavar="FILE", help="the vocabulary of these weights; an .onnx file can have its own"
    )
    emojize.add_argument(
        "--backend",
        choices=("auto", "onnx", "torch"),
        default="auto",
        help="what computes: auto is onnx, which starts sooner, for .onnx files and, where the extra onnx is "
        "installed, for int8 weights such as the default model's; else torch (default: %(default)s)",
    )
    emojize.set_defaults(run=_emojize)
    exporting = commands.add_parser(
        "export",
        help="write a model as an ONNX file",
        description="Write a model as an ONNX file, with its vocabulary.",
        epilog=_EXPORT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    exporting.add_argument("--out", required=True, metavar="FILE", help="the new file")
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
    return parser


def _emojize(options: argparse.Namespace) -> None:
    model, vocabulary, classes = _load(options)
    tokens, _, _ = SentenceTokenizer(vocabulary, fixed_length=512).tokenize_sentences(options.texts)
    probabilities = model(tokens)
    for text, guesses in zip(options.texts, top_emojis(probabilities, options.top_k, classes), strict=True):
        print(text)
        print("  " + "   ".join(f"{guess.emoji} {guess.probability:.1%}" for guess in guesses))


def _load(options: argparse.Namespace) -> tuple[Callable[[Any], Any], dict[str, int], Sequence[str]]:
    """The model that gives probabilities, its vocabulary and its classes."""
    if options.weights is not None and options.weights.endswith(_ONNX_ENDING):
        return _load_onnx_file(options)
    if (options.weights is None) != (options.vocabulary is None):
        raise ValueError("--weights and --vocabulary belong together: give both or neither")
    vocabulary = load_vocabulary(options.vocabulary or VOCAB_PATH)
    weights = options.weights or os.fspath(PRETRAINED_PATH)
    is_int8 = has_int8_rows(weights)
    has_extra = all(find_spec(name) for name in ("onnx", "onnxruntime"))
    if options.backend == "onnx" or (options.backend == "auto" and is_int8 and has_extra):
        data = serialize(weights, "int8" if is_int8 else None, output="probabilities")
        return OnnxModel(data), vocabulary, EMOJIS
    # torch takes a second or two to import: not for --help, a wrong option or the other engine
    from torchmoji.model_def import torchmoji_emojis

    return torchmoji_emojis(weights), vocabulary, EMOJIS


def _load_onnx_file(
    options: argparse.Namespace,
) -> tuple[Callable[[Any], Any], dict[str, int], Sequence[str]]:
    if options.backend == "torch":
        raise ValueError(f"torch cannot run {options.weights}: use --backend onnx, or weights for torch")
    vocabulary = load_vocabulary(options.vocabulary) if options.vocabulary else None
    model = OnnxModel(options.weights, output="probabilities")
    if vocabulary is None:
        vocabulary = model.vocabulary
    if vocabulary is None:
        raise ValueError(f"{options.weights} has no vocabulary: give it with --vocabulary")
    return model, vocabulary, model.classes or EMOJIS


def _export(options: argparse.Namespace) -> None:
    if options.vocabulary is not None and options.weights is None:
        raise ValueError("--vocabulary needs --weights: the default model goes with its own")
    path = options.vocabulary if options.weights else VOCAB_PATH
    export(
        options.weights or os.fspath(PRETRAINED_PATH),
        options.out,
        options.quantize,
        output=options.output,
        vocabulary=load_vocabulary(path) if path else None,
    )
    print(f"{options.out}: {os.path.getsize(options.out) / 1e6:.1f} MB")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Those of the process by default.

    Returns:
        The exit status: 0, or 1 where the work failed. A wrong option exits with 2.
    """
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # where the terminal has no emojis
    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader has gone, as in `| head`; what is left in the buffer has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError, ModuleNotFoundError) as error:
        print(f"torchmoji: {error}", file=sys.stderr)
        return 1
    return 0
