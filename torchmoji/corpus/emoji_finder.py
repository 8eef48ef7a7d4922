"""Finds target emojis, and emoticons, in texts and takes them out: what a pretrained model learns to predict.

Source: Felbo et al. 2017 for the task. DeepMoji looked for single characters; here an emoji is a whole
sequence (Unicode Technical Standard 51): skin tones and variation selectors are folded away, and neither a
part of a joined sequence nor half a flag is found.
"""

import csv
import hashlib
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import emoji

from torchmoji.emoticons import EMOTICONS, find_emoticons
from torchmoji.filter_input import read_wanted_emojis

ZWJ = "\u200d"
"""Joins emojis into one: a heart, ZWJ and fire are a heart on fire."""
_PICTURES = "\U0001f000-\U0001faff"
"""All of these count as emojis, so that joined sequences newer than the package `emoji` stay whole."""
_REGIONAL = "\U0001f1e6-\U0001f1ff"
_TONES = "\U0001f3fb-\U0001f3ff"
_SELECTORS = "\ufe0e\ufe0f"
_TAGS = "\U000e0020-\U000e007e"
_KEYCAP = "\u20e3"
_FOLDED = re.compile(f"[{_SELECTORS}{_TONES}]")
_GENDER = re.compile(f"{ZWJ}[♀♂]$")
_NOT_A_BASE = re.compile(f"[\x00-\x7f{_PICTURES}{_SELECTORS}{ZWJ}{_KEYCAP}{_TAGS}\U000e007f]")
_SEPARATORS = re.compile(r"[\s,]+")


def fold(name: str) -> str:
    """An emoji without skin tones and variation selectors."""
    return _FOLDED.sub("", name)


@lru_cache(maxsize=1)
def _bases() -> frozenset[str]:
    """Characters outside `_PICTURES` that begin an emoji or stand in a joined one; keycaps left out."""
    characters = {character for name in emoji.EMOJI_DATA for character in name}
    return frozenset(character for character in characters if not _NOT_A_BASE.match(character))


class EmojiFinder:
    """Finds the target emojis of texts and takes them out.

    `emojis` are the classes, in order, each one emoji, or one symbol such as ♡; `classes` are the same,
    folded. ValueError where there are none, one is no emoji, or two are the same but for skin tone or style.
    """

    def __init__(self, emojis: Sequence[str]) -> None:
        if isinstance(emojis, str) or not emojis or not all(isinstance(name, str) for name in emojis):
            raise ValueError(f"emojis must be a list of at least one emoji, got {emojis!r:.80}")
        self.classes = tuple(fold(name) for name in emojis)
        self._index: dict[str, int] = {}
        symbols = {name for name in self.classes if len(name) == 1 and _is_symbol(name)}
        begins = "".join(sorted(_bases() | symbols))
        has_keycap = any(_KEYCAP in name for name in self.classes)
        one = f"[{re.escape(begins)}{_PICTURES}]"
        rest = f"[{_SELECTORS}]?[{_TONES}]?[{_SELECTORS}]?(?:[{_TAGS}]+\U000e007f)?"
        keycap = f"(?<=[0-9#*])\ufe0f?{_KEYCAP}|(?<![0-9#*])" if has_keycap else ""  # then only after digits
        element = f"(?:(?<=[{_REGIONAL}])[{_REGIONAL}]|{keycap}{rest})"
        start = f"[{re.escape(begins)}{_PICTURES}0-9#*]" if has_keycap else one
        self._sequence = re.compile(f"{start}{element}(?:{ZWJ}{one}{element})*")
        for number, (name, given) in enumerate(zip(self.classes, emojis, strict=True)):
            if not name or name.isascii() or not self._sequence.fullmatch(name):
                raise ValueError(
                    f"{given!r:.80} is not an emoji: separate emojis by blanks or commas, or give a file of "
                    "them"
                )
            if name in self._index:
                raise ValueError(
                    f"{given!r} is the same emoji as {emojis[self._index[name]]!r}, since skin tones and "
                    "variation selectors do not count: leave one of them out"
                )
            self._index[name] = number

    def read_labels(self, value: Any) -> list[int]:
        """The different classes that a label column names, sorted; emojis that are no targets are left out.

        A value is a class number, also a float such as 3.0, an emoji, several of them separated by blanks or
        commas, or a list of them; anything else is a ValueError.
        """
        if isinstance(value, str):
            labels: list[Any] = _SEPARATORS.split(value)
        else:
            labels = list(value) if isinstance(value, list | tuple) else [value]
        numbers = {self._class_of(label) for label in labels if label not in (None, "")}
        return sorted(number for number in numbers if number is not None)

    def _class_of(self, label: Any) -> int | None:
        is_number = type(label) is int or (isinstance(label, float) and label.is_integer())
        is_number |= isinstance(label, str) and label.isdecimal() and len(label) < 20
        if is_number and 0 <= int(label) < len(self.classes):
            return int(label)
        if isinstance(label, str) and not label.isascii():
            name = fold(label)
            if name in self._index or self._sequence.fullmatch(name):
                return self._number(name)
        raise ValueError(
            f"has the label {_shown(label)}, neither a class from 0 to {len(self.classes) - 1} nor an emoji"
        )

    def _number(self, name: str) -> int | None:
        """The class of a folded emoji, also of one with a gender where the class is without."""
        return self._index.get(name, self._index.get(_GENDER.sub("", name)))

    def take_out(self, text: str) -> tuple[list[int], str]:
        """The different target emojis of a text, sorted by class, and the text with blanks in their place."""
        if text.isascii():
            return [], text
        found: set[int] = set()
        pieces: list[str] = []
        end = 0
        for match in self._sequence.finditer(text):
            index = self._number(fold(match[0]))
            start = match.start()
            if index is None or (start and text[start - 1] == ZWJ):  # a part of an emoji unknown to us
                continue
            found.add(index)
            pieces.append(text[end:start])
            end = match.end()
        if not found:
            return [], text
        pieces.append(text[end:])
        return sorted(found), " ".join(pieces)


