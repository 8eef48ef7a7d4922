"""What the command lines of the package, `scripts/` and `examples/` share."""

import argparse
import difflib
import math
import os
import re
import stat
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

from torchmoji.runtime.options import T, documented, option

BEHIND_DASHES = " (a text that begins with - stands behind --)"


class Parser(argparse.ArgumentParser):
    """A parser whose help shows a text as it is, and which guesses what a misspelt option is meant to be."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def option_names(self) -> dict[str, str]:
        """The long options that the help names, by the attribute where each is kept."""
        shown = (action for action in self._actions if action.help != argparse.SUPPRESS)
        return {
            action.dest: name
            for action in shown
            for name in reversed(action.option_strings)
            if name.startswith("--")
        }

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but "-hello" is no way to ask for help where texts are taken."""
        if any(action.dest == "texts" for action in self._actions):
            for word in takewhile(lambda word: word != "--", args or ()):
                if re.match("-h.", word):
                    self.error(f"unrecognized arguments: {word}{BEHIND_DASHES}")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the usage and what is wrong, with what could be meant, and exit with 2."""
        wrong, known = "", []
        if choice := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            wrong, known = choice[1], re.findall(r"[^', ]+", choice[2])
        elif unknown := re.search(r"unrecognized arguments: (-[^ =]*)", message):
            wrong, known = unknown[1], list(self.option_names().values())
        guesses = difflib.get_close_matches(wrong, known, 1, 0.7)
        hint = f": do you mean {guesses[0]}?" if guesses else ""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: error: {message}{hint}\n")


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser whose help shows a module's docstring as it is."""
    return Parser(description=description, allow_abbrev=False)


def _number(name: str, kind: type[T], is_right: Callable[[Any], bool], wrong: str) -> Callable[[str], T]:
    """An argument type: a number, of which `wrong` is said where it is not right."""

    def read(text: str) -> T:
        number = kind(text)  # type: ignore[call-arg]
        if not is_right(number):
            raise argparse.ArgumentTypeError(f"{text} is {wrong}")
        return number

    read.__name__ = name  # argparse says it of what is no number
    return read


positive = _number("positive", int, lambda number: number >= 1, "not 1 or more")
not_negative = _number("not_negative", int, lambda number: number >= 0, "below 0")
seed_number = _number(
    "seed_number", int, lambda number: 0 <= number < 1 << 32, f"not from 0 to {(1 << 32) - 1}"
)
minutes = _number("minutes", float, lambda number: 0 <= number < math.inf, "not a finite number of 0 or more")
share = _number("share", float, lambda number: 0 <= number <= 1, "not from 0 to 1")


def add_options(command: Any, settings: Any, leave_out: Collection[str] = (), **arguments: Any) -> None:
    """Add an option for each field of a class of settings.

    Args:
        command: With these options.
        settings: The class, see `torchmoji.runtime.options`.
        leave_out: Fields that are no options, or others.
        **arguments: As `add_argument` has them, for all.
    """
    for entry in fields(settings):
        if entry.name in leave_out:
            continue
        name, about, default = f"--{entry.name.replace('_', '-')}", entry.metadata["help"], entry.default
        if isinstance(default, bool):
            command.add_argument(name, action="store_true", help=about)
            continue
        given = (
            {"type": str if default is None else type(default), "metavar": "N"}
            | entry.metadata["arguments"]
            | arguments
        )
        if "(default" not in about:
            about += f" (default: {'none' if default is None else '%(default)s'})"
        command.add_argument(name, default=default, help=about, **given)


def read_options(options: argparse.Namespace, settings: type[T], **others: Any) -> T:
    """The settings that a command line gives; a field that it lacks has its default.

    Args:
        options: Of the command line.
        settings: The class.
        **others: Fields that are made in another way.
    """
    given = vars(options) | others
    names = [entry.name for entry in fields(settings)]  # type: ignore[arg-type]
    return settings(**{name: given[name] for name in names if name in given})


def add_other_spelling(command: Any, spelling: str, dest: str, **options: Any) -> None:
    """Add another spelling of an option, with the same `options`, which the help does not show."""
    command.add_argument(spelling, dest=dest, default=argparse.SUPPRESS, help=argparse.SUPPRESS, **options)


# --- files that are read ------------------------------------------------------------------------------------


def add_encoding(command: Any) -> None:
    """Add the option that names the encoding of a text file."""
    command.add_argument(
        "--encoding", metavar="NAME", help="the file's encoding, such as cp1252 (default: utf-8)"
    )


def add_text_column(command: Any) -> None:
    """Add the option that names the column of the texts."""
    command.add_argument("--text-column", metavar="NAME", help="the texts' column (default: text)")
    add_other_spelling(command, "--column", "text_column", metavar="NAME")


# --- how a model computes -----------------------------------------------------------------------------------


