"""Small functions on words and texts: special tokens, length, language, emojis, control characters.

Source: DeepMoji, `filter_utils.py`; the recorded outputs of the original hold for every function.
"""

import os
import re
import string
import sys
from collections.abc import Collection, Iterable, Sequence

import emoji
import numpy as np

from torchmoji.files.npz import read_npz
from torchmoji.global_variables import SPECIAL_TOKENS
from torchmoji.tokenizer import RE_MENTION, RE_URL

AT_TOKEN, URL_TOKEN, NUMBER_TOKEN, BREAK_TOKEN = SPECIAL_TOKENS[2:6]

VARIATION_SELECTORS = [chr(code) for code in range(0xFE00, 0xFE10)]

# also as they are written out in JSON and in Python's repr, once or twice escaped
LINEBREAKS = ["\\\\n", "\\n", "\n", "\\\\r", "\\r", "\r", "<br>"]
_NONBREAKING_SPACES = ["\\\\xc2", "\\xc2", "\xc2", "\\\\xa0", "\\xa0", "\xa0"]

AtMentionRegex = re.compile(RE_MENTION)
urlRegex = re.compile(RE_URL)
_INTEGER = re.compile(r"\s*[+-]?\d+\s*")
ALL_CHARS = (chr(code) for code in range(sys.maxunicode + 1))
"""All characters, once: an iterator, as in 2017."""
CONTROL_CHARS = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))
"""U+0000 to U+001F and U+007F to U+009F."""
CONTROL_CHAR_REGEX = re.compile(f"[{re.escape(CONTROL_CHARS)}]")
_VARIATION_SELECTORS = re.compile("[\ufe00-\ufe0f]")
_LONG_RUN = re.compile(r"((.)\2\2+)", re.DOTALL)


def is_special_token(word: str) -> bool:
    """Whether `word` is one of the ten `CUSTOM_` tokens."""
    return word in SPECIAL_TOKENS


def punct_word(word: str, punctuation: str = string.punctuation) -> bool:
    """Whether all characters of `word` are in `punctuation`; true for the empty word."""
    return all(character in punctuation for character in word)


def mostly_english(
    words: Iterable[str],
    english: Collection[str] | None,
    pct_eng_short: float = 0.5,
    pct_eng_long: float = 0.6,
    ignore_special_tokens: bool = True,
    min_length: int = 2,
) -> tuple[bool, int, int]:
    """Whether enough of the words are English.

    Args:
        words: A text's words.
        english: The known English words; `None` accepts every text.
        pct_eng_short: Share that must be English with two to four words that count.
        pct_eng_long: The same with five or more. With fewer than two every text passes.
        ignore_special_tokens: Leave `CUSTOM_` tokens out of the count.
        min_length: Words with fewer characters do not count; nor does punctuation.

    Returns:
        The verdict, the number of words that count, and how many of them are English.
    """
    if english is None:
        return True, 0, 0
    counted = [
        word
        for word in words
        if len(word) >= min_length
        and not punct_word(word)
        and not (ignore_special_tokens and is_special_token(word))
    ]
    n_words = len(counted)
    n_english = sum(word in english for word in counted)
    needed = pct_eng_short if n_words < 5 else pct_eng_long
    return n_words < 2 or n_english >= n_words * needed, n_words, n_english


def correct_length(
    words: Iterable[str], min_words: int | None, max_words: int | None, ignore_special_tokens: bool = True
) -> bool:
    """Whether the number of words is within bounds (`None`: no bound); punctuation does not count.

    Args:
        words: A text's words.
        min_words: The fewest allowed, inclusive.
        max_words: The most allowed, inclusive.
        ignore_special_tokens: Leave `CUSTOM_` tokens out of the count.
    """
    n_words = sum(
        not punct_word(word) and not (ignore_special_tokens and is_special_token(word)) for word in words
    )
    return (min_words is None or n_words >= min_words) and (max_words is None or n_words <= max_words)


def load_non_english_user_set() -> set[int]:
    """The user ids in the array `data` of the file `uids.npz` in the current folder.

    `torchmoji.filter_input.read_non_english_users` reads a file of any name.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It has no array `data` of whole numbers.
    """
    return read_users("uids.npz", "data")


