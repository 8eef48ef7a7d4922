"""Which texts a corpus takes, and how it is made of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from torchmoji.corpus.emoji_finder import EmojiFinder
from torchmoji.corpus.reading import Columns
from torchmoji.create_vocab import load_vocabulary
from torchmoji.emojis import EMOJIS
from torchmoji.filter_input import read_english
from torchmoji.filter_utils import is_special_token
from torchmoji.global_variables import NB_TOKENS, SPECIAL_TOKENS, VOCABULARY_NAME, default_model_directory
from torchmoji.tokenizer import RE_MENTION

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


@dataclass(frozen=True)
class Rules:
    """Which texts a corpus takes.

    Attributes:
        emojis: The classes, in order.
        min_words: The fewest words; punctuation, emojis and special tokens do not count.
        max_tokens: Tokens after which texts are cut, at most `MOST_TOKENS`.
        keep_retweets: Take texts that begin with RT.
        keep_links: Take texts with a link.
        keep_mentions: Take texts that mention somebody.
        language: None, "en", or a file of words, one a line: texts must be mostly in them.
        keep_duplicates: Take texts again that have the same words and emojis.
        keep_near_duplicates: Take texts again that have nearly the same words and the same emojis.
        emoticons: An emoticon counts as the emojis that mean the same, see `torchmoji.emoticons`.
        put_in: So many of the texts for training get one of their emojis back, as emoji or as emoticon, so
            that what these say as words is learned too. What is a duplicate is decided without it.
    """

    emojis: tuple[str, ...] = EMOJIS
    min_words: int = 1
    max_tokens: int = 512
    keep_retweets: bool = False
    keep_links: bool = False
    keep_mentions: bool = True
    language: str | None = None
    keep_duplicates: bool = False
    keep_near_duplicates: bool = False
    emoticons: bool = False
    put_in: float = 0.0

    def __post_init__(self) -> None:
        if self.min_words < 1:
            raise ValueError(f"min_words must be at least 1, got {self.min_words}")
        if not 1 <= self.max_tokens <= MOST_TOKENS:
            raise ValueError(f"max_tokens must be from 1 to {MOST_TOKENS}, got {self.max_tokens}")
        if not 0 <= self.put_in <= 1:
            raise ValueError(f"put_in must be a share from 0 to 1, got {self.put_in}")
        EmojiFinder(self.emojis)
        if self.language not in (None, ENGLISH) and not Path(str(self.language)).is_file():
            raise ValueError(
                f"language is {self.language!r}: give {ENGLISH!r}, or a file of its words, one a line"
            )


def language_words(language: str) -> frozenset[str]:
    """The words of a language: for "en" the most frequent ones of the default model, else those of a file.

    Raises:
        ValueError: The file is not UTF-8.
    """
    if language != ENGLISH:
        return frozenset(read_english(language, add_emojis=False))
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


def is_word(token: str) -> bool:
    """Whether a token counts as a word: it has a letter or digit and is no special token."""
    return any(map(str.isalnum, token)) and not is_special_token(token)


def counts_for_language(token: str) -> bool:
    """Whether a token says something about the language: words of two letters, letters beyond ASCII."""
    if token.isascii():
        return len(token) >= 2 and token.replace("'", "").isalpha()
    return any(map(str.isalpha, token))


def is_mostly_in(counted: npt.NDArray[np.int64], known: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether texts, of whose `counted` words `known` are a language's, are in it; one word always passes."""
    needed = np.where(counted < _SHORT_TEXT_WORDS, 0.5, 0.6) * counted
    return (counted < 2) | (known >= needed)


@dataclass(frozen=True)
class CorpusSettings:
    """How a corpus is made.

    Attributes:
        rules: Which texts are taken, and the emojis.
        columns: Where texts, and labels if they have any, stand in tables.
        nb_tokens: Entries of the vocabulary, special tokens included, at most.
        hashtags: So many of the commonest words give their ids to their hashtags, see
            `torchmoji.create_vocab.with_hashtags`.
        min_count: Words that occur less often do not enter it, so that the unknown word is trained.
        validation: Share of the texts that is held out, 0 to below 1, by the hash of their first ten words.
        skip_bad_lines: Count lines that are no records; else they are errors.
        keep_text: Keep the texts in the shards, beside their tokens.

    Raises:
        ValueError: A number is out of range.
    """

    rules: Rules = field(default_factory=Rules)
    columns: Columns = field(default_factory=Columns)
    nb_tokens: int = NB_TOKENS
    hashtags: int = 0
    min_count: int = 2
    validation: float = 0.0
    skip_bad_lines: bool = False
    keep_text: bool = False

    def __post_init__(self) -> None:
        if self.nb_tokens <= len(SPECIAL_TOKENS):
            raise ValueError(
                f"nb_tokens must be more than the {len(SPECIAL_TOKENS)} special tokens, got {self.nb_tokens}"
            )
        if self.hashtags < 0:
            raise ValueError(f"hashtags must be 0 or more, got {self.hashtags}")
        if self.min_count < 1:
            raise ValueError(f"min_count must be at least 1, got {self.min_count}")
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation must be a share from 0 to below 1, got {self.validation}")
