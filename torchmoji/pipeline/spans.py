"""The words of a text with their places in it, as written: what attention is shown on.

`fold_signs` and `WordGenerator.get_words` fold, lower-case, normalise and shorten, so that the words are not
pieces of the text. Here each character is followed through the same steps.
"""

import unicodedata
from typing import NamedTuple

from torchmoji.emojis import fold_emojis, spelling_details
from torchmoji.emoticons import folded_emoticons
from torchmoji.filter_utils import BREAK_TOKEN, LINEBREAKS, process_word, remove_variation_selectors
from torchmoji.tokenizer import tokenize
from torchmoji.word_generator import SIMPLE_LOWER, every_word

Span = tuple[int, int]


class PlacedWord(NamedTuple):
    """A word as the model gets it, and its place in the text: `text[start:end]`."""

    word: str
    start: int
    end: int


class _Traced(NamedTuple):
    """A text, and for each of its characters the place that it came from."""

    text: str
    spans: list[Span]

    def part(self, start: int, end: int) -> "_Traced":
        return _Traced(self.text[start:end], self.spans[start:end])

    @property
    def span(self) -> Span:
        return min(start for start, _ in self.spans), max(end for _, end in self.spans)


_convert = every_word().convert_unicode_word


def placed_words(text: str) -> list[PlacedWord]:
    """Give the words of a text, as `MojiPipeline` finds them by default, with their places.

    A word that normalisation made of several characters, or that is one of several made of one, has the place
    of all that it came from.
    """
    traced = _with_breaks(_folded(_lowered(text)))
    words, position = [], 0
    for chunk in traced.text.split():
        start = traced.text.index(chunk, position)
        position = start + len(chunk)
        words += _words_of_chunk(traced.part(start, position))
    return words


def _lowered(text: str) -> _Traced:
    """Stripped and in lower case, character by character."""
    characters = [SIMPLE_LOWER.get(character, character) for character in text]
    spaces = "".join(character[:1] for character in characters)
    first = len(spaces) - len(spaces.lstrip())
    last = len(spaces.rstrip())
    pieces, spans = [], []
    for number in range(first, last):
        lowered = characters[number].lower()
        pieces.append(lowered)
        spans += [(number, number + 1)] * len(lowered)
    return _Traced("".join(pieces), spans)


def _folded(traced: _Traced) -> _Traced:
    """`fold_signs`: an emoji has the place of all that was left out behind it, an emoticon its own."""
    if fold_emojis(traced.text) != traced.text:  # which is quick where there is nothing to fold
        details = spelling_details().finditer(traced.text)
        traced = _replaced(traced, [(*match.span(), "") for match in details])
    emoticons = folded_emoticons(traced.text)
    return _replaced(traced, emoticons) if emoticons else traced


def _replaced(traced: _Traced, places: list[tuple[int, int, str]]) -> _Traced:
    """With other characters in some places; nothing belongs to the character before."""
    pieces, spans, end = list[str](), list[Span](), 0
    for start, stop, new in places:
        pieces += [traced.text[end:start], new]
        spans += traced.spans[end:start] + [traced.part(start, stop).span] * len(new)
        if not new:
            spans[-1] = spans[-1][0], traced.spans[stop - 1][1]
        end = stop
    return _Traced("".join([*pieces, traced.text[end:]]), spans + traced.spans[end:])


def _with_breaks(traced: _Traced) -> _Traced:
    """Line breaks as words."""
    word = f" {BREAK_TOKEN} "
    for target in LINEBREAKS:
        pieces, spans, position = [], [], 0
        while (found := traced.text.find(target, position)) >= 0:
            end = found + len(target)
            pieces += [traced.text[position:found], word]
            spans += traced.spans[position:found] + [traced.part(found, end).span] * len(word)
            position = end
        traced = _Traced("".join(pieces) + traced.text[position:], spans + traced.spans[position:])
    return traced


def _words_of_chunk(chunk: _Traced) -> list[PlacedWord]:
    """The words of a part between blanks."""
    if not chunk.text.isascii():
        kept = [
            (character, span)
            for character, span in zip(chunk.text, chunk.spans, strict=True)
            if remove_variation_selectors(character)
        ]
        chunk = _Traced("".join(character for character, _ in kept), [span for _, span in kept])
        if not kept:
            return []
    converted = _converted(chunk)
    words, position = [], 0
    for word in tokenize(converted.text):
        start = converted.text.index(word, position)
        position = start + len(word)
        words.append(PlacedWord(process_word(word), *converted.part(start, position).span))
    return words


def _converted(chunk: _Traced) -> _Traced:
    """A chunk after `convert_unicode_word`, by a character with its combining marks at a time."""
    _, whole = _convert(chunk.text)
    if whole == chunk.text:
        return chunk
    pieces, spans, start = [], [], 0
    for end in range(1, len(chunk.text) + 1):
        if end < len(chunk.text) and unicodedata.combining(chunk.text[end]):
            continue
        _, piece = _convert(chunk.text[start:end])
        pieces.append(piece)
        spans += [chunk.part(start, end).span] * len(piece)
        start = end
    if "".join(pieces) == whole:
        return _Traced(whole, spans)
    return _Traced(whole, [chunk.span] * len(whole))  # such as Hangul written in its letters
