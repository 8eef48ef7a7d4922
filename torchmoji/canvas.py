"""What the pictures of `torchmoji.plot` share: axes, colours, and boxes put on them."""

from collections.abc import Sequence
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.offsetbox import AnnotationBbox, OffsetBox

from torchmoji.emojis import alias
from torchmoji.glyphs import has_image
from torchmoji.lettering import (
    emoji_box,
    lines_box,
    pieces,
    plain,
    shortened,
    text_options,
    text_width,
    wrapped,
)

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#808080")
"""Colours that colour-blind people can tell apart: Okabe and Ito (2008), with grey in place of black."""


def new_axes(
    width: float, height: float, pad: float = 6, layout: Literal["constrained", "compressed"] = "constrained"
) -> Axes:
    """Axes of a new figure of pyplot, which shows it in scripts and in notebooks.

    Args:
        width: Of the figure, in inches.
        height: Of the figure, in inches.
        pad: At its edges, in points.
        layout: "compressed" for axes of a fixed aspect.
    """
    from matplotlib import pyplot

    figure, ax = pyplot.subplots(figsize=(width, height), layout=layout)
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=pad / 72, h_pad=pad / 72)
    return ax


def size_in_points(ax: Axes) -> tuple[float, float]:
    """Width and height of the axes where the figure's layout puts them."""
    figure: Any = ax.figure.figure  # of a subfigure, the whole
    figure.draw_without_rendering()
    box = ax.get_window_extent()
    return box.width * 72 / figure.dpi, box.height * 72 / figure.dpi


def put(ax: Axes, box: OffsetBox, at: tuple[float, float], **options: Any) -> AnnotationBbox:
    """Put a box without a frame on the axes; options as of `AnnotationBbox`."""
    artist = AnnotationBbox(box, at, **{"frameon": False, "pad": 0, "annotation_clip": False} | options)
    ax.add_artist(artist)
    return artist


def put_title(ax: Axes, title: str, size: float = 12, width: float | None = None) -> None:
    """Write a title, in at most two lines, above the axes at the left; emojis in it as pictures."""
    lines = wrapped(title, size, width or size_in_points(ax)[0], most=2)
    if not any(piece.is_emoji for line in lines for piece in pieces(line)):
        text = "\n".join("".join(piece.text for piece in pieces(line)) for line in lines)
        ax.set_title(text, loc="left", **text_options(text.replace("\n", ""), size))
        return
    place: dict[str, Any] = {"xycoords": "axes fraction", "boxcoords": "offset points"}
    put(ax, lines_box(lines, size), (0, 1), xybox=(0, 4), box_alignment=(0, 0), **place)


def ink_on(colour: Any) -> str:
    """Black or white, whichever is easier to read on a colour (contrast as in WCAG 2, at least 4.5)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white"


def muted() -> str:
    """The colour of text, paler: for what is secondary."""
    text, ground = (to_rgb(matplotlib.rcParams[key]) for key in ("text.color", "axes.facecolor"))
    return to_hex(
        (0.6 * text[0] + 0.4 * ground[0], 0.6 * text[1] + 0.4 * ground[1], 0.6 * text[2] + 0.4 * ground[2])
    )


def class_ticks(ax: Axes, axis: Literal["x", "y"], labels: Sequence[str], points: float, size: float) -> None:
    """Write the names of classes at the ticks 0, 1 and so on.

    Args:
        ax: Where.
        axis: Of the ticks.
        labels: Emojis are drawn as pictures, where there is one; others are written.
        points: Width and height of the pictures.
        size: Of the font, in points.
    """
    pictured = [has_image(label) for label in labels]
    names = [
        "" if has else plain(shortened(alias(label), 28)) for has, label in zip(pictured, labels, strict=True)
    ]
    longest = max(text_width(name, size) for name in names)
    options = text_options("".join(names), size)
    depth = size if axis == "x" and longest else longest
    if axis == "x" and longest > 0.9 * size_in_points(ax)[0] / len(names):
        depth = longest if any(pictured) else 0.7 * longest
        options |= {"rotation": 90, "ha": "center"} if any(pictured) else {"rotation": 45, "ha": "right"}
        options |= {} if any(pictured) else {"rotation_mode": "anchor"}
    setter = ax.set_xticks if axis == "x" else ax.set_yticks
    setter(range(len(names)), labels=names, **options)
    ax.tick_params(axis=axis, length=0)
    if any(pictured):
        (ax.xaxis if axis == "x" else ax.yaxis).labelpad = max(4.0, points + 8 - depth)
    for place, label in enumerate(labels):
        if not pictured[place]:
            continue
        where: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "xybox": (0, -5)}
        if axis == "y":
            where = {"xycoords": ("axes fraction", "data"), "xybox": (-5, 0)}
        at, alignment = ((place, 0), (0.5, 1.0)) if axis == "x" else ((0, place), (1.0, 0.5))
        put(ax, emoji_box(label, points), at, boxcoords="offset points", box_alignment=alignment, **where)
