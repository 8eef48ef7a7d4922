"""Reads the word, emoji and user lists that choose tweets.

Source: DeepMoji, `filter_input.py`. Emojis may be written as they are, not only as escapes.
"""

import csv
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import emoji

from torchmoji.filter_utils import read_users, remove_variation_selectors

logger = logging.getLogger(__name__)

_ESCAPE = re.compile(r"\\U([0-9a-fA-F]{8})|\\u([0-9a-fA-F]{4})")


@contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let errors in what a file holds name the file."""
    try:
        yield
    except (csv.Error, OverflowError, ValueError) as error:  # text that is not UTF-8 is a ValueError
        raise ValueError(f"cannot read {os.fspath(path)} ({error!s:.200}): save it as UTF-8 text") from error


def read_english(path: str | os.PathLike[str] = "english_words.txt", add_emojis: bool = True) -> set[str]:
    """Read a list of English words, one a line, lower-cased.

    Args:
        path: UTF-8 text file.
        add_emojis: Count every emoji as an English word.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not UTF-8.
    """
    with _named(path), open(path, encoding="utf-8-sig") as lines:
        english = {line.strip().lower() for line in lines}
    english.discard("")
    if add_emojis:
        english.update(emoji.EMOJI_DATA)
    return english


def read_wanted_emojis(path: str | os.PathLike[str] = "wanted_emojis.csv") -> list[str]:
    r"""Read emojis from the first column of a CSV file, as characters or as escapes (`\U0001f602`).

    Variation selectors are removed, since `extract_emojis` compares without them.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is neither CSV nor UTF-8, or an escape is no character's.
    """
    with _named(path), open(path, encoding="utf-8-sig", newline="") as file:
        cells = [row[0].strip() for row in csv.reader(file) if row]
        emojis = [
            _ESCAPE.sub(lambda match: chr(int(match[1] or match[2], 16)), cell) for cell in cells if cell
        ]
    return [remove_variation_selectors(wanted) for wanted in emojis]


def read_non_english_users(path: str | os.PathLike[str] = "unwanted_users.npz") -> set[int]:
    """Read the user ids in the array `userids` of an `.npz` file.

    As in the original a missing file means no such users; the log says so.

    Raises:
        ValueError: The file has no array `userids` of whole numbers.
    """
    try:
        return read_users(path, "userids")
    except FileNotFoundError:
        logger.warning("no list of non-English users at %s: none is left out", os.fspath(path))
        return set()
