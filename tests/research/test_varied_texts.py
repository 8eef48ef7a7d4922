"""research/varied_texts.py: texts made of the parts of others."""

import numpy as np
import pytest
from support.programs import loaded

TEXTS = [
    "I was so happy, but now it rains and I stay in bed all day long with a book",
    "one two three four five six",
    "hello there",
    "word",
    "",
]


@pytest.fixture(scope="module")
def varied(repository):
    """The function."""
    with loaded(repository / "research" / "varied_texts.py") as module:
        yield module.varied


def test_there_are_so_many_and_a_seed_decides_what_they_are(varied):
    first, again, other = (varied(TEXTS, 3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert len(first) == 15
    assert first == again != other
    assert varied(TEXTS, 0, np.random.default_rng(1)) == varied([], 3, np.random.default_rng(1)) == []


def test_the_first_is_a_piece_of_its_text(varied):
    pieces = {varied(TEXTS[:1], 1, np.random.default_rng(seed))[0] for seed in range(200)}
    assert all(piece in TEXTS[0] for piece in pieces)
    counts = {len(piece.split()) for piece in pieces}
    assert counts == {*range(2, 13)}
    for text in TEXTS[2:]:
        assert varied([text], 1, np.random.default_rng(0)) == [text]


def test_the_others_are_a_beginning_and_an_end(varied):
    texts = TEXTS[:2]
    seen = set()
    for seed in range(200):
        for joined in varied(texts, 2, np.random.default_rng(seed))[1::2]:
            words = joined.split()
            fits = [
                (a, b)
                for a in texts
                for b in texts
                for cut in range(1, len(words))
                if a.startswith(" ".join(words[:cut])) and b.endswith(" ".join(words[cut:]))
            ]
            assert fits
            seen.update(fits)
    assert {(texts[0], texts[1]), (texts[1], texts[0])} <= seen


def test_cuts_are_mostly_where_a_part_begins(varied):
    text = "aa bb cc dd ee ff gg hh but ii jj kk ll mm nn oo"
    joined = [varied([text], 2, np.random.default_rng(seed))[1] for seed in range(400)]
    both_at_the_border = sum(words == text for words in joined) / len(joined)
    assert 0.4 < both_at_the_border < 0.65


def test_joined_texts_are_not_endless(varied):
    long = " ".join(f"w{number}" for number in range(300))
    made = varied([long, long], 5, np.random.default_rng(0))
    assert max(len(text.split()) for text in made) == 40
