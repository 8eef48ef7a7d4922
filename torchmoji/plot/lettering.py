"""Texts in matplotlib's pictures, without boxes for what its font lacks.

Emojis become pictures (`torchmoji.plot.glyphs`); other characters come from any font of the system that has
them,
else they are written in Latin letters (text-unidecode) or as their name. Nothing is taken for TeX.
"""

import unicodedata
from collections.abc import Iterable, Sequence
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

_EMOJI_HEIGHT = 1.2
"""Of an emoji within text, in font sizes."""
_NOT_FOR_TEXT = ("cmb", "cmex", "cmmi", "cmr", "cmss", "cmsy", "cmtt", "STIXNon", "STIXSize", "Last Resort")
"""Beginnings of names: matplotlib's fonts for formulas, and one that draws boxes for whatever it is given."""


class Piece(NamedTuple):
    """A part of a text: an emoji that has a picture, or characters."""

    text: str
    is_emoji: bool


def pieces(text: str) -> list[Piece]:
    """Split a text into emojis and what is between them, white space as single blanks.

    Emojis without a picture are written by name, as in `:thumbs_up:`. Symbols such as © that are text by
    default stay text.
    """
    text = " ".join(text.split())
    found, position = list[Piece](), 0
    for start, end in _emoji_places(text):
        found.append(Piece(readable(text[position:start]), False))
        name = text[start:end]
        found.append(Piece(name, True) if has_image(name) else Piece(f":{alias(name)}:", False))
        position = end
    found.append(Piece(readable(text[position:]).rstrip(), False))
    merged = list[Piece]()
    for piece in found:
        if merged and not piece.is_emoji and not merged[-1].is_emoji:
            merged[-1] = Piece(merged[-1].text + piece.text, False)
        elif piece.text:
            merged.append(piece)
    return merged


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


# --- characters -------------------------------------------------------------------------------------------


def readable(text: str) -> str:
    """The text with what no font here has in Latin letters, else as its name; control characters left out."""
    lacking = _lacking(text)
    missing = lacking - set(_fonts_for(frozenset(lacking))) if lacking else set()
    return "".join(_spelled(one) if one in missing else one for one in _printable(text))


def _printable(text: str) -> Iterable[str]:
    for character in text:
        is_selector = "\ufe00" <= character <= "\ufe0f"
        if not is_selector and unicodedata.category(character) not in ("Cc", "Cf", "Cs"):
            yield character


def _spelled(character: str) -> str:
    if unicodedata.category(character) in ("Mn", "Me"):
        return ""
    letters = unidecode(character)
    if letters.strip():
        return str(letters)
    name = unicodedata.name(character, "")
    return f":{name.lower().replace(' ', '_')}:" if name else "?"


def _families() -> tuple[str, ...]:
    return tuple(matplotlib.rcParams["font.family"])


def _lacking(text: str) -> set[str]:
    """The printable characters that matplotlib's font lacks."""
    paths = tuple(findfont(FontProperties(family=[family])) for family in _families())
    return {one for one in _printable(text) if one != " " and not _in_font(one, paths)}


@lru_cache(maxsize=1 << 14)
def _in_font(character: str, paths: tuple[str, ...]) -> bool:
    return any(get_font(path).get_char_index(ord(character)) for path in paths)


@lru_cache(maxsize=1 << 10)
def _fonts_for(characters: frozenset[str]) -> dict[str, str]:
    """Character -> family of a font of this machine that has it; the fewest families that do."""
    having = dict[str, set[str]]()
    for entry in fontManager.ttflist:
        is_regular = entry.style == entry.stretch == "normal" and entry.weight in (400, "normal", "regular")
        if not is_regular or entry.name.startswith(_NOT_FOR_TEXT):
            continue
        with suppress(OSError, RuntimeError):  # matplotlib's list is older than the fonts
            font = get_font(entry.fname)
            having[entry.name] = {one for one in characters if font.get_char_index(ord(one))}
    chosen = dict[str, str]()
    while having:
        family = max(having, key=lambda name: (len(having[name] - set(chosen)), *_preference(name)))
        new = having.pop(family) - set(chosen)
        if not new:
            break
        chosen |= dict.fromkeys(new, family)
    return chosen


def _preference(family: str) -> tuple[bool, bool, str]:
    return "Sans" in family, "Mono" not in family, family


def text_options(text: str, size: float, color: Any = None) -> dict[str, Any]:
    """Arguments of matplotlib's `Text` for a text of `readable`."""
    lacking = _lacking(text)
    more = sorted(set(_fonts_for(frozenset(lacking)).values())) if lacking else []
    return {
        "fontfamily": [*_families(), *more],
        "fontsize": size,
        "color": color or matplotlib.rcParams["text.color"],
        "parse_math": False,
        "usetex": False,
    }


# --- boxes ------------------------------------------------------------------------------------------------


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


def lines_box(lines: Sequence[str], size: float) -> OffsetBox:
    """Lines, one below the other."""
    return VPacker(align="left", pad=0, sep=0.3 * size, children=[text_box(line, size) for line in lines])


def text_width(text: str, size: float) -> float:
    """Width of `text_box`, in points."""
    widths = [_piece_width(*piece, size) for piece in pieces(text)]
    return sum(widths) + 0.1 * size * max(0, len(widths) - 1)


def _piece_width(text: str, is_emoji: bool, size: float) -> float:
    if is_emoji:
        return _EMOJI_HEIGHT * size
    font = FontProperties(family=text_options(text, size)["fontfamily"], size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width)


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


# --- What the pictures of `torchmoji.plot.plot` share: axes, colours, and boxes put on them ---

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
