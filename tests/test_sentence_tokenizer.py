"""torchmoji.sentence_tokenizer: rows of ids, what may be left out of them, and splits."""

import numpy as np
import pytest

from torchmoji.global_variables import SPECIAL_TOKENS
from torchmoji.sentence_tokenizer import SentenceTokenizer, coverage
from torchmoji.word_generator import WordGenerator

WORDS = [*SPECIAL_TOKENS, "i", "love", "you", "soo", "😂", "é"]
VOCABULARY = {word: index for index, word in enumerate(WORDS)}
ME, LOVE, YOU, SOO, JOY, E_ACUTE = range(10, 16)
NOT_TEXTS = [None, 3, 2.5, b"love", float("nan"), ["love"]]


@pytest.fixture
def tokenizer():
    return SentenceTokenizer(VOCABULARY, 4)


class Labelled(WordGenerator):
    """Takes pairs of a text and a label, leaves out those of label 0 and texts of one word."""

    def __init__(self):
        super().__init__(None, allow_unicode_text=True, ignore_emojis=False)

    def data_preprocess_filtering(self, line, iter_i):
        text, label = line
        return label != 0, text, {"label": label}

    def data_postprocess_filtering(self, words, iter_i):
        return len(words) > 1, words, {"length": len(words)}


LABELLED = [("I love", 1), ("I love you", 0), ("", 2), ("you", 3), ("love you 😂", 4), ("you 😂", 5)]


# --- rows


def test_rows_are_padded_and_cut(tokenizer):
    tokens, infos, stats = tokenizer.tokenize_sentences(["I love you", "", "sooooo! I love you 😂 é"])
    assert tokens.tolist() == [[ME, LOVE, YOU, 0], [0, 0, 0, 0], [SOO, 1, ME, LOVE]]
    assert tokens.dtype == np.uint16
    assert infos == [{}, {}, {}]
    assert stats == {
        "pretokenization_filtered": 0,
        "unicode_filtered": 1,
        "posttokenization_filtered": 0,
        "total": 3,
        "valid": 2,
    }


def test_special_tokens_have_their_ids(tokenizer):
    tokens, _, _ = tokenizer.tokenize_sentences(["@bob www.a.b 12 \n www", "é😂\ufe0f"])
    assert tokens.tolist() == [[2, 1, 4, 5], [E_ACUTE, JOY, 0, 0]]


@pytest.mark.parametrize("blank", ["", " ", "\t\u3000", "\ufe0f", "\ufe0e \ufe0f"])
def test_texts_without_words_keep_their_row(tokenizer, blank):
    tokens, infos, _ = tokenizer.tokenize_sentences([blank, "love", blank, "you", blank])
    assert tokens[:, 0].tolist() == [0, LOVE, 0, YOU, 0]
    assert len(infos) == 5
    assert tokenizer.kept_rows.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("value", NOT_TEXTS)
def test_what_is_no_text_is_named_with_its_position(tokenizer, value):
    with pytest.raises(TypeError, match=f"text 2 is not a string but {type(value).__name__}: .*empty string"):
        tokenizer.tokenize_sentences(["a", "", value, "b"])


@pytest.mark.parametrize(
    "value",
    ["I love you", b"I love you", None, 3, {"love": 1}, {"love"}, np.array("love"), np.array([["love"]])],
)
def test_one_text_is_no_list_of_texts(tokenizer, value):
    with pytest.raises(TypeError, match=f"expected a list of texts, got one {type(value).__name__}"):
        tokenizer.tokenize_sentences(value)


def test_stats_start_from_zero_unless_told_otherwise(tokenizer):
    tokenizer.tokenize_sentences(["love", ""])
    assert tokenizer.tokenize_sentences(["love"])[2]["total"] == 1
    assert tokenizer.tokenize_sentences(["love", ""], reset_stats=False)[2]["total"] == 3


# --- generators of texts


def test_max_sentences_of_a_generator(tokenizer):
    with pytest.raises(ValueError, match=r"texts without a length .* need max_sentences"):
        tokenizer.tokenize_sentences(text for text in ["love"])
    with pytest.raises(ValueError, match="max_sentences must be at least 0, got -1"):
        tokenizer.tokenize_sentences(["love"], max_sentences=-1)
    texts = iter(["love", "", "you", "I"])
    assert tokenizer.tokenize_sentences(texts, max_sentences=3)[0][:, 0].tolist() == [LOVE, 0, YOU]
    assert next(texts) == "I"


