"""The command `torchmoji`. Results go to standard output or a file, all else to standard error."""

import errno
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torchmoji import __version__
from torchmoji.cli import models as cli_models
from torchmoji.cli import pretraining as cli_pretraining
from torchmoji.cli import texts as cli_texts
from torchmoji.cli import training as cli_training
from torchmoji.cli.arguments import BEHIND_DASHES, Parser, in_options, note

_STATUS = """
Exit status: 0, 1 where the work failed, 2 for a wrong option, 130 after Ctrl-C. Results go to standard output
or a file, all else to standard error. A file appears under its name when it is whole."""
_TRACEBACK_SWITCH = "TORCHMOJI_TRACEBACK"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Warnings(logging.Handler):
    """Says the library's warnings in the command's words, where no other program writes a log."""

    def __init__(self, parser: Parser) -> None:
        super().__init__(logging.WARNING)
        self._parser = parser

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            note(in_options(record.getMessage(), self._parser))


def _parser() -> Parser:
    parser = Parser(
        prog="torchmoji",
        description="Read emotion out of short texts.",
        epilog=f"torchmoji COMMAND --help has examples.\n{_STATUS}",
    )
    parser.add_argument("--version", action="version", version=f"torchmoji {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for module in (cli_texts, cli_training, cli_pretraining, cli_models):
        module.add_commands(partial(_add, commands))
    completion = _add(
        commands,
        "completion",
        "print what makes a shell complete commands and options",
        "Print a script for a shell, which from then on completes commands and options (extra completion).",
        [
            "torchmoji completion bash > ~/.local/share/bash-completion/completions/torchmoji",
            "torchmoji completion zsh > ~/.zfunc/_torchmoji",
        ],
    )
    completion.add_argument(
        "shell", choices=("bash", "zsh", "tcsh"), metavar="SHELL", help="bash, zsh or tcsh"
    )
    completion.set_defaults(run=lambda options: _complete(parser, options.shell))
    return parser


def _add(commands: Any, name: str, summary: str, description: str, examples: Sequence[str]) -> Any:
    command = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog="examples:\n  " + "\n  ".join(examples) + "\n",
        allow_abbrev=False,
    )
    command.set_defaults(parser=command, stopped=None)
    return command


def _complete(parser: Parser, shell: str) -> None:
    from torchmoji.runtime.machine import require

    print(require("shtab", "completion", "completion in a shell").complete(parser, shell))


def _parse(arguments: Sequence[str]) -> Any:
    """The options; texts may stand before, between and behind them."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    has_texts, behind = hasattr(options, "texts"), list[str]()
    if has_texts and "--" in rest:  # which argparse leaves there where other texts stand before it
        place = rest.index("--")
        rest, behind = rest[:place], rest[place + 1 :]
    if has_texts and not any(word.startswith("-") and word != "-" for word in rest):
        options.texts += [*rest, *behind]
    elif rest:
        is_short = any(re.match("-[^-]", word) for word in rest)
        hint = BEHIND_DASHES if has_texts and is_short else ""
        options.parser.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: exit status 0, 1 if the work failed, 130 after Ctrl-C. A wrong option exits with 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started this, as by `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  till the end
    if not arguments:
        _parser().print_help()
        return 0
    options = _parse(arguments)
    run: Callable[[Any], None] = options.run
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # where the terminal has no emojis
    library, warnings = logging.getLogger("torchmoji"), _Warnings(options.parser)
    library.addHandler(warnings)
    try:
        run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has gone, as in `| head`
        _forget_output()
        return 1
    except KeyboardInterrupt:
        if advice := options.stopped(options) if callable(options.stopped) else options.stopped:
            note(f"stopped: {advice}")
        return 130
    except (
        Exception
    ) as error:  # of any kind that a damaged file or a full disk brings: one line, no traceback
        if os.environ.get(_TRACEBACK_SWITCH):
            raise
        note(in_options(_reason(error, options), options.parser))
        try:
            sys.stdout.flush()
        except OSError:
            _forget_output()
        return 1
    finally:
        library.removeHandler(warnings)
    return 0


def _reason(error: Exception, options: Any) -> str:
    """What an error says, in one line; one that nobody has foreseen with its type."""
    message = " ".join(str(error).split("\n"))
    if isinstance(error, OSError) and error.strerror:
        if error.errno in _FULL:
            target = getattr(options, "out", None) or getattr(options, "output_dir", None)
            file = error.filename or target or getattr(options, "target", "standard output")
            return f"cannot write {file} ({error.strerror}): free some space, and give the same command again"
        return (
            error.strerror if error.filename is None else f"{os.fsdecode(error.filename)}: {error.strerror}"
        )
    if isinstance(error, OSError | ValueError | ModuleNotFoundError) and message:
        return message
    return f"{type(error).__name__}: {message} ({_TRACEBACK_SWITCH}=1 shows where)"


def _forget_output() -> None:
    """What is left in the buffer has nowhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
