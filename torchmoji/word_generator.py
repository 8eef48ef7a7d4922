"""Turns texts, one by one, into the words that vocabularies are counted on and ids are looked up for.

Source: DeepMoji, `word_generator.py`, as it ran on Python 2.7: shortening applies to ASCII words and
lower-casing maps one character to one character. Text is `str` throughout. Characters newer than its Unicode
5.2 follow the running Python: NFKC makes two letters of U+1F201, which Python 2.7 left alone.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache, partial
from typing import Any

from text_unidecode import unidecode

from torchmoji.filter_utils import (
    convert_linebreaks,
    correct_length,
    extract_emojis,
    mostly_english,
    non_english_user,
    process_word,
    punct_word,
    remove_variation_selectors,
    separate_emojis_and_text,
)
from torchmoji.tokenizer import RE_MENTION, tokenize

ALLOWED_CONVERTED_UNICODE_PUNCTUATION = """!"#$'()+,-.:;<=>?@`~"""
"""A character becomes its transliteration only where that consists of these."""

RETWEETS_RE = re.compile("^[rR][tT]")
"""Finds retweets: "RT" at the start alone, for "please RT this" is the writer's own."""
URLS_RE = re.compile(r"https?://|www\.")
MENTION_RE = re.compile(RE_MENTION)

# Python lower-cases the first two differently from Unicode's simple, one-to-one mapping, and Python 2's
# Unicode counted the third as white space
SIMPLE_LOWER = {"İ": "i", "Σ": "σ", "\u180e": " "}

# Most parts of a text were in earlier ones. For each (allow_unicode_text, ignore_emojis,
# remove_variation_selectors): part between blanks -> its words. Long parts are not remembered, and a full
# dictionary is emptied.
_REMEMBERED: defaultdict[tuple[bool, bool, bool], dict[str, tuple[str, ...]]] = defaultdict(dict)
_REMEMBERED_CHUNKS = 1 << 17
"""The most parts for the same settings: about 25 megabytes where they come from tweets, 150 at worst."""
_REMEMBERED_LENGTH = 32  # the longest part that is remembered, in characters
_REMEMBERED_WORDS = 8  # the most words of a part that is remembered

# what `process_word` may change: a run of three (as in "www."), a number, a mention, a URL
_TO_PROCESS = re.compile(r"(.)\1\1|[\d@]|://", re.DOTALL)

_MANY_MARKS = 32  # `unicodedata` may sort this many combining marks: it takes quadratic time
_LONG_RUN_OF_MARKS = re.compile(rb"[^\0]{%d,}" % _MANY_MARKS)


@lru_cache(maxsize=1 << 16)
def _convert_character(character: str) -> str:
    """A punctuation character's ASCII form, or the character itself."""
    decoded = unidecode(character).lower()
    if decoded and punct_word(decoded, punctuation=ALLOWED_CONVERTED_UNICODE_PUNCTUATION):
        return decoded
    return character


_decompose = lru_cache(maxsize=1 << 16)(partial(unicodedata.normalize, "NFKD"))


def _normalize(word: str) -> str:
    """NFKC, in linear time also where a word has a long run of combining marks."""
    if len(word) <= _MANY_MARKS:
        return unicodedata.normalize("NFKC", word)
    decomposed = "".join(map(_decompose, word))
    classes = bytes(map(unicodedata.combining, decomposed))
    pieces, end = [], 0
    for run in _LONG_RUN_OF_MARKS.finditer(classes):
        pieces.append(decomposed[end : run.start()])
        pieces.extend(sorted(decomposed[run.start() : run.end()], key=unicodedata.combining))
        end = run.end()
    return unicodedata.normalize("NFC", "".join(pieces) + decomposed[end:])