def test_max_sentences_counts_rows():
    """As in 2017, where it was the size of the array: texts that are left out do not count."""
    tokenizer = SentenceTokenizer(VOCABULARY, 4, custom_wordgen=Labelled())
    assert len(tokenizer.tokenize_sentences(iter(LABELLED), max_sentences=2)[0]) == 2
    assert tokenizer.kept_rows.tolist() == [0, 4]


# --- ids


@pytest.mark.parametrize(
    ("highest", "dtype"), [(0, np.uint16), (65_535, np.uint16), (65_536, np.uint32), (2**32, np.uint64)]
)
def test_smallest_type_that_holds_all_ids(highest, dtype):
    tokens, _, _ = SentenceTokenizer({"a": highest}, 1).tokenize_sentences(["a"])
    assert tokens.dtype == dtype
    assert tokens.tolist() == [[highest]]


def test_own_masking_and_unknown_values():
    tokenizer = SentenceTokenizer(VOCABULARY, 3, masking_value=70_000, unknown_value=99)
    tokens, _, _ = tokenizer.tokenize_sentences(["love it"])
    assert tokens.tolist() == [[LOVE, 99, 70_000]]
    assert tokenizer.to_sentence([LOVE, 70_000]) == "love"


def test_to_sentence(tokenizer):
    tokens, _, _ = tokenizer.tokenize_sentences(["I love 12"])
    assert tokenizer.to_sentence(tokens[0]) == "i love CUSTOM_NUMBER"
    with pytest.raises(KeyError, match="none of the 16 words has the id 16"):
        tokenizer.to_sentence([LOVE, 16])


# --- what may be left out


def test_custom_word_generator_drops_rows_and_says_so():
    tokenizer = SentenceTokenizer(VOCABULARY, 4, custom_wordgen=Labelled())
    tokens, infos, stats = tokenizer.tokenize_sentences(LABELLED)
    assert tokens.tolist() == [[ME, LOVE, 0, 0], [LOVE, YOU, JOY, 0], [YOU, JOY, 0, 0]]
    assert infos == [{"label": 1, "length": 2}, {"label": 4, "length": 3}, {"label": 5, "length": 2}]
    assert tokenizer.kept_rows.tolist() == [0, 4, 5]
    assert stats == {
        "pretokenization_filtered": 1,
        "unicode_filtered": 1,
        "posttokenization_filtered": 1,
        "total": 6,
        "valid": 3,
    }


def test_texts_of_only_special_tokens_can_be_left_out():
    tokenizer = SentenceTokenizer(VOCABULARY, 2, ignore_sentences_with_only_custom=True)
    tokens, infos, stats = tokenizer.tokenize_sentences(["@bob 12", "love", "", "unknown", "12 you"])
    assert tokens.tolist() == [[LOVE, 0], [4, YOU]]
    assert len(infos) == 2
    assert tokenizer.kept_rows.tolist() == [1, 4]
    assert (stats["total"], stats["valid"]) == (5, 4)


# --- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        *(((VOCABULARY, n), ValueError, f"positive number of tokens, got {n!r}") for n in (0, 2.0, "30")),
        *(((words, 3), TypeError, "must map words to ids, got .*load_voc") for words in (["a"], "v.json")),
        *((({"love": i}, 3), ValueError, "id of 'love' must be a whole") for i in ("2", -1, 1.0)),
        ((VOCABULARY, 4, WordGenerator(["love"])), ValueError, "has a stream already; make it with stream"),
    ],
)
def test_wrong_tokenizers_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        SentenceTokenizer(*arguments)


# --- splits

TEXTS = [f"w{i} love" for i in range(40)]
LABELS = list(range(40))


def test_split_by_shares(tokenizer):
    texts, infos, added = tokenizer.split_train_val_test(TEXTS, LABELS)
    assert [part.shape for part in texts] == [(28, 4), (4, 4), (8, 4)]
    assert sorted(np.concatenate(infos).tolist()) == LABELS
    assert added == 0


