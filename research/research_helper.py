"""What the programs here share: their call, and the check that a model fits a corpus."""

import argparse
import logging
from collections.abc import Callable, Sequence
from typing import Any

from torchmoji.corpus import Corpus
from torchmoji.pretraining.distributed import Processes, lone_process


def run_alone(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None, work: Callable[[Any, Processes], None]
) -> None:
    """Parse a command line, with an option for the device, and work in one process; errors end the program.

    Args:
        parser: Of the command line.
        arguments: Those given; None for the program's own.
        work: Is called with the options and this process.
    """
    parser.add_argument("--device", metavar="NAME", help="such as cuda (default: cuda where it is there)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        with lone_process(options.device) as processes:
            work(options, processes)
    except (OSError, ValueError, FloatingPointError) as error:
        parser.error(str(error))


def check_emojis(name: str, classes: Sequence[str] | None, corpus: Corpus) -> None:
    """Refuse a model for a corpus of other emojis.

    Args:
        name: Of the model.
        classes: Its emojis.
        corpus: Of the texts.

    Raises:
        ValueError: They are not the corpus's, in its order.
    """
    if list(classes or []) != list(corpus.classes):
        raise ValueError(
            f"the model {name} has other emojis than the corpus {corpus.folder}: choose one that was trained "
            "with its own"
        )
