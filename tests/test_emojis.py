"""torchmoji.emojis: the 64 classes, the choice of the likeliest, and human scores of emotions."""

import unicodedata

import numpy as np
import pytest

from torchmoji.emojis import EMOJIS, EMOTIONS, Guess, alias, emotion_scores, shown, top_emojis


def one_hot(emoji):
    return np.eye(64, dtype=np.float32)[[EMOJIS.index(emoji)]]


def test_there_are_64_different_single_characters_with_names_of_their_own():
    assert len(EMOJIS) == len(set(EMOJIS)) == len({alias(emoji) for emoji in EMOJIS}) == 64
    assert all(len(emoji) == 1 and alias(emoji).isascii() for emoji in EMOJIS)
    assert (alias("♡"), alias("sarcastic")) == ("white_heart_suit", "sarcastic")


def test_hearts_and_hands_are_shown_in_colour_and_nothing_else_changes():
    changed = {name: shown(name) for name in EMOJIS if shown(name) != name}
    assert changed == {name: f"{name}\ufe0f" for name in "❤☺♥✌"}
    for name in ("❤\ufe0f", "♡", "1", "#", ":red_heart:", "so ❤", ""):
        assert shown(name) == name


def test_order_of_the_classes():
    names = {index: unicodedata.name(EMOJIS[index]) for index in (0, 8, 24, 36, 44, 47, 48, 63)}
    assert names == {
        0: "FACE WITH TEARS OF JOY",
        8: "HEAVY BLACK HEART",
        24: "BLACK HEART SUIT",
        36: "FACE SAVOURING DELICIOUS FOOD",
        44: "SMILING FACE WITH HORNS",
        47: "WHITE HEART SUIT",
        48: "HEADPHONE",
        63: "SPARKLES",
    }


def test_best_first_and_equal_ones_in_the_order_of_the_classes():
    assert top_emojis(np.array([[0.2, 0.4, 0.2, 0.2]]), 9, "abcd") == [
        [Guess("b", 0.4), Guess("a", 0.2), Guess("c", 0.2), Guess("d", 0.2)]
    ]
    probabilities = np.zeros((1, 64))
    probabilities[0, [3, 63]] = 0.4, 0.6
    (row,) = top_emojis(probabilities)
    assert [guess.emoji for guess in row] == ["✨", "😭", "😂", "😒", "😩"]
    assert type(row[0].probability) is float
    assert top_emojis(np.zeros((0, 64))) == []


@pytest.mark.parametrize("shape", [(64,), (1, 63), (1, 1, 64)])
def test_wrong_shapes_and_numbers_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected probabilities of 64 emojis .* got the shape"):
        top_emojis(np.zeros(shape))
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        top_emojis(np.zeros((1, 64)), 0)


def test_a_certain_emoji_gives_its_human_scores_and_probabilities_weight_them():
    scores = emotion_scores(np.eye(64, dtype=np.float32), EMOJIS)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (scores.max(axis=1) > 0.1).all()
    assert len(EMOTIONS) == 8
    np.testing.assert_allclose(scores[0], [0, 0.17, 0.06, 0.06, 0.94, 0, 0.33, 0.22], atol=1e-6)
    half = (one_hot("😂") + one_hot("😒")) / 2
    np.testing.assert_allclose(emotion_scores(half, EMOJIS)[0], scores[:2].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(scores[EMOJIS.index("♡")], scores[EMOJIS.index("♥")])


def test_emotions_of_other_classes_are_refused():
    with pytest.raises(ValueError, match=r"no emotion scores for the classes 'yes'"):
        emotion_scores(np.zeros((1, 2), np.float32), ["😂", "yes"])
