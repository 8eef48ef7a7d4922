"""How the pictures look, in light and in dark mode, and how they are written."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from torchmoji.files.atomic import atomic_path

WIDTH = 7.2  # inches; the pages' column


@dataclass(frozen=True)
class Theme:
    """Colours.

    Args:
        ending: Of the file's name.
        ink: Text and outlines.
        muted: Second text.
        line: Grid and frames.
        paper: Behind the picture.
        soft: Behind a box.
        first: The main colour.
        second: A colour beside it, told apart by colour-blind readers too.
        third: One more.
    """

    ending: str
    ink: str
    muted: str
    line: str
    paper: str
    soft: str
    first: str
    second: str
    third: str


LIGHT = Theme("", "#24292f", "#656d76", "#d0d7de", "#ffffff", "#f3f4f6", "#d9480f", "#1971c2", "#2b8a3e")
DARK = Theme("-dark", "#e6e8eb", "#a0a8b4", "#444b58", "#1e2029", "#2a2e3a", "#ff8f57", "#5fb0ff", "#6bd089")


class Picture(NamedTuple):
    """A picture, and what it shows in words and numbers: a test compares these."""

    figure: Figure
    description: str


@contextmanager
def drawn_in(theme: Theme) -> Iterator[None]:
    """Matplotlib's settings for a theme, as long as the block lasts."""
    settings: dict[str, Any] = {
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "axes.edgecolor": theme.line,
        "axes.facecolor": theme.paper,
        "axes.labelcolor": theme.ink,
        "axes.prop_cycle": cycler(color=[theme.first, theme.second, theme.third]),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": theme.ink,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "figure.facecolor": theme.paper,
        "grid.color": theme.line,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "savefig.facecolor": theme.paper,
        "svg.hashsalt": "torchmoji",
        "text.color": theme.ink,
        "xtick.color": theme.line,
        "xtick.labelcolor": theme.ink,
        "ytick.color": theme.line,
        "ytick.labelcolor": theme.ink,
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        parameters: Any = mpl.rcParams
        parameters.update(settings)
        yield


def canvas(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """A figure with an empty drawing area; a unit is an inch."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return figure, axes


def write(picture: Picture, path: Path) -> None:
    """Write a picture as SVG or PNG; the same picture gives the same file."""
    about: dict[str, Any] = {"Description": picture.description}
    if path.suffix == ".svg":
        about |= {"Date": None, "Creator": None}
    else:
        about |= {"Software": None}
    with atomic_path(path) as temporary:
        picture.figure.savefig(temporary, metadata=about, dpi=144)
