"""Tables of the repository's Markdown files, for pages and pictures that show measurements.

Numbers are written down once, by the program that measured them; all else reads them here.
"""

import re
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]


class Table(NamedTuple):
    """A table: its columns' names, its rows of cells, and itself as Markdown."""

    columns: list[str]
    rows: list[list[str]]
    markdown: str

    def column(self, name: str) -> list[str]:
        """The cells of a column.

        Raises:
            ValueError: There is no such column.
        """
        return [row[self.columns.index(name)] for row in self.rows]

    def row(self, first: str) -> dict[str, str]:
        """The row that begins with a cell, by columns.

        Raises:
            ValueError: There is not exactly one such row.
        """
        (found,) = [row for row in self.rows if row[0] == first]
        return dict(zip(self.columns, found, strict=True))


def section(path: str, heading: str) -> str:
    """The text under a heading of the second level.

    Args:
        path: Of a Markdown file, from the root of the repository.
        heading: The heading.

    Raises:
        ValueError: There is no such heading.
    """
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    if found is None:
        headings = ", ".join(re.findall(r"^## (.*)$", text, re.M))
        raise ValueError(f"{path} has no heading {heading!r}, only {headings}")
    return found[1]


def table(path: str, heading: str, number: int = 1) -> Table:
    """A table under a heading.

    Args:
        path: See `section`.
        heading: See `section`.
        number: Which table there, from 1.

    Raises:
        ValueError: There is no such heading or table.
    """
    found = re.findall(r"(?:^\|.*\n)+", section(path, heading), re.M)
    if not 1 <= number <= len(found):
        raise ValueError(f"{path} has {len(found)} tables under {heading!r}: there is no number {number}")
    markdown = found[number - 1]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()]
    return Table(cells[0], cells[2:], markdown)


def machine(path: str, heading: str) -> str:
    """The line that says on which machine a section's numbers were measured.

    Raises:
        ValueError: There is no such heading or line.
    """
    found = re.search(r"^[^|\n]*Python 3\.\d+\.\d+.*$", section(path, heading), re.M)
    if found is None:
        raise ValueError(f"{path} does not say on which machine the numbers of {heading!r} were measured")
    return found[0].strip()
