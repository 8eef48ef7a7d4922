from judged_texts import JUDGED_TEXTS

from torchmoji.emojis import EMOJIS


def test_what_a_reader_accepts_can_be_guessed():
    assert all(judged.accepted and judged.accepted <= set(EMOJIS) for judged in JUDGED_TEXTS)


def test_no_guess_is_right_for_most_sentences():
    for emoji in EMOJIS:
        right = sum(emoji in judged.accepted for judged in JUDGED_TEXTS)
        assert right < len(JUDGED_TEXTS) / 2, emoji


def test_sentences_are_different():
    texts = [judged.text for judged in JUDGED_TEXTS]
    assert len(set(texts)) == len(texts) >= 40
