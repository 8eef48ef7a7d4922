"""The command `torchmoji`."""

import argparse
import io
import os
import sys
from collections.abc import Sequence

from torchmoji import __version__
from torchmoji.create_vocab import load_vocabulary
from torchmoji.emojis import top_emojis
from torchmoji.global_variables import PRETRAINED_PATH, VOCAB_PATH

_EXAMPLES = """examples:
  torchmoji emojize "I love mom's cooking"
  torchmoji emojize "see you tomorrow" "not again.." --top-k 3
"""


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
    emojize.add_argument("--weights", metavar="FILE", help="weights of a model (default: the installed one)")
    emojize.add_argument("--vocabulary", metavar="FILE", help="the vocabulary of these weights")
    return parser


def _emojize(options: argparse.Namespace) -> None:
    # torch takes a second or two to import: not for --help or a wrong option
    from torchmoji.model_def import torchmoji_emojis
    from torchmoji.sentence_tokenizer import SentenceTokenizer

    if (options.weights is None) != (options.vocabulary is None):
        raise ValueError("--weights and --vocabulary belong together: give both or neither")
    vocabulary = load_vocabulary(options.vocabulary or VOCAB_PATH)
    tokens, _, _ = SentenceTokenizer(vocabulary, fixed_length=512).tokenize_sentences(options.texts)
    probabilities = torchmoji_emojis(options.weights or PRETRAINED_PATH)(tokens)
    for text, guesses in zip(options.texts, top_emojis(probabilities, options.top_k), strict=True):
        print(text)
        print("  " + "   ".join(f"{guess.emoji} {guess.probability:.1%}" for guess in guesses))


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
        _emojize(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader has gone, as in `| head`; what is left in the buffer has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError, ModuleNotFoundError) as error:
        print(f"torchmoji: {error}", file=sys.stderr)
        return 1
    return 0
