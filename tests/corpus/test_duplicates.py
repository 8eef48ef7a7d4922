import numpy as np

from torchmoji.corpus.duplicates import band_keys, find_repeats, hash_words, shingles
from torchmoji.corpus.shards import Ragged


def rows_of(texts):
    """Word hashes of texts, and the words' lengths."""
    words = [text.split() for text in texts]
    flat = [word for text in words for word in text]
    counts = np.array([len(text) for text in words])
    return Ragged(hash_words(flat), counts), np.array([len(word) for word in flat], dtype=np.int64)


def share_a_key(one, two):
    keys = band_keys(*rows_of([one, two]))
    return bool((keys[0] == keys[1]).any())


def test_hashes_of_words_are_blake2b():
    """Expected are the first bytes that `b2sum -l 64` prints, as little-endian numbers."""
    printed = ["24d40f22980b7da2", "cb1abf8beff3192f"]
    expected = [int.from_bytes(bytes.fromhex(digits), "little") for digits in printed]
    assert hash_words(["day", "é"]).tolist() == expected


def test_shingles_are_runs_of_two_words_or_more_with_enough_letters():
    rows, lengths = rows_of(["wonderful morning everybody here", "i do it so", "hi", "", "д о м и к и"])
    assert shingles(rows, lengths).counts.tolist() == [4, 1, 1, 0, 1]


def test_the_chance_to_share_a_key_rises_steeply_with_similarity():
    random = np.random.default_rng(0)

    def found(changed):
        hits = 0
        for _ in range(100):
            words = [f"word{number}" for number in random.integers(0, 10**9, 60)]
            others = list(words)
            for place in random.choice(59, changed, replace=False):
                others[place] = f"other{place}"
            hits += share_a_key(" ".join(words), " ".join(others))
        return hits

    assert found(1) >= 95  # 58 of 62 shingles in common
    assert found(20) <= 5  # about a third of them


def test_a_text_with_a_key_of_an_earlier_one_is_a_repeat():
    exact = [7, 5, 7, 1 << 63, 5]
    near = [[11, 12], [13, 14], [15, 16], [17, 14], [13, 14]]
    keys = np.column_stack([np.array(exact, dtype=np.uint64), np.array(near, dtype=np.uint64)])
    no, yes = False, True
    assert find_repeats(keys).tolist() == [[no, no, yes, no, yes], [no, no, no, yes, no]]
    assert find_repeats(keys[:, :1]).tolist() == [[no, no, yes, no, yes], [no] * 5]
    assert find_repeats(keys[:, :0]).tolist() == [[no] * 5] * 2
    assert find_repeats(keys[:0]).shape == (2, 0)
