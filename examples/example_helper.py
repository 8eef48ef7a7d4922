"""What the examples share: the sample data, reading texts, and arguments that several of them take."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from torchmoji.cli.arguments import not_negative, positive
from torchmoji.create_vocab import load_vocabulary
from torchmoji.emojis import EXAMPLE_TEXTS
from torchmoji.global_variables import VOCAB_PATH, pretrained_weights
from torchmoji.training import read_labelled_texts

DATA = Path(__file__).resolve().parent / "data"
LABELLED_ENDINGS = (".csv", ".jsonl", ".pickle", ".pkl")


def read_lines(path: Path) -> Iterator[str]:
    """Give the lines of a UTF-8 text file that are not blank, without their line ends.

    Raises:
        ValueError: The file is not UTF-8.
    """
    with path.open(encoding="utf-8") as stream:
        try:
            yield from (line.rstrip("\n") for line in stream if line.strip())
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 ({error}); save it as UTF-8") from error


def read_texts(path: Path) -> list[str]:
    """Read the texts of a data set (.csv, .jsonl, .pickle), or of any other file one text a line.

    Raises:
        ValueError: There are no texts, or the file is damaged.
    """
    labelled = path.suffix.lower() in LABELLED_ENDINGS
    texts = read_labelled_texts(path).texts if labelled else list(read_lines(path))
    if not texts:
        raise ValueError(f"{path} has no texts")
    return texts


def add_vocabulary_argument(parser: argparse.ArgumentParser) -> None:
    """Add --vocabulary to a parser of a program without a model."""
    parser.add_argument(
        "--vocabulary",
        type=Path,
        metavar="FILE",
        help="JSON file of word -> id (default: the one of the installed model)",
    )


def add_model_arguments(parser: argparse.ArgumentParser, weights_help: str = "") -> None:
    """Add --weights and --vocabulary."""
    parser.add_argument(
        "--weights", metavar="FILE", help=f"weights of a model{weights_help} (default: the installed model)"
    )
    parser.add_argument(
        "--vocabulary",
        type=Path,
        metavar="FILE",
        help="the vocabulary of these weights, a JSON file of word -> id",
    )


def add_text_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what programs that run a model over texts take."""
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts (default: seven sample sentences)")
    parser.add_argument(
        "--file", type=Path, help="take the texts from a file: .csv, .jsonl, .pickle, or text, one a line"
    )
    add_model_arguments(parser)
    parser.add_argument(
        "--maxlen",
        type=positive,
        default=30,
        metavar="N",
        help="tokens a text, the rest is cut (default: %(default)s)",
    )


def chosen_texts(options: argparse.Namespace) -> list[str]:
    """Give the texts that the arguments of `add_text_arguments` name.

    Raises:
        ValueError: There are both texts and a file, or the file has no texts.
    """
    if options.file is not None:
        if options.texts:
            raise ValueError("give texts or --file, not both")
        return read_texts(options.file)
    return options.texts or list(EXAMPLE_TEXTS)


def add_finetuning_arguments(
    parser: argparse.ArgumentParser, *, data: Path, epochs: int, epoch_size: int, extend: int = 0
) -> None:
    """Add what the fine-tuning examples take; the keywords are defaults."""
    parser.add_argument(
        "data",
        nargs="?",
        type=Path,
        default=data,
        metavar="DATA",
        help=f"labelled texts: .csv, .jsonl, or a benchmark .pickle (default: {data.name} in examples/data)",
    )
    add_model_arguments(parser, "; none: train a new model, with the method new")
    parser.add_argument(
        "--extend",
        type=not_negative,
        default=extend,
        metavar="N",
        help="add up to N new words of the training part to the vocabulary (default: %(default)s)",
    )
    parser.add_argument(
        "--epochs",
        type=positive,
        default=epochs,
        metavar="N",
        help="at most so many epochs for each stage (default: %(default)s; the paper: 1000)",
    )
    parser.add_argument(
        "--epoch-size",
        type=positive,
        default=epoch_size,
        metavar="N",
        help="samples drawn for each epoch (default: %(default)s; the paper: 5000)",
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=32,
        metavar="N",
        help="samples in a batch (default: %(default)s; the paper: 250)",
    )
    parser.add_argument("--seed", type=not_negative, default=42, help="default: %(default)s")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def model_files(options: argparse.Namespace) -> tuple[str, dict[str, int]]:
    """Give the path of the weights, and read the vocabulary that belongs to them.

    Raises:
        ValueError: There is one of --weights and --vocabulary without the other.
    """
    if (options.weights is None) != (options.vocabulary is None):
        raise ValueError("--weights and --vocabulary belong together; give both or neither")
    return options.weights or pretrained_weights(), load_vocabulary(options.vocabulary or VOCAB_PATH)


def finetuning_files(options: argparse.Namespace) -> tuple[str | None, dict[str, int]]:
    """As `model_files`, with None in place of the path where a new model is wanted."""
    if options.weights == "none":
        return None, load_vocabulary(options.vocabulary or VOCAB_PATH)
    return model_files(options)
