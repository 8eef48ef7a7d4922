"""What the command lines of the package, `scripts/` and `examples/` share."""

import argparse
from typing import Any


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser whose help shows a module's docstring as it is."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def positive(text: str) -> int:
    """Argument type: a number from 1 up."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def not_negative(text: str) -> int:
    """Argument type: a number from 0 up."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def add_encoding(command: Any) -> None:
    """Add the option that names the encoding of a text file."""
    command.add_argument(
        "--encoding", metavar="NAME", help="the file's encoding, such as cp1252 (default: utf-8)"
    )
