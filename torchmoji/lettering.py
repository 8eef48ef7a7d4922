"""Texts in matplotlib's pictures, without boxes for what its font lacks.

Emojis become pictures (`torchmoji.glyphs`); other characters come from any font of the system that has them,
else they are written in Latin letters (text-unidecode) or as their name. Nothing is taken for TeX.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

import emoji as emoji_names
import matplotlib
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.offsetbox import HPacker, OffsetBox, OffsetImage, TextArea, VPacker
from matplotlib.textpath import text_to_path
from text_unidecode import unidecode

from torchmoji.emojis import EMOJIS, alias
from torchmoji.glyphs import CELL, emoji_image, has_image

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