def read_users(path: str | os.PathLike[str], name: str) -> set[int]:
    """The user ids in an array of an `.npz` file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It has no such array of whole numbers.
    """
    expected = f"a list of users: expected an .npz file with an array {name!r} of their numbers"
    array = read_npz(path, expected, name)
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{os.fspath(path)} is not {expected}; found {array.dtype!s:.100}: make it again")
    return set(array.ravel().tolist())


def non_english_user(userid: int | str, non_english_user_set: Collection[int]) -> bool:
    """Whether the numeric user id is in the set of users known to write in other languages.

    Raises:
        ValueError: `userid` is not a number.
    """
    return int(userid) in non_english_user_set


def separate_emojis_and_text(text: str) -> tuple[str, str]:
    """Split a text into its emoji characters and all others, each in order.

    Every single-character emoji of the installed `emoji` package counts; the original knew those of
    emoji 0.4.5 (2017).

    Returns:
        The emojis as one string, and the rest.
    """
    emojis = "".join(character for character in text if character in emoji.EMOJI_DATA)
    return emojis, "".join(character for character in text if character not in emoji.EMOJI_DATA)


def extract_emojis(text: str, wanted_emojis: Collection[str]) -> list[str]:
    """The characters of `text` that are in `wanted_emojis`, in order, with repeats.

    Wanted emojis of several characters, such as flags, and those with a variation selector are never found.
    """
    return [character for character in remove_variation_selectors(text) if character in wanted_emojis]


def remove_variation_selectors(text: str) -> str:
    """Remove U+FE00 to U+FE0F, which choose between text and picture style of the character before."""
    return _VARIATION_SELECTORS.sub("", text)


def shorten_word(word: str) -> str:
    """Cut runs of three or more equal characters of an ASCII word to two: `sooooo` -> `soo`.

    As in the original each run is replaced wherever it occurs, first run first, so a run that holds an
    earlier, shorter one is cut piecewise: `wooohooooo` -> `woohoooo`. The vocabulary of the original
    weights has such words.
    """
    match = _LONG_RUN.search(word)
    if not match or not word.isascii():
        return word
    shortened = word
    gone: set[str] = set()  # runs that do not occur any more: long words stay linear
    while match:
        run, character = match.groups()
        match = _LONG_RUN.search(word, match.end())
        if run in gone:
            continue
        replaced = shortened.replace(run, character * 2)
        if replaced == shortened:
            gone.add(run)
        elif gone:
            gone = {other for other in gone if other[0] != character}
        shortened = replaced
    return shortened


def detect_special_tokens(word: str) -> str:
    """The token that stands for a number, mention or URL, or the word itself."""
    if word.isalpha():  # most words, and none of the three
        return word
    if _INTEGER.fullmatch(word):
        return NUMBER_TOKEN
    if "@" in word and AtMentionRegex.search(word):
        return AT_TOKEN
    if urlRegex.search(word):
        return URL_TOKEN
    return word


def process_word(word: str) -> str:
    """Shorten a word, then replace it by a special token where one applies."""
    return detect_special_tokens(shorten_word(word))


def remove_control_chars(text: str) -> str:
    """Remove U+0000 to U+001F and U+007F to U+009F."""
    return CONTROL_CHAR_REGEX.sub("", text)


def _replace_each(text: str, targets: Sequence[str], replacement: str) -> str:
    for target in targets:
        text = text.replace(target, replacement)
    return text


def convert_nonbreaking_space(text: str) -> str:
    r"""Turn U+00A0 and U+00C2 into blanks, also where they are written out as `\xa0` or `\xc2`."""
    return _replace_each(text, _NONBREAKING_SPACES, " ")


def convert_linebreaks(text: str) -> str:
    r"""Turn line breaks, `<br>` and written-out `\n`, `\r` into the word `CUSTOM_BREAK`."""
    if not ("\n" in text or "\\" in text or "\r" in text or "<br>" in text):
        return text
    return _replace_each(text, LINEBREAKS, f" {BREAK_TOKEN} ")
