"""The command `torchmoji`. Results go to standard output or a file, all else to standard error."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torchmoji import __version__
from torchmoji.cli import models as cli_models
from torchmoji.cli import pretraining as cli_pretraining
from torchmoji.cli import texts as cli_texts
from torchmoji.cli import training as cli_training

_STATUS = """
Exit status: 0, 1 where the work failed, 2 for a wrong option, 130 after Ctrl-C. Results go to standard output
or a file, all else to standard error. A file appears under its name when it is whole."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="torchmoji",
        description="Read emotion out of short texts.",
        epilog=f"torchmoji COMMAND --help has examples.\n{_STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"torchmoji {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (cli_texts, cli_training, cli_pretraining, cli_models):
        module.add_commands(partial(_add, commands))
    return parser


def _add(commands: Any, name: str, summary: str, description: str, examples: Sequence[str]) -> Any:
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog="examples:\n  " + "\n  ".join(examples) + "\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


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