def test_split_keeps_texts_and_infos_together():
    vocabulary = {f"t{chr(97 + i)}": i + 10 for i in range(20)}
    tokenizer = SentenceTokenizer(vocabulary, 1)
    ids = list(vocabulary.values())
    texts, infos, _ = tokenizer.split_train_val_test(list(vocabulary), ids, [0.5, 0.2, 0.3])
    assert [part[:, 0].tolist() for part in texts] == [part.tolist() for part in infos]
    assert [len(part) for part in infos] == [10, 4, 6]


def test_split_is_the_same_for_a_seed(tokenizer):
    splits = [tokenizer.split_train_val_test(TEXTS, LABELS, seed=seed)[1] for seed in (1, 1, 2)]
    assert [part.tolist() for part in splits[0]] == [part.tolist() for part in splits[1]]
    assert [part.tolist() for part in splits[0]] != [part.tolist() for part in splits[2]]


def test_split_leaves_the_global_generator_alone(tokenizer):
    state = np.random.get_state()  # noqa: NPY002  the generator that must not be used
    tokenizer.split_train_val_test(TEXTS, LABELS)
    assert all(np.array_equal(a, b) for a, b in zip(state, np.random.get_state(), strict=True))  # noqa: NPY002


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_split_by_positions(tokenizer, kind):
    parts = [kind([3, 0]), kind([]), kind([2, 2])]
    infos = [{"label": i} for i in range(4)]
    texts, infos, _ = tokenizer.split_train_val_test(["I", "love", "you", "😂"], infos, parts)
    assert [part[:, 0].tolist() for part in texts] == [[JOY, ME], [], [YOU, YOU]]
    assert [[info["label"] for info in part] for part in infos] == [[3, 0], [], [2, 2]]


def test_split_adds_the_most_frequent_words_of_the_training_part(tokenizer):
    sentences = ["new new word", "new other", "test test test"]
    texts, _, added = tokenizer.split_train_val_test(sentences, [0, 1, 2], [[0, 1], [2], [2]], extend_with=2)
    assert added == 2
    assert list(tokenizer.vocabulary.items())[16:] == [("new", 16), ("word", 17)]
    assert texts[0].tolist() == [[16, 16, 17, 0], [16, 1, 0, 0]]
    assert texts[2].tolist() == [[1, 1, 1, 0]]


def test_split_with_a_word_generator_that_drops_rows():
    tokenizer = SentenceTokenizer(VOCABULARY, 3, custom_wordgen=Labelled())
    infos = list("abcdef")
    texts, infos, _ = tokenizer.split_train_val_test(LABELLED, infos, [[0, 1], [2, 3], [5, 4, 3]])
    assert [len(part) for part in texts] == [1, 0, 2]
    assert [part.tolist() for part in infos] == [["a"], [], ["f", "e"]]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ([0.7, 0.1, 0.1], "must be three lists or three shares that sum to 1"),
        ([1.5, -0.7, 0.2], "must be three lists or three shares that sum to 1"),
        ([[0], 0.5, 0.5], "must be three lists or three shares that sum to 1"),
        ([0.8, 0.2], "needs three entries"),
        *(
            ([[0], [1], [p]], f"positions of 40 texts, from 0 on; got .*{p}")
            for p in (40, -1, 1.5, True, "1")
        ),
    ],
)
def test_wrong_splits_are_refused(tokenizer, split, message):
    with pytest.raises(ValueError, match=message):
        tokenizer.split_train_val_test(TEXTS, LABELS, split)


def test_splits_of_too_few_texts_or_infos_are_refused(tokenizer):
    with pytest.raises(ValueError, match="2 texts are too few to split"):
        tokenizer.split_train_val_test(["love", "you"], [0, 1])
    with pytest.raises(ValueError, match="40 texts need as many infos, got 39"):
        tokenizer.split_train_val_test(TEXTS, LABELS[1:])


@pytest.mark.parametrize("extend_with", [0, 5])
def test_split_names_the_position_in_the_whole_list(tokenizer, extend_with):
    with pytest.raises(TypeError, match="text 17 is not a string but NoneType"):
        tokenizer.split_train_val_test([*TEXTS[:17], None, *TEXTS[18:]], LABELS, extend_with=extend_with)


# --- coverage


def test_coverage_is_the_share_of_known_words():
    assert coverage(np.array([[5, 1, 0, 0], [7, 8, 0, 0]])) == pytest.approx(0.75)
    with pytest.raises(ValueError, match="at least one token, got only padding"):
        coverage(np.zeros((2, 3), dtype=int))
