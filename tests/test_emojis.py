"""torchmoji.emojis: the 64 classes and the choice of the likeliest."""

import unicodedata

import numpy as np
import pytest

from torchmoji.emojis import EMOJIS, Guess, top_emojis


def test_there_are_64_different_single_characters():
    assert len(EMOJIS) == len(set(EMOJIS)) == 64
    assert all(len(emoji) == 1 for emoji in EMOJIS)


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (0, "FACE WITH TEARS OF JOY"),
        (8, "HEAVY BLACK HEART"),
        (24, "BLACK HEART SUIT"),
        (36, "FACE SAVOURING DELICIOUS FOOD"),
        (44, "SMILING FACE WITH HORNS"),
        (47, "WHITE HEART SUIT"),
        (48, "HEADPHONE"),
        (63, "SPARKLES"),
    ],
)
def test_order_of_the_classes(index, name):
    assert unicodedata.name(EMOJIS[index]) == name


def test_best_first():
    probabilities = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]], dtype=np.float32)
    guesses = top_emojis(probabilities, top_k=2, emojis="abc")
    assert [[guess.emoji for guess in row] for row in guesses] == [["b", "c"], ["a", "c"]]
    assert guesses[0][0].probability == pytest.approx(0.6)
    assert type(guesses[0][0].probability) is float


def test_equal_probabilities_keep_the_order_of_the_classes():
    assert top_emojis(np.array([[0.2, 0.4, 0.2, 0.2]]), 4, "abcd")[0] == [
        Guess("b", 0.4),
        Guess("a", 0.2),
        Guess("c", 0.2),
        Guess("d", 0.2),
    ]


def test_five_of_the_64_by_default():
    probabilities = np.zeros((1, 64))
    probabilities[0, [3, 63]] = 0.4, 0.6
    (row,) = top_emojis(probabilities)
    assert [guess.emoji for guess in row] == ["✨", "😭", "😂", "😒", "😩"]


def test_more_than_all():
    assert len(top_emojis(np.zeros((1, 3)), 9, "abc")[0]) == 3


def test_no_texts():
    assert top_emojis(np.zeros((0, 64))) == []


@pytest.mark.parametrize("shape", [(64,), (1, 63), (1, 1, 64)])
def test_wrong_shapes(shape):
    with pytest.raises(ValueError, match=r"expected probabilities of 64 emojis .* got the shape"):
        top_emojis(np.zeros(shape))


def test_top_k_is_positive():
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        top_emojis(np.zeros((1, 64)), 0)
