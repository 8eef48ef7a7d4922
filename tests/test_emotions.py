import numpy as np
import pytest

from torchmoji.emojis import EMOJIS, EMOTIONS, alias, emotion_scores


def one_hot(emoji):
    return np.eye(64, dtype=np.float32)[[EMOJIS.index(emoji)]]


def test_a_certain_emoji_gives_its_human_scores():
    got = dict(zip(EMOTIONS, emotion_scores(one_hot("😂"), EMOJIS)[0].tolist(), strict=True))
    assert got == pytest.approx(
        dict(zip(EMOTIONS, (0, 0.17, 0.06, 0.06, 0.94, 0, 0.33, 0.22), strict=True)), abs=1e-6
    )


def test_probabilities_weight_the_scores():
    half = (one_hot("😂") + one_hot("😒")) / 2
    expected = (emotion_scores(one_hot("😂"), EMOJIS) + emotion_scores(one_hot("😒"), EMOJIS)) / 2
    np.testing.assert_allclose(emotion_scores(half, EMOJIS), expected, atol=1e-6)


def test_the_white_heart_takes_the_scores_of_the_heart():
    np.testing.assert_array_equal(emotion_scores(one_hot("♡"), EMOJIS), emotion_scores(one_hot("♥"), EMOJIS))


def test_every_emoji_has_scores_and_a_name_of_its_own():
    scores = emotion_scores(np.eye(64, dtype=np.float32), EMOJIS)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (scores.max(axis=1) > 0.1).all()
    names = [alias(emoji) for emoji in EMOJIS]
    assert len(set(names)) == 64
    assert all(name.isascii() for name in names)
    assert alias("♡") == "white_heart_suit"
    assert alias("sarcastic") == "sarcastic"


def test_other_classes_are_refused():
    with pytest.raises(ValueError, match=r"no emotion scores for the classes 'yes'"):
        emotion_scores(np.zeros((1, 2), np.float32), ["😂", "yes"])