class WordGenerator:
    """Gives the words of each text of a stream, and `infos` that subclasses take from the text.

    Subclasses choose and change texts in `data_preprocess_filtering` (before tokenization) and
    `data_postprocess_filtering` (after it).

    Args:
        stream: The texts; `None` until there are any.
        allow_unicode_text: Keep texts that hold a non-ASCII character after conversion. If not, such a
            text has no words.
        ignore_emojis: Remove emojis.
        remove_variation_selectors: Remove U+FE00 to U+FE0F.
        break_replacement: Turn line breaks into `CUSTOM_BREAK`.
    """

    def __init__(
        self,
        stream: Iterable[Any] | None,
        allow_unicode_text: bool = False,
        ignore_emojis: bool = True,
        remove_variation_selectors: bool = True,
        break_replacement: bool = True,
    ) -> None:
        self.stream = stream
        self.allow_unicode_text = allow_unicode_text
        self.remove_variation_selectors = remove_variation_selectors
        self.ignore_emojis = ignore_emojis
        self.break_replacement = break_replacement
        self.stats: dict[str, int] = {}
        self.reset_stats()

    def get_words(self, sentence: str) -> list[str]:
        """The words of one text, special tokens in place; empty where the text is refused.

        Raises:
            TypeError: `sentence` is not a string.
        """
        if not isinstance(sentence, str):
            raise TypeError(f"a text must be a str, got {type(sentence).__name__}: {sentence!r}")
        if not sentence.isascii():
            for character, lowered in SIMPLE_LOWER.items():
                sentence = sentence.replace(character, lowered)
        sentence = sentence.strip().lower()
        if self.break_replacement:
            sentence = convert_linebreaks(sentence)

        own_conversion = self._has_own_conversion()
        settings = self.allow_unicode_text, self.ignore_emojis, self.remove_variation_selectors
        remembered = {} if own_conversion else _REMEMBERED[settings]  # several threads may write to it
        words: list[str] = []
        for chunk in sentence.split():
            found = remembered.get(chunk)
            if found is None:
                found = self._words_of_chunk(chunk)
                if found is None:
                    return []
                is_short = len(chunk) <= _REMEMBERED_LENGTH and len(found) <= _REMEMBERED_WORDS
                if is_short and not own_conversion:
                    if len(remembered) >= _REMEMBERED_CHUNKS:
                        remembered.clear()
                    remembered[chunk] = found
            words += found
        return words

    def _words_of_chunk(self, chunk: str) -> tuple[str, ...] | None:
        """The words of a part between blanks, across which no word reaches; `None` where it is refused."""
        if self.remove_variation_selectors and not chunk.isascii():
            chunk = remove_variation_selectors(chunk)
            if not chunk:
                return ()
        accepted, chunk = self.convert_unicode_word(chunk)
        if not accepted:
            return None
        words = tokenize(chunk)
        if _TO_PROCESS.search(chunk):
            processed = {word: process_word(word) for word in set(words)}
            words = [processed[word] for word in words]
        return tuple(words)

    def _has_own_conversion(self) -> bool:
        """Whether a subclass, or this object, converts words in another way, which nothing is known of."""
        own = type(self)
        methods = own.check_ascii, own.convert_unicode_punctuation, own.convert_unicode_word
        return methods != _CONVERSION or not _CONVERSION_NAMES.isdisjoint(vars(self))

    def check_ascii(self, word: str) -> bool:
        """Whether a word consists of ASCII characters."""
        return word.isascii()

    def convert_unicode_punctuation(self, word: str) -> str:
        """Replace each punctuation character by its ASCII form, e.g. U+203C by `!!`."""
        return "".join(map(_convert_character, word))

    def convert_unicode_word(self, word: str) -> tuple[bool, str]:
        """Normalise a word (NFKC), convert its punctuation and, if so set, remove its emojis.

        Returns:
            Whether the text may be kept, and the converted word (empty if not).
        """
        if self.check_ascii(word):
            return True, word
        word = self.convert_unicode_punctuation(_normalize(word))
        if self.ignore_emojis:
            _, word = separate_emojis_and_text(word)
        if self.allow_unicode_text or self.check_ascii(word):
            return True, word
        return False, ""

    def data_preprocess_filtering(self, line: Any, iter_i: int) -> tuple[bool, str, dict[str, Any]]:
        """To be overridden: whether to keep what the stream gave, the text to tokenize, and information.

        `iter_i` is how many texts the stream gave before.
        """
        return True, line, {}

    def data_postprocess_filtering(
        self, words: list[str], iter_i: int
    ) -> tuple[bool, list[str], dict[str, Any]]:
        """To be overridden: whether to keep a text's words, the words, and information about them."""
        return True, words, {}

    def extract_valid_sentence_words(self, line: Any) -> tuple[bool, list[str], dict[str, Any]]:
        """Filter and tokenize what the stream gave, and count what was filtered in `stats`.

        Returns:
            Whether to keep it, its words, and the information of both filters.
        """
        position = self.stats["total"]
        valid, text, more = self.data_preprocess_filtering(line, position)
        info = dict(more)
        if not valid:
            self.stats["pretokenization_filtered"] += 1
            return False, [], info

        words = self.get_words(text)
        if not words:
            self.stats["unicode_filtered"] += 1
            return False, [], info

        valid, words, more = self.data_postprocess_filtering(words, position)
        info.update(more)
        if not valid:
            self.stats["posttokenization_filtered"] += 1
        return valid, words, info

    def generate_array_from_input(self) -> list[tuple[list[str], dict[str, Any]]]:
        """All that iterating over the stream gives, as a list."""
        return list(self)

    def reset_stats(self) -> None:
        """Set all counters to zero."""
        self.stats = {
            "pretokenization_filtered": 0,
            "unicode_filtered": 0,
            "posttokenization_filtered": 0,
            "total": 0,
            "valid": 0,
        }

    def __iter__(self) -> Iterator[tuple[list[str], dict[str, Any]]]:
        if self.stream is None:
            raise ValueError("the word generator has no stream: set its `stream` before iterating over it")
        for line in self.stream:
            valid, words, info = self.extract_valid_sentence_words(line)
            self.stats["total"] += 1
            if valid and words:
                self.stats["valid"] += 1
                yield words, info