def _shown(value: Any) -> str:
    """A value as a message shows it: the start of a long one, whose whole cannot always be told."""
    try:
        return f"{value!r:.80}"
    except (ValueError, RecursionError):  # an integer of thousands of digits, lists within lists
        return f"a long {type(value).__name__}"


def _is_symbol(character: str) -> bool:
    return not (character.isascii() or character.isalnum() or character.isspace())


def parse_emojis(given: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read emojis from a file, the first column of a CSV file or one a line, or from a list in a string.

    In the string, blanks or commas separate them. ValueError as of `EmojiFinder`.
    """
    text = os.fspath(given)
    try:
        is_file = Path(text).is_file()
    except OSError:  # a list may be too long for a name
        is_file = False
    if not is_file:
        return EmojiFinder([name for name in _SEPARATORS.split(text) if name]).classes
    try:
        return EmojiFinder(read_wanted_emojis(text)).classes
    except (ValueError, OverflowError, csv.Error) as error:  # not UTF-8, or escapes of no character
        raise ValueError(f"{text} is no file of emojis, one a line: {error}") from error


class EmoticonFinder:
    """Finds emoticons that say what one of some emojis says, takes them out, and chooses some to put in.

    `emojis` are the classes, in order. An emoticon none of whose emojis is among them stays in the text.
    """

    def __init__(self, emojis: Sequence[str]) -> None:
        classes = {fold(name): number for number, name in enumerate(emojis)}
        self._meanings = [
            [classes[name] for name in meaning.split() if name in classes] for meaning, _, _ in EMOTICONS
        ]
        self._emojis = tuple(emojis)
        self._spellings: dict[int, list[str]] = {}
        for numbers, (_, spellings, _) in zip(self._meanings, EMOTICONS, strict=True):
            for number in numbers:
                self._spellings.setdefault(number, []).extend(spellings.split())

    def take_out(self, text: str) -> tuple[list[int], str]:
        """The classes of a text's emoticons, sorted, and the text with blanks in their place."""
        classes: set[int] = set()
        pieces, end = [], 0
        for row, match in find_emoticons(text):
            if meaning := self._meanings[row]:
                classes.update(meaning)
                pieces.append(text[end : match.start()])
                end = match.end()
        return sorted(classes), " ".join([*pieces, text[end:]])

    def mark_for(self, text: str, classes: Sequence[int], share: float) -> str:
        """One of a text's emojis, as emoji or as emoticon, if the text is one of the chosen, else nothing.

        Of all texts a `share` from 0 to 1 is chosen; the text alone decides whether it is, and by what.
        `classes` are its emojis.
        """
        if not classes or not share:
            return ""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        chance, choice = (int.from_bytes(part, "big") for part in (digest[:8], digest[8:]))
        if chance >= share * 2**64:
            return ""
        number = classes[choice % len(classes)]
        spellings = self._spellings.get(number, [])
        spelling = choice // len(classes) % (2 * len(spellings) or 1)
        return spellings[spelling] if spelling < len(spellings) else self._emojis[number]
