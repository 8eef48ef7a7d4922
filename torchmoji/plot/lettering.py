"""What the pictures of `torchmoji.plot.plot` share: axes, colours, texts without boxes for lacking glyphs.

The 64 emojis become pictures (`torchmoji.plot.glyphs`), other emojis their names. Characters that
matplotlib's font lacks come from any font of the system that has them, else they are written in Latin
letters (text-unidecode) or as their name. Nothing is taken for TeX.
"""

import unicodedata
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import emoji as emoji_names
import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.offsetbox import AnnotationBbox, HPacker, OffsetBox, OffsetImage, TextArea, VPacker
from matplotlib.textpath import text_to_path
from text_unidecode import unidecode

from torchmoji.emojis import EMOJIS, alias
from torchmoji.plot.glyphs import CELL, emoji_image, has_image

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#808080")
"""Colours that colour-blind people can tell apart: Okabe and Ito (2008), with grey in place of black."""

_EMOJI_HEIGHT = 1.2  # of an emoji within text, in font sizes
_NOT_FOR_TEXT = ("cmb", "cmex", "cmmi", "cmr", "cmss", "cmsy", "cmtt", "STIXNon", "STIXSize", "Last Resort")
"""Beginnings of names: matplotlib's fonts for formulas, and one that draws boxes for whatever it is given."""


# --- axes and colours -------------------------------------------------------------------------------------


def new_axes(
    width: float, height: float, pad: float = 6, layout: Literal["constrained", "compressed"] = "constrained"
) -> Axes:
    """Axes of a new figure of pyplot, which shows it in scripts and in notebooks.

    Its width and height are in inches, `pad` at its edges in points; "compressed" is for axes of a fixed
    aspect.
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


def ink_on(colour: Any) -> str:
    """Black or white, whichever is easier to read on a colour (contrast as in WCAG 2, at least 4.5)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white"


def muted() -> str:
    """The colour of text, paler: for what is secondary."""
    text, ground = (to_rgb(matplotlib.rcParams[key]) for key in ("text.color", "axes.facecolor"))
    red, green, blue = (0.6 * one + 0.4 * other for one, other in zip(text, ground, strict=True))
    return to_hex((red, green, blue))


# --- texts ------------------------------------------------------------------------------------------------


class Piece(NamedTuple):
    """A part of a text: an emoji that has a picture, or characters."""

    text: str
    is_emoji: bool


def pieces(text: str) -> list[Piece]:
    """Split a text into emojis and what is between them, white space as single blanks.

    Emojis without a picture are written by name, as in `:pizza:`. Symbols such as © that are text by default
    stay text.
    """
    text = " ".join(text.split())
    found, between, position = list[Piece](), "", 0
    for start, end in [*_emoji_places(text), (len(text), len(text))]:
        between += readable(text[position:start])
        name, position = text[start:end], end
        if name and not has_image(name):
            between += f":{alias(name)}:"
            continue
        between = between if name else between.rstrip()
        found += [Piece(between, False)] if between else []
        found += [Piece(name, True)] if name else []
        between = ""
    return found


def _emoji_places(text: str) -> list[tuple[int, int]]:
    by_unicode = [(match["match_start"], match["match_end"]) for match in emoji_names.emoji_list(text)]
    places = [place for place in by_unicode if not _is_text_by_default(text[slice(*place)])]
    places += [(n, n + 1) for n, character in enumerate(text) if character == "♡"]
    return sorted(places)


def _is_text_by_default(emoji: str) -> bool:
    about = emoji_names.EMOJI_DATA.get(emoji, {})
    unqualified = about.get("status") == emoji_names.STATUS["unqualified"]
    return len(emoji) == 1 and unqualified and emoji not in EMOJIS and not _lacking(emoji)


def plain(text: str) -> str:
    """The text with emojis by name, as in `:thumbs_up:`: for where there is no room for pictures."""
    return "".join(f":{alias(part)}:" if is_emoji else part for part, is_emoji in pieces(text))


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, with "…" where some were left out; an emoji is kept whole or left out."""
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    end = limit - 1
    for start, stop in _emoji_places(text):
        if start < end < stop:
            end = start
    while end and (unicodedata.combining(text[end]) or unicodedata.category(text[end]) == "Mn"):
        end -= 1
    return text[:end].rstrip() + "…"


def readable(text: str) -> str:
    """The text with what no font here has in Latin letters, else as its name; control characters left out."""
    missing = _lacking(text) - _fonts_for(_lacking(text)).keys()
    return "".join(_spelled(one) if one in missing else one for one in _printable(text))


def _printable(text: str) -> str:
    kept = (one for one in text if not "\ufe00" <= one <= "\ufe0f")  # no variation selectors
    return "".join(one for one in kept if unicodedata.category(one) not in ("Cc", "Cf", "Cs"))


def _spelled(character: str) -> str:
    if unicodedata.category(character) in ("Mn", "Me"):
        return ""
    letters = str(unidecode(character))
    name = unicodedata.name(character, "")
    return letters if letters.strip() else f":{name.lower().replace(' ', '_')}:" if name else "?"


def _lacking(text: str) -> frozenset[str]:
    """The printable characters that matplotlib's font lacks."""
    families = matplotlib.rcParams["font.family"]
    paths = tuple(findfont(FontProperties(family=[family])) for family in families)
    return frozenset(one for one in _printable(text) if one != " " and not _in_font(one, paths))


