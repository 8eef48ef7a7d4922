"""Code blocks of Markdown pages: found, run as a reader would, and compared with the output that is shown.

A block is `python`, `bash` or `json`. A block without a language shows the output of the block before it. A
block with a title, such as ```` ```csv title="reviews.csv" ````, is a file of the working folder.

`PYTHONPATH=tests:tests/documents python tests/support/snippets.py docs/index.md` runs a page and writes its
outputs anew, to be read before they are committed. For docs/server.md, `torchmoji serve` must run beside it.
"""

import argparse
import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torchmoji.cli.main import main as main_of_torchmoji

REPOSITORY = Path(__file__).resolve().parents[2]
OUTPUT = ""
"""The language of a block that shows an output."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)
_TITLE = re.compile(r'title="([^"]*)"')
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?(?P<percent>%)?")

_DURATION = re.compile(r"\d+\.\d+(?= (?:minutes|seconds)\b)")

_PLAIN_COMMAND = re.compile(r"torchmoji ([^|&;<>$`#]*?)(?: > (\S+))?")
"""A line that needs no shell: options, and a file for what is printed."""

ROUNDING = 0.02
"""How far a decimal number may be from the one that is shown: processors and versions round differently."""
TRAINING = 0.1
"""The same where a model was trained, which makes more of such differences."""


class Block(NamedTuple):
    """A fenced block."""

    language: str
    title: str | None
    line: int  # of the fence, from 1
    text: str  # without the indentation
    span: tuple[int, int]  # of the text in the page
    indent: str


def blocks(markdown: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    for match in _FENCE.finditer(markdown):
        language, _, rest = match["info"].strip().partition(" ")
        title = _TITLE.search(rest)
        indent = match["indent"]
        text = re.sub(rf"^{indent}", "", match["text"], flags=re.M)
        line = markdown.count("\n", 0, match.start()) + 1
        found.append(Block(language, title and title[1], line, text, match.span("text"), indent))
    return found


def shown_after(page: Sequence[Block], block: Block) -> Block | None:
    """The output that a page shows for a block, where it does."""
    following = page[page.index(block) + 1 :]
    return following[0] if following and following[0].language == OUTPUT else None


def agree(printed: str, shown: str, tolerance: float = ROUNDING) -> bool:
    """Whether two outputs are the same but for blanks, times, and the last digits of decimal numbers."""
    printed, shown = (_DURATION.sub("some", output) for output in (printed, shown))
    texts = [" ".join(_NUMBER.sub(_blanked, output).split()) for output in (printed, shown)]
    pairs = zip(_decimals(printed), _decimals(shown), strict=False)
    return texts[0] == texts[1] and all(
        abs(first - second) <= max(tolerance, 2 * tolerance * abs(second)) for first, second in pairs
    )


def _is_decimal(match: re.Match[str]) -> bool:
    return "." in match[0] or "e" in match[0] or bool(match["percent"])


def _blanked(match: re.Match[str]) -> str:
    return (" #% " if match["percent"] else " # ") if _is_decimal(match) else match[0]


def _decimals(output: str) -> list[float]:
    """The decimal numbers, percent as shares."""
    found = [match for match in _NUMBER.finditer(output) if _is_decimal(match)]
    return [float(match[0].rstrip("%")) / (100 if match["percent"] else 1) for match in found]


class Reader:
    """Runs the blocks of a page one after the other, the Python ones in one namespace.

    Args:
        name: Of the page, for tracebacks.
        folder: The working folder; `examples/data` is copied into it.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.names: dict[str, Any] = {"__name__": "__main__"}
        shutil.copytree(REPOSITORY / "examples" / "data", folder / "examples" / "data", dirs_exist_ok=True)

    def run(self, block: Block) -> str:
        """Run a block, or write it down where it is a file, and give what it prints."""
        if block.title is not None:
            (self.folder / block.title).write_text(block.text, encoding="utf-8")
            return ""
        if block.language == "json":
            json.loads(block.text)
            return ""
        if block.language not in ("python", "bash"):
            raise ValueError(f"{self.name}, line {block.line}: no way to run {block.language!r}")
        return self._python(block) if block.language == "python" else self._bash(block)

    def _python(self, block: Block) -> str:
        printed = io.StringIO()
        code = compile("\n" * block.line + block.text, self.name, "exec")
        with _working_in(self.folder), contextlib.redirect_stdout(printed):
            exec(code, self.names)
        return printed.getvalue()

    def _command(self, options: str, target: str | None) -> str:
        """Call `torchmoji` in this process, which has torch loaded."""
        printed, told = io.StringIO(), io.StringIO()
        with _working_in(self.folder), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
            status = main_of_torchmoji(shlex.split(options))
        if status:
            raise AssertionError(f"{self.name}: torchmoji {options}: exit status {status}\n{told.getvalue()}")
        if target is None:
            return printed.getvalue()
        (self.folder / target).write_text(printed.getvalue(), encoding="utf-8")
        return ""

    def _bash(self, block: Block) -> str:
        commands = [_PLAIN_COMMAND.fullmatch(line) for line in block.text.splitlines()]
        if all(commands):
            return "".join(self._command(*match.groups()) for match in commands if match)
        strict = ["-eu"] if "| head" in block.text else ["-eu", "-o", "pipefail"]  # head stops its writer
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        result = subprocess.run(
            ["bash", *strict, "-c", block.text],
            cwd=self.folder,
            env={**os.environ, "PATH": programs, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
        )
        if result.returncode:
            where = f"{self.name}, line {block.line}"
            raise AssertionError(f"{where}: exit status {result.returncode}\n{result.stderr}")
        return result.stdout


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def with_new_outputs(markdown: str, run: Callable[[Block], str | None]) -> str:
    """The page with the outputs that `run` gives; None leaves one as it is."""
    page, pieces, position = blocks(markdown), [], 0
    for block in page:
        if block.language == OUTPUT:
            continue
        printed, shown = run(block), shown_after(page, block)
        if printed is not None and shown is not None and not agree(printed, shown.text):
            lines = (shown.indent + line if line else line for line in printed.rstrip("\n").split("\n"))
            pieces += [markdown[position : shown.span[0]], "\n".join(lines) + "\n"]
            position = shown.span[1]
    return "".join(pieces) + markdown[position:]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the outputs of pages anew."""
    from test_docs import why_not_run

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE")
    for path in parser.parse_args(arguments).pages:
        with tempfile.TemporaryDirectory() as folder:
            reader = Reader(path.name, Path(folder))

            def run(block: Block, name: str = path.name, reader: Reader = reader) -> str | None:
                return None if why_not_run(name, block) else reader.run(block)

            path.write_text(with_new_outputs(path.read_text("utf-8"), run), encoding="utf-8")


if __name__ == "__main__":
    main()
