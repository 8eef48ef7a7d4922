"""Which texts a corpus takes, and how it is made of them."""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from torchmoji.corpus.emoji_finder import EmojiFinder
from torchmoji.corpus.reading import Columns
from torchmoji.create_vocab import load_vocabulary
from torchmoji.emojis import EMOJIS
from torchmoji.filter_input import read_english
from torchmoji.filter_utils import is_special_token
from torchmoji.global_variables import NB_TOKENS, SPECIAL_TOKENS, VOCABULARY_NAME, default_model_directory
from torchmoji.runtime.options import COUNT, SHARE, check_limits, documented, option
from torchmoji.tokenizer import RE_MENTION
from torchmoji.word_generator import every_word

_RETWEET = re.compile(r"\A\s*rt\b", re.IGNORECASE)
_LINK = re.compile(r"https?://|www\.", re.IGNORECASE)
_MENTION = re.compile(RE_MENTION)
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&amp;": "&"}

ENGLISH = "en"
ENGLISH_WORDS = 5000
"""So many of the default model's most frequent words count as English: more let other languages in."""
MOST_TOKENS = (1 << 15) - 1
"""Of a text, so that places in a shard, of which Arrow has 2^31, do not overflow."""
_SHORT_TEXT_WORDS = 5
"""From so many words on, three in five must be of the language, below that a half; DeepMoji's shares."""

_UNSPACED = re.compile(  # Chinese, kana, Thai, Lao, Khmer, Burmese: no blanks between words
    "[\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"
)
_TOKENS = (f"be from 1 to {MOST_TOKENS}", lambda value: 1 <= value <= MOST_TOKENS)
_WORDS = (f"be more than the {len(SPECIAL_TOKENS)} special tokens", lambda value: value > len(SPECIAL_TOKENS))
_NUMBER = ("be 0 or more", lambda value: value >= 0)
_PART = ("be a share from 0 to below 1", lambda value: 0 <= value < 1)


@documented
@dataclass(frozen=True)
class Rules:
    """Which texts a corpus takes."""

    emojis: tuple[str, ...] = option(EMOJIS, "the classes, in order")
    min_words: int = option(
        1, "fewest words of a text, without punctuation, emojis and special tokens", COUNT
    )
    max_tokens: int = option(512, "tokens after which texts are cut", _TOKENS)
    keep_retweets: bool = option(False, "take texts that begin with RT")
    keep_links: bool = option(False, "take texts with links")
    keep_mentions: bool = option(True, "take texts that mention somebody")
    language: str | None = option(
        None, "en, or a file of words, one a line: texts must be mostly in them", metavar="NAME"
    )
    keep_duplicates: bool = option(False, "take texts again that have the same emojis and words, or nearly")
    keep_near_duplicates: bool = option(
        False, "take texts again that have the same emojis and nearly the same words"
    )
    emoticons: bool = option(False, "an emoticon counts as the emojis that mean the same")
    put_in: float = option(  # what is a duplicate is decided without it
        0.0, "share of the training texts that get one of their emojis back, as emoji or emoticon", SHARE
    )

    def __post_init__(self) -> None:
        check_limits(self)
        EmojiFinder(self.emojis)
        object.__setattr__(self, "emojis", tuple(self.emojis))  # a list is taken too
        if self.language not in (None, ENGLISH) and not Path(str(self.language)).is_file():
            raise ValueError(
                f"language is {self.language!r}: give {ENGLISH!r}, or a file of its words, one a line"
            )


def language_words(language: str) -> frozenset[str]:
    """A language's words: for "en" the most frequent of the default model, else those of a UTF-8 file."""
    if language != ENGLISH:
        given = read_english(language, add_emojis=False)
        return frozenset(part for word in given for part in ([word] if word.isascii() else whole_words(word)))
    vocabulary = load_vocabulary(default_model_directory() / VOCABULARY_NAME)
    words = [word for word in vocabulary if word.isascii() and word.replace("'", "").isalpha()]
    return frozenset(words[:ENGLISH_WORDS])


def text_filter(rules: Rules) -> Callable[[str], str | None]:
    """A function that gives the reason for which a text is left out, or None."""
    checks = [
        (name, pattern.search)
        for name, pattern, is_kept in (
            ("retweet", _RETWEET, rules.keep_retweets),
            ("link", _LINK, rules.keep_links),
            ("mention", _MENTION, rules.keep_mentions),
        )
        if not is_kept
    ]
    return lambda text: next((name for name, search in checks if search(text)), None)


def unescape(text: str) -> str:
    """Turn &lt; and its like into characters, as they stand in tweets."""
    if "&" in text:
        for entity, character in _ENTITIES.items():
            text = text.replace(entity, character)
    return text


class _Letters(dict[int, str]):
    """A table for `str.translate` that makes blanks of all but letters, and words of those of `_UNSPACED`."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        if _UNSPACED.match(letter):
            self[code] = f" {letter} "
        else:
            self[code] = letter if unicodedata.category(letter)[0] in "LM" else " "
        return self[code]


_LETTERS = _Letters()


def whole_words(text: str) -> list[str]:
    """The words of a text to tell its language by: tokens, but words with letters beyond ASCII are whole."""
    generator, words = every_word(), []
    for part in text.lower().split():
        _, part = generator.convert_unicode_word(part)
        words += generator.get_words(part) if part.isascii() else part.translate(_LETTERS).split()
    return words


def is_word(token: str) -> bool:
    """Whether a token counts as a word: it has a letter or digit and is no special token."""
    return any(map(str.isalnum, token)) and not is_special_token(token)


def counts_for_language(token: str) -> bool:
    """Whether a token says something about the language: words of two letters, or with one beyond ASCII."""
    if token.isascii():
        return len(token) >= 2 and token.replace("'", "").isalpha()
    return any(map(str.isalpha, token))


def is_in_language(words: Iterable[str], known: Collection[str]) -> bool:
    """Whether a text is in the language whose words are `known`; one of a single word always is."""
    is_known = [word in known for word in words if counts_for_language(word)]
    needed = (0.5 if len(is_known) < _SHORT_TEXT_WORDS else 0.6) * len(is_known)
    return len(is_known) < 2 or sum(is_known) >= needed


@documented
@dataclass(frozen=True)
class CorpusSettings:
    """How a corpus is made.

    Raises:
        ValueError: A number is out of range.
    """

    rules: Rules = field(default_factory=Rules, metadata={"help": "which texts are taken", "limits": ()})
    columns: Columns = option(Columns(), "where texts, and labels if they have any, stand in tables")
    encoding: str | None = option(
        None, "the encoding of text, CSV, TSV and JSON, such as cp1252 (default: utf-8)", metavar="NAME"
    )
    nb_tokens: int = option(NB_TOKENS, "entries of the vocabulary with special tokens, at most", _WORDS)
    hashtags: int = option(0, "commonest words that share their embeddings with their hashtags", _NUMBER)
    min_count: int = option(2, "fewest of a word in the vocabulary; rarer ones train the unknown word", COUNT)
    validation: float = option(0.0, "share of texts held out, by the hash of their first ten words", _PART)
    skip_bad_lines: bool = option(False, "count lines that are no records, and go on; else they are errors")
    keep_text: bool = option(False, "keep the texts beside their tokens")

    def __post_init__(self) -> None:
        check_limits(self)
