import numpy as np
import pytest

from torchmoji.corpus.duplicates import (
    BANDS,
    BUCKETS,
    Rows,
    RunHasher,
    band_keys,
    bucket_ranges,
    chunk_keys,
    hash_words,
    repeated_rows,
    row_hashes,
    shingles,
)


def rows_of(texts):
    """Word hashes of texts, and the words' lengths."""
    words = [text.split() for text in texts]
    flat = [word for text in words for word in text]
    counts = np.array([len(text) for text in words])
    return Rows(hash_words(flat), counts), np.array([len(word) for word in flat], dtype=np.int64)


def share_a_key(one, two):
    keys, _ = band_keys(*rows_of([one, two]))
    return bool((keys[0] == keys[1]).any())


def test_hashes_of_words_are_blake2b():
    """Expected are the first bytes that `b2sum -l 64` prints, as little-endian numbers."""
    printed = ["24d40f22980b7da2", "cb1abf8beff3192f"]
    expected = [int.from_bytes(bytes.fromhex(digits), "little") for digits in printed]
    assert hash_words(["day", "é"]).tolist() == expected


def test_runs_of_equal_values_have_equal_hashes_wherever_they_stand():
    hasher = RunHasher(np.array([1, 2, 3, 1, 2, 3, 4, 2, 1], dtype=np.uint64))
    one, two, longer, turned = hasher(np.array([0, 3, 3, 7]), np.array([2, 5, 6, 9]))
    assert one == two
    assert len({int(one), int(longer), int(turned)}) == 3


def test_rows_are_told_apart_by_all_their_words_or_the_first_ones():
    rows, _ = rows_of(["a b c", "a b c", "a b d", "a b", ""])
    whole = row_hashes(rows)
    assert whole[0] == whole[1]
    assert len(set(whole.tolist())) == 4
    assert len(set(row_hashes(rows, 2).tolist())) == 2


def test_shingles_are_runs_of_two_words_or_more_with_enough_letters():
    rows, lengths = rows_of(["wonderful morning everybody here", "i do it so", "hi", "", "д о м и к и"])
    assert shingles(rows, lengths).counts.tolist() == [4, 1, 1, 0, 1]


def test_short_texts_that_differ_in_the_last_word_share_no_shingle_but_one():
    rows, lengths = rows_of(["thank you boss", "thank you all"])
    found = shingles(rows, lengths)
    one, two = np.split(found.values, [found.counts[0]])
    assert len(set(one.tolist()) & set(two.tolist())) == 1
    assert len(one) == len(two) == 2


LONG = (
    "we went to the market this morning and bought apples pears plums and a very large melon for the party "
    "that my sister wants to give on saturday when all her friends come back from the sea"
)


def test_nearly_equal_texts_share_a_key():
    assert share_a_key(LONG, LONG)
    assert share_a_key(LONG, f"{LONG} today")
    assert share_a_key(LONG, LONG.replace("we went", "they went"))


@pytest.mark.parametrize(
    "other",
    [
        "it rained the whole day so we stayed at home and read the books that my sister had brought",
        "we went to the cinema and saw a very large and very loud film about apples from outer space",
        "",
    ],
)
def test_other_texts_share_no_key(other):
    keys, rows = band_keys(*rows_of([LONG, other or "x"]))
    assert rows.tolist() == [0, 1]
    assert not (keys[0] == keys[1]).any()


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


def test_rows_without_words_have_no_keys():
    keys, rows = band_keys(*rows_of(["", "good day", ""]))
    assert keys.shape == (1, BANDS)
    assert rows.tolist() == [1]
    assert band_keys(*rows_of(["", ""]))[0].shape == (0, BANDS)


def test_a_chunk_keeps_each_key_once_with_its_first_row():
    exact = np.array([7, 5, 7, 1 << 63], dtype=np.uint64)
    near = (np.arange(4 * BANDS, dtype=np.uint64).reshape(4, BANDS) + np.uint64(100), np.arange(4))
    near[0][3, 2] = near[0][1, 5]
    keys, duplicate, near_duplicate = chunk_keys(exact, near)
    assert np.all(np.diff(keys.keys.astype(object)) > 0)
    assert keys.rows[:2].tolist() == [2, 0]
    assert duplicate.tolist() == [False, False, True, False]
    assert near_duplicate.tolist() == [False, False, False, True]
    assert len(keys.keys) == 4 + 4 * BANDS - 2


def test_buckets_find_keys_by_their_highest_bits():
    keys, _, _ = chunk_keys(np.array([1 << 62, 3, 5], dtype=np.uint64), None)
    assert keys.buckets[[0, 1, BUCKETS // 4, BUCKETS // 4 + 1, BUCKETS]].tolist() == [0, 2, 2, 3, 3]


def test_ranges_cover_all_buckets():
    ranges = bucket_ranges(1000, 300)
    assert ranges == [(0, 1024), (1024, 2048), (2048, 3072), (3072, 4096)]
    assert bucket_ranges(0, 300) == [(0, BUCKETS)]
    assert len(bucket_ranges(10**12, 1)) == BUCKETS


def test_rows_with_a_key_of_an_earlier_chunk_are_found():
    def part(first, keys, rows):
        return first, np.array(keys, dtype=np.uint64), np.array(rows, dtype=np.uint32)

    chunks = [part(0, [3, 4], [0, 3]), part(10, [4, 5], [2, 5]), part(20, [3, 4, 5], [0, 1, 2])]
    # twice the row, and one more for near duplicates
    assert repeated_rows(iter(chunks)).tolist() == [22, 40, 41, 42]
    assert repeated_rows(iter([])).tolist() == []
