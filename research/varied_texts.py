"""New texts, made of the parts of others, about which teachers can be asked.

They teach a model what its teachers know beyond the texts that have labels: what a few words mean alone, and
what becomes of them beside others.

Source: Tang et al. 2019, "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks", for new
texts as such and for pieces of texts (their n-gram sampling). That two texts are joined is our choice.
"""

from collections.abc import Sequence

import numpy as np

CONNECTIVES = frozenset(
    "and but so or because cause when while if then now until till since although though unless except yet "
    "like that who which where after before just".split()
)
"""Words with which a part of a sentence may begin."""

BOUNDARY_SHARE = 0.7
"""Cuts at the border of two parts of a sentence, where a text has one; the rest are anywhere."""
LONGEST_PIECE = 12
LONGEST_HALF = 20
"""Words of a text in a joined one, at most."""


def varied(texts: Sequence[str], each: int, generator: np.random.Generator) -> list[str]:
    """Make new texts.

    Args:
        texts: Those that are cut up.
        each: New texts for each of these: a piece of it, and then it joined with others.
        generator: Decides how.

    Returns:
        `each` * n texts.
    """
    split = [text.split() for text in texts]
    found = []
    for words in split:
        for number in range(each):
            if number == 0:
                found.append(_piece(words, generator))
            else:
                other = split[int(generator.integers(len(split)))]
                found.append(_joined(words, other, generator))
    return [" ".join(words) for words in found]


def _piece(words: list[str], generator: np.random.Generator) -> list[str]:
    """Some words of a text that stand together, two at least where it has so many."""
    most = min(len(words), LONGEST_PIECE)
    if most <= 2:
        return words
    size = int(generator.integers(2, most + 1))
    start = int(generator.integers(len(words) - size + 1))
    return words[start : start + size]


def _joined(first: list[str], second: list[str], generator: np.random.Generator) -> list[str]:
    """The beginning of a text and the end of another one."""
    head, tail = first[: _cut(first, generator)], second[_cut(second, generator) :]
    return head[-LONGEST_HALF:] + tail[:LONGEST_HALF]


def _cut(words: list[str], generator: np.random.Generator) -> int:
    """Where to cut a text: the number of its second part's first word."""
    if len(words) < 2:
        return int(generator.integers(len(words) + 1))
    borders = [
        number
        for number in range(1, len(words))
        if words[number].lower() in CONNECTIVES or words[number - 1][-1] in ".,!?;:…"
    ]
    if borders and generator.random() < BOUNDARY_SHARE:
        return borders[int(generator.integers(len(borders)))]
    return int(generator.integers(1, len(words)))