@documented
@dataclass(frozen=True)
class Compute:
    """How a model computes; the defaults are the library's."""

    device: str | None = option(None, "such as cuda; torch computes then (default: the CPU)", metavar="NAME")
    precision: str | None = option(
        None,
        "numbers to compute with: int8 is quickest on a CPU (ONNX), but a text's result then depends "
        "a little on the texts computed beside it; float32 gives each text the same anywhere; bfloat16 and "
        "float16 are for torch on a GPU (default: float32; an .onnx file has its own)",
        choices=("float32", "int8", "bfloat16", "float16"),
        metavar=None,
    )
    batch_size: int | None = option(
        None, "texts computed at once, at most (default: what is fastest)", type=positive
    )
    threads: int | None = option(None, "threads (default: one for each core)", type=positive)
    max_length: int | None = option(
        None, "tokens of a text, after which it is cut (default: the model's, or 512)", type=positive
    )
    windows: bool = option(
        False, "read longer texts whole, in windows of so many tokens, and average; else they are cut"
    )
    balance: float = option(
        0.0,
        "from 0 to 1, how much of their head start to take off common classes (default: 0)",
        type=share,
        metavar="B",
    )


def add_compute(command: Any, leave_out: Collection[str] = ()) -> None:
    """Add an option for each field of `Compute` but those that mean nothing, or something else, there."""
    add_options(command.add_argument_group("how to compute"), Compute, leave_out)


# --- files that are written ---------------------------------------------------------------------------------


def add_force(command: Any) -> None:
    """Add the option that lets a command replace what is there."""
    command.add_argument("--force", action="store_true", help="replace what has that name")


def new_output(
    path: str | os.PathLike[str], force: bool, inputs: Iterable[str | os.PathLike[str]] = ()
) -> Path:
    """The place of a file to be written; for every command that writes one, before its work.

    Where a link or `..` leads to the file, it is the path of the file itself, so that a link stays. Raises
    ValueError where it is one of `inputs`, also by a link, and OSError where something is there that must not
    be, or that is not to be replaced without `force`.
    """
    path = Path(path)
    is_indirect = path.is_symlink() or ".." in path.parts
    target = Path(os.path.realpath(path)) if is_indirect else path
    if not target.exists():
        _check_place(target.parent)
        return target
    for given in inputs:
        if os.path.exists(given) and os.path.samefile(given, target):
            raise ValueError(f"{path} would replace the input {os.fspath(given)}: give another name")
    mode = target.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path} is a folder: name a file in it")
    if not stat.S_ISREG(mode):
        raise FileExistsError(
            f"{path} is a pipe or a device, no file: name a file, or leave it out and redirect the output"
        )
    if not force:
        raise FileExistsError(f"{path} exists: give another name, or --force to replace it")
    return target


def new_folder(
    path: str | os.PathLike[str],
    force: bool,
    files: Iterable[str],
    inputs: Iterable[str | os.PathLike[str] | None] = (),
) -> Path:
    """The same for a folder: one that is there is right where it has none of `files`, or with `force`."""
    if not os.fspath(path):
        raise ValueError("out must be a folder, got ''")
    path = Path(os.path.realpath(path)) if ".." in Path(path).parts else Path(path)
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{path} is a file: give a folder")
    for given in inputs:
        if given is not None and path.exists() and os.path.exists(given) and os.path.samefile(given, path):
            raise ValueError(f"{path} would replace the input {os.fspath(given)}: give another name")
    _check_place(path)
    there = [name for name in files if (path / name).exists()]
    if there and not force:
        raise FileExistsError(
            f"{path} has {', '.join(there)}: give another name, or --force to replace what is there"
        )
    return path


def _check_place(folder: Path) -> None:
    """Refuse a folder that cannot be made or written, before the work."""
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is a file: give another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{there} may not be written to: give another place")


# --- messages -----------------------------------------------------------------------------------------------

_OTHER_NAMES = {
    "column": "text_column",
    "dtype": "precision",
    "epoch_size": "epochs",
    "name_or_path": "model",
}
"""Parameters of Python whose options have other names."""


def in_options(message: str, parser: argparse.ArgumentParser | None) -> str:
    """A message of the library with a command's options in place of Python's parameters.

    A name with an underscore is a parameter wherever it stands; another one, which may be a plain word, only
    before an equals sign, or as the subject of "must be". What stands in quotes or belongs to a path is left.
    """
    if not isinstance(parser, Parser):
        return message
    not_before, not_after = r"(?<![\w\"'./\\-])", r"(?![\w\"'./\\-])"
    for action in parser._actions:
        if isinstance(action.const, bool):  # two options may set the same parameter
            assignment = rf"{not_before}{action.dest}={action.const}\b"
            message = re.sub(assignment, action.option_strings[0], message)
    options = parser.option_names()
    options = {name: options[other] for name, other in _OTHER_NAMES.items() if other in options} | options
    for name, spelling in options.items():
        free = f"{not_before}{name}{not_after}"
        message = re.sub(rf"{free}=True\b", spelling, message)
        message = re.sub(rf"{free}=(?=['\w])", f"{spelling} ", message)
        message = re.sub(rf"{free}=(?=\W|$)", spelling, message)
        message = re.sub(free if "_" in name else rf"{free}(?= must be | was )", spelling, message)
    return message


def show_bar(quiet: bool) -> bool:
    """Whether to show progress bars: on a terminal, never in a log."""
    return not quiet and sys.stderr.isatty()


def note(message: str, quiet: bool = False) -> None:
    """Say something beside the results, on standard error."""
    if not quiet:
        print(f"torchmoji: {message}", file=sys.stderr)
