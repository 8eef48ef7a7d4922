import gzip

import numpy as np
import pytest

from torchmoji.corpus import batches, build_vocabulary, make_corpus, read_labelled_texts, word_lists
from torchmoji.global_variables import SPECIAL_TOKENS

VOCABULARY = {"CUSTOM_MASK": 0, "CUSTOM_UNKNOWN": 1, "good": 2, "day": 3}


def test_lines_are_read_as_classes_and_text(tmp_path):
    path = tmp_path / "texts.tsv.gz"
    path.write_bytes(gzip.compress("3,51\tgood\tday\n0\tbad\u2028day\n".encode()))
    assert read_labelled_texts(path, 64) == (["good\tday", "bad\u2028day"], [[3, 51], [0]])


@pytest.mark.parametrize(
    "line", ["good day", "x\tgood day", "64\tgood day", "-1\tgood day", "\tgood day", "1,\tday"]
)
def test_a_wrong_line_is_named(tmp_path, line):
    path = tmp_path / "texts.tsv"
    path.write_text(f"0\tfine\n{line}\n")
    with pytest.raises(ValueError, match=r"texts\.tsv, line 2: expected classes from 0 to 63"):
        read_labelled_texts(path, 64)


def test_words_are_those_of_the_sentence_tokenizer():
    assert word_lists(["Soooo 😂 @me", ""]) == [["soo", "😂", "CUSTOM_AT"], []]


def test_the_vocabulary_has_special_tokens_then_words_by_frequency():
    words = [["b", "a"], ["a", "c", "CUSTOM_AT"], ["c", "a"]]
    assert list(build_vocabulary(words, 12)) == [*SPECIAL_TOKENS, "a", "c"]
    assert list(build_vocabulary(words, 13).values()) == list(range(13))


def test_too_few_words_for_a_vocabulary_are_refused():
    with pytest.raises(ValueError, match="11 different words, too few for a vocabulary of 12"):
        build_vocabulary([["a"]], 12)


def test_a_corpus_leaves_out_texts_without_words_and_gives_padded_batches():
    corpus = make_corpus([["good", "day", "sir"], [], ["day"]], [[1, 2], [3], [4]], VOCABULARY)
    ids, owners, classes = corpus.batch(np.array([1, 0]))
    assert ids.tolist() == [[3, 0, 0], [2, 3, 1]]
    assert owners.tolist() == [0, 1, 1]
    assert classes.tolist() == [4, 1, 2]
    assert corpus.lengths.tolist() == [3, 1]


def test_a_batch_can_cut_long_texts():
    corpus = make_corpus([["good", "day", "sir"]], [[1]], VOCABULARY)
    assert corpus.batch(np.array([0]), max_length=2)[0].tolist() == [[2, 3]]


def test_a_pass_sees_every_text_once_in_batches_of_like_length():
    lengths = np.random.default_rng(0).integers(1, 30, 500)
    corpus = make_corpus([["day"] * length for length in lengths], [[0]] * 500, VOCABULARY)
    first = batches(corpus, 32, seed=1, epoch=0)
    assert sorted(np.concatenate(first).tolist()) == list(range(500))
    assert np.mean([np.ptp(lengths[rows]) for rows in first]) < 5
    again = batches(corpus, 32, seed=1, epoch=0)
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first[0], batches(corpus, 32, seed=1, epoch=1)[0])