_CONVERSION = (
    WordGenerator.check_ascii,
    WordGenerator.convert_unicode_punctuation,
    WordGenerator.convert_unicode_word,
)
_CONVERSION_NAMES = {method.__name__ for method in _CONVERSION}


def every_word() -> WordGenerator:
    """The generator of `SentenceTokenizer`: words of any script, and emojis."""
    return WordGenerator(None, allow_unicode_text=True, ignore_emojis=False)


class TweetWordGenerator(WordGenerator):
    """Chooses tweets from tab-separated lines: the user id is the second field, the text the tenth.

    Args:
        stream: Lines.
        wanted_emojis: Keep only tweets with one of these.
        english_words: Keep only tweets that are mostly in these words.
        non_english_user_set: Leave out tweets by these users.
        allow_unicode_text: As in `WordGenerator`.
        ignore_retweets: Leave out tweets that start with "RT".
        ignore_url_tweets: Leave out tweets with a link.
        ignore_mention_tweets: Leave out tweets with a mention.
    """

    def __init__(
        self,
        stream: Iterable[str] | None,
        wanted_emojis: Collection[str] | None = None,
        english_words: Collection[str] | None = None,
        non_english_user_set: Collection[int] | None = None,
        allow_unicode_text: bool = False,
        ignore_retweets: bool = True,
        ignore_url_tweets: bool = True,
        ignore_mention_tweets: bool = False,
    ) -> None:
        super().__init__(stream, allow_unicode_text=allow_unicode_text)
        self.wanted_emojis = wanted_emojis
        self.english_words = english_words
        self.non_english_user_set = non_english_user_set
        self.ignore_retweets = ignore_retweets
        self.ignore_url_tweets = ignore_url_tweets
        self.ignore_mention_tweets = ignore_mention_tweets

    def validated_tweet(self, data: list[str]) -> tuple[bool, list[str]]:
        """Whether a tweet's fields pass all filters, and its different wanted emojis, sorted."""
        if len(data) <= 9:
            return False, []
        text = data[9]
        if (
            (self.ignore_retweets and RETWEETS_RE.search(text))
            or (self.ignore_url_tweets and URLS_RE.search(text))
            or (self.ignore_mention_tweets and MENTION_RE.search(text))
        ):
            return False, []
        emojis: list[str] = []
        if self.wanted_emojis is not None:
            emojis = sorted(set(extract_emojis(text, self.wanted_emojis)))
            if not emojis:
                return False, []
        if self.non_english_user_set is not None and non_english_user(data[1], self.non_english_user_set):
            return False, []
        return True, emojis

    def data_preprocess_filtering(self, line: str, iter_i: int) -> tuple[bool, str, dict[str, Any]]:
        """Keep a valid tweet's text, without written-out line breaks, and its emojis."""
        fields = line.strip().split("\t")
        valid, emojis = self.validated_tweet(fields)
        text = fields[9].replace("\\n", "").replace("\\r", "").replace("&amp", "&") if valid else ""
        return valid, text, {"emojis": emojis}

    def data_postprocess_filtering(
        self, words: list[str], iter_i: int
    ) -> tuple[bool, list[str], dict[str, Any]]:
        """Keep mostly English tweets of at least one word."""
        english, n_words, n_english = mostly_english(words, self.english_words)
        info = {"length": len(words), "n_normal_words": n_words, "n_english": n_english}
        if english and correct_length(words, 1, None):
            return True, words, info
        return False, [], info