@lru_cache(maxsize=1 << 14)
def _in_font(character: str, paths: tuple[str, ...]) -> bool:
    return any(get_font(path).get_char_index(ord(character)) for path in paths)


@lru_cache(maxsize=1 << 10)
def _fonts_for(characters: frozenset[str]) -> dict[str, str]:
    """Character -> family of a font of this machine that has it, one without serifs where there is one."""
    chosen = dict[str, str]()
    if not characters:
        return chosen
    for entry in sorted(
        fontManager.ttflist, key=lambda entry: ("Sans" not in entry.name, "Mono" in entry.name)
    ):
        is_regular = entry.style == entry.stretch == "normal" and entry.weight in (400, "normal", "regular")
        if is_regular and not entry.name.startswith(_NOT_FOR_TEXT):
            with suppress(OSError, RuntimeError):  # matplotlib's list is older than the fonts
                font = get_font(entry.fname)
                has = [one for one in characters if one not in chosen and font.get_char_index(ord(one))]
                chosen |= dict.fromkeys(has, entry.name)
    return chosen


def text_options(text: str, size: float, color: Any = None) -> dict[str, Any]:
    """Arguments of matplotlib's `Text` for a text of `readable`."""
    return {
        "fontfamily": [*matplotlib.rcParams["font.family"], *sorted({*_fonts_for(_lacking(text)).values()})],
        "fontsize": size,
        "color": color or matplotlib.rcParams["text.color"],
        "parse_math": False,
        "usetex": False,
    }


def text_width(text: str, size: float) -> float:
    """Width of `text_box`, in points."""
    widths = [_EMOJI_HEIGHT * size if piece.is_emoji else _width(piece.text, size) for piece in pieces(text)]
    return sum(widths) + 0.1 * size * max(0, len(widths) - 1)


def _width(text: str, size: float) -> float:
    font = FontProperties(family=text_options(text, size)["fontfamily"], size=size)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def wrapped(text: str, size: float, width: float, most: int) -> list[str]:
    """Lines of a text of at most `width` points; no more than `most`, the last of them then ends with "…"."""
    lines = [""]
    for word in shortened(text, 40 * most + 200).split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or text_width(longer, size) <= width:
            lines[-1] = longer
        elif len(lines) < most:
            lines.append(word)
        else:
            lines[-1] += " …"
            break
    return [_cut(line, size, width) for line in lines]


def _cut(line: str, size: float, width: float) -> str:
    while text_width(line, size) > width and len(line) > 2:
        line = shortened(line, min(len(line) - 1, int(len(line) * width / text_width(line, size)) + 1))
    return line


# --- boxes and what is put on axes ------------------------------------------------------------------------


def emoji_box(emoji: str, points: float) -> OffsetImage:
    """The picture of an emoji, `points` wide and high; the emoji must have one."""
    return OffsetImage(emoji_image(emoji, CELL), zoom=points / CELL)


def text_box(text: str, size: float, color: Any = None) -> OffsetBox:
    """A text in a line, emojis as pictures; `size` in points."""
    boxes: list[Any] = [
        emoji_box(part, _EMOJI_HEIGHT * size)
        if is_emoji
        else TextArea(part, textprops=text_options(part, size, color))
        for part, is_emoji in pieces(text) or [Piece("", False)]
    ]
    return boxes[0] if len(boxes) == 1 else HPacker(align="center", pad=0, sep=0.1 * size, children=boxes)


def put(ax: Axes, box: OffsetBox, at: tuple[float, float], **options: Any) -> AnnotationBbox:
    """Put a box without a frame on the axes; options as of `AnnotationBbox`."""
    artist = AnnotationBbox(box, at, **{"frameon": False, "pad": 0, "annotation_clip": False} | options)
    ax.add_artist(artist)
    return artist


def put_title(ax: Axes, title: str, size: float = 12) -> None:
    """Write a title, in at most two lines, above the axes at the left; emojis in it as pictures."""
    lines = wrapped(title, size, size_in_points(ax)[0], most=2)
    parts = [pieces(line) for line in lines]
    if any(piece.is_emoji for line in parts for piece in line):
        boxes: list[Any] = [text_box(line, size) for line in lines]
        box = VPacker(align="left", pad=0, sep=0.3 * size, children=boxes)
        place: dict[str, Any] = {"xycoords": "axes fraction", "boxcoords": "offset points"}
        put(ax, box, (0, 1), xybox=(0, 4), box_alignment=(0, 0), **place)
        return
    written = ["".join(piece.text for piece in line) for line in parts]
    ax.set_title("\n".join(written), loc="left", **text_options("".join(written), size))


def class_ticks(ax: Axes, axis: Literal["x", "y"], labels: list[str], points: float, size: float) -> None:
    """Write the names of classes at the ticks 0, 1 and so on; emojis are pictures, where there is one.

    `points` are width and height of the pictures, `size` is that of the font, in points.
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
