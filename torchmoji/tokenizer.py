"""Splits a text into words with one regular expression, first alternative that matches.

The alternatives and their order are DeepMoji's, since its vocabulary was counted with them. Differences of
form only: the expression is compiled with `re.IGNORECASE` (the original wrote `(?i)` in its middle, which
made all of it case-insensitive and which Python 3.11 refuses), and white space includes U+180E, which
Python 2's Unicode database counted as such.
"""

import re
from collections.abc import Iterator

RE_NUM = r"[0-9]+"
RE_WORD = r"[a-zA-Z]+"
RE_WHITESPACE = r"[\s\u180e]+"
RE_ANY = r"."

# two words joined by one sign: red-haired, snake_case, custom_break
RE_COMB = r"[a-zA-Z]+[-_][a-zA-Z]+"
RE_CONTRACTIONS = RE_WORD + "'" + RE_WORD
TITLES = ["mr", "ms", "mrs", "dr", "prof"]
RE_TITLES = "(?i:" + "|".join(TITLES) + r")\."
RE_ABBREVIATIONS = r"\b(?<!\.)(?:[a-zA-Z]\.){2,}"

RE_HASHTAG = r"#[a-zA-Z0-9_]+"
RE_MENTION = r"@[a-zA-Z0-9_]+"
# "$-_" is the range U+0024 to U+005F: digits, capitals and most ASCII signs
RE_URL = r"(?:https?://|www\.)[!$-_a-zA-Z]+"
_LOCAL_PART = "[a-zA-Z0-9_.+-]+"
_AT_DOMAIN = r"@[a-zA-Z0-9-]+\.[a-zA-Z0-9.-]+\b"
RE_EMAIL = r"\b" + _LOCAL_PART + _AT_DOMAIN

RE_HEART = r"(?:<+/?3+)+"  # <3, </3, <3<3
EMOTICONS_EXTRA = ["-_-", "x_x", "^_^", "o.o", "o_o", "(:", "):", ");", "(;"]
EMOTICONS_START = [">:", ":", "=", ";"]  # eyes
EMOTICONS_MID = ["-", ",", "^", "'", '"']  # nose or tear, optional
EMOTICONS_END = ["d", "p", "v", ")", "o", "(", "3", "/", "|", "\\"]  # mouth, one or more of the same


def _any_of(alternatives: list[str], repeat: str = "") -> str:
    return "|".join(re.escape(text) + repeat for text in alternatives)


RE_EMOTICON = (
    f"(?i:{_any_of(EMOTICONS_EXTRA)}"
    f"|(?:{_any_of(EMOTICONS_START)})(?:{_any_of(EMOTICONS_MID)})?(?:{_any_of(EMOTICONS_END, '+')}))"
)

# Runs of one and the same sign are one word. "#" and "@" give their last sign to a hashtag or mention that
# follows: ##hello is "#", "#hello". The pound sign is not among them: "££" is two words.
SYMBOLS = "()<!?.,/'\"-_=\\§|´ˇ°[]>{}~$^&*;:%+€`"
SPECIAL_SYMBOLS = r"#+(?=#[a-zA-Z0-9_])|@+(?=@[a-zA-Z0-9_])|#+|@+"
RE_SYMBOL = _any_of(list(SYMBOLS), "+") + "|" + SPECIAL_SYMBOLS

RE_EMOJI = "[\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\u2600-\u27bf]"

# from most to least specific
TOKENS = [
    RE_URL,
    RE_EMAIL,
    RE_COMB,
    RE_HASHTAG,
    RE_MENTION,
    RE_HEART,
    RE_EMOTICON,
    RE_CONTRACTIONS,
    RE_TITLES,
    RE_ABBREVIATIONS,
    RE_NUM,
    RE_WORD,
    RE_SYMBOL,
    RE_EMOJI,
    RE_ANY,
]
IGNORED = [RE_WHITESPACE]


def _compile(tokens: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(IGNORED) + "|(" + "|".join(tokens) + ")", re.IGNORECASE)


RE_PATTERN = _compile(TOKENS)

# RE_EMAIL reads the rest of "1.1.1.1" again at each of its words, which takes minutes where that is long.
# So it is tried only at the places where an address can begin; the words are the same as RE_PATTERN's.
_EMAIL_START = re.compile(f"{_LOCAL_PART}(?=({_AT_DOMAIN})?)", re.IGNORECASE)

# Control characters and all but a few outside ASCII are words of their own. So a run of them is found as one
# and then taken apart. "ıİſ" and the Kelvin sign are ASCII letters to `re.IGNORECASE`.
_OTHER_SYMBOLS = "".join(symbol for symbol in SYMBOLS if not symbol.isascii())
_RE_SINGLES = rf"(?-i:[^\s\u180e\x20-\x7fıİſ\u212a{_OTHER_SYMBOLS}]+)"
_SINGLES = re.compile(_RE_SINGLES)
_NO_EMAIL = _compile([_RE_SINGLES, *(token for token in TOKENS if token != RE_EMAIL)])


def tokenize(text: str) -> list[str]:
    """Split a text into words; white space is dropped, nothing else is.

    Source: DeepMoji, `tokenizer.py`.

    Args:
        text: Any string. It is not lower-cased or normalised here (`WordGenerator.get_words` does that).

    Returns:
        The words in their order.

    Raises:
        TypeError: `text` is not a string.
    """
    if not isinstance(text, str):
        raise TypeError(f"tokenize takes one string, got {type(text).__name__}: {text!r}")
    is_ascii = text.isascii()
    if is_ascii and text.isalpha():  # most words
        return [str(text)]
    matches = _findall_with_emails(text) if "@" in text else _NO_EMAIL.findall(text)
    # the group is empty where white space matched
    if is_ascii and text.isprintable():
        return [word for word in matches if word]
    words: list[str] = []
    for match in matches:
        if len(match) > 1 and _SINGLES.match(match):
            words.extend(match)
        elif match:
            words.append(match)
    return words


def _findall_with_emails(text: str) -> Iterator[str]:
    """What `_NO_EMAIL.findall` gives, e-mail addresses in one piece, in time linear in the text's length."""
    position = 0
    for run in _EMAIL_START.finditer(text):
        if run[1] is None:
            continue
        for pattern, end in ((_NO_EMAIL, run.start()), (RE_PATTERN, run.end())):
            if position < end:
                for match in pattern.finditer(text, position):
                    yield match[1] or ""
                    position = match.end()
                    if position >= end:
                        break
    yield from _NO_EMAIL.findall(text, position)
