"""The text half against recorded outputs: of the original programs, and of an independent reimplementation.

`data/tokens.jsonl` holds texts made up for this project. Their expected words were not recorded from this
code but from an independent reimplementation of the original's rules, run on Python 2.7 with emoji 0.4.5 and
text-unidecode 1.0. Records have the keys of the original's recorded outputs: `words` (what
`SentenceTokenizer` uses), `vocab_words` (what vocabulary building uses; left out where an emoji is newer than
emoji 0.4.5) and `tokenize`.
"""

import gzip
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from torchmoji import filter_utils
from torchmoji.create_vocab import VocabBuilder, all_words_in_sentences, extend_vocab, load_vocabulary
from torchmoji.sentence_tokenizer import SentenceTokenizer, coverage
from torchmoji.tokenizer import tokenize
from torchmoji.word_generator import TweetWordGenerator, WordGenerator

OWN_TEXTS = [
    json.loads(line)
    for line in Path(__file__).with_name("data").joinpath("tokens.jsonl").read_text("utf-8").splitlines()
]
RECORDED_TEXTS = {
    "tok_edge_cases": 2500,
    "tok_SS-Youtube": 2142,
    "tok_Olympic": 1012,
    "tok_SE0714": 1250,
    "tok_tweeteval_emoji_val": 5000,
}
NEWER_EMOJI = "♾"  # U+267E came after emoji 0.4.5


def sentence_words(text):
    return WordGenerator(None, allow_unicode_text=True, ignore_emojis=False).get_words(text)


def vocabulary_words(text):
    return WordGenerator(None).get_words(text)


@pytest.fixture(scope="module")
def vocabulary(data_root):
    return load_vocabulary(data_root / "data" / "vocabulary.json")


@pytest.fixture(scope="module")
def recorded(data_root):
    def read(name):
        with gzip.open(data_root / "golden" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    return {name: read(name) for name in RECORDED_TEXTS}


def differences(records, key, function):
    """The records whose `key` is not what `function` gives for their text, with that."""
    return [
        (record["text"], record[key], function(record["text"]))
        for record in records
        if key in record and record[key] != function(record["text"])
    ]


def test_own_texts_are_complete():
    counts = {key: sum(key in record for record in OWN_TEXTS) for key in OWN_TEXTS[0]}
    assert counts == {"text": 160, "words": 160, "vocab_words": 156, "tokenize": 160}


@pytest.mark.parametrize(
    ("key", "function"),
    [("words", sentence_words), ("vocab_words", vocabulary_words), ("tokenize", tokenize)],
)
def test_own_texts(key, function):
    assert differences(OWN_TEXTS, key, function) == []


@pytest.mark.parametrize("name", RECORDED_TEXTS)
def test_recorded_words_and_ids(recorded, vocabulary, name):
    assert len(recorded[name]) == RECORDED_TEXTS[name]
    assert differences(recorded[name], "words", sentence_words) == []
    tokenizer = SentenceTokenizer(vocabulary, 30)
    assert [r for r in recorded[name] if tokenizer.find_tokens(r["words"]) != r["ids"]] == []
    tokens, _, stats = tokenizer.tokenize_sentences([record["text"] for record in recorded[name]])
    assert tokens.tolist() == [(record["ids"] + [0] * 30)[:30] for record in recorded[name]]
    assert stats["valid"] == sum(bool(record["ids"]) for record in recorded[name])


@pytest.mark.parametrize("name", RECORDED_TEXTS)
def test_recorded_vocabulary_words(recorded, name):
    older = [record for record in recorded[name] if NEWER_EMOJI not in record["text"]]
    assert len(recorded[name]) - len(older) == (2 if name == "tok_tweeteval_emoji_val" else 0)
    assert differences(older, "vocab_words", vocabulary_words) == []


def test_emojis_newer_than_the_recording_are_emojis_too(recorded):
    """The original refused both texts because of the emoji that it did not know; we take it out."""
    newer = [record for record in recorded["tok_tweeteval_emoji_val"] if NEWER_EMOJI in record["text"]]
    assert [record["vocab_words"] for record in newer] == [[], []]
    assert [vocabulary_words(record["text"]) for record in newer] == [
        [word for word in record["words"] if word != NEWER_EMOJI] for record in newer
    ]


def test_recorded_tokenize(recorded):
    assert all("tokenize" in record for record in recorded["tok_edge_cases"])
    assert differences(recorded["tok_edge_cases"], "tokenize", tokenize) == []


# --- functions.json


def tweets(lines, options):
    generator = TweetWordGenerator(lines, **options)
    return {"items": generator.generate_array_from_input(), "stats": generator.stats}


def counted(sentences):
    builder = VocabBuilder(WordGenerator(sentences))
    builder.count_all_words()
    return builder


def extended(sentences, max_tokens):
    vocabulary = {"CUSTOM_MASK": 0, "CUSTOM_UNKNOWN": 1, "the": 2}
    return extend_vocab(vocabulary, counted(sentences), max_tokens), vocabulary


def functions(vocabulary):
    """Recorded name -> what to call with the recorded arguments."""
    name = "sentence_tokenizer.SentenceTokenizer(vocabulary.json, 12"
    tokenizer = SentenceTokenizer(vocabulary, 12)

    def tokenized(sentences):
        tokens, _, stats = tokenizer.tokenize_sentences(sentences)
        return {
            "tokens": tokens,
            "dtype": str(tokens.dtype),
            "stats": stats,
            "coverage": pytest.approx(coverage(tokens), abs=1e-12),
        }

    def tokenized_without_custom(sentences):
        chosen = SentenceTokenizer(vocabulary, 12, ignore_sentences_with_only_custom=True)
        tokens, _, stats = chosen.tokenize_sentences(sentences)
        return {"tokens": tokens, "stats": stats}

    def split(sentences, infos, split_parameter, extend_with):
        own = SentenceTokenizer(vocabulary, 12)
        tokens, infos, added = own.split_train_val_test(sentences, infos, split_parameter, extend_with)
        new_words = [word for word in own.vocabulary if word not in vocabulary]
        return {"tokens": tokens, "infos": infos, "added": added, "new_word": new_words}

    plain = (
        "correct_length is_special_token punct_word shorten_word detect_special_tokens process_word "
        "convert_linebreaks convert_nonbreaking_space remove_control_chars remove_variation_selectors "
        "separate_emojis_and_text extract_emojis mostly_english"
    ).split()
    return {f"filter_utils.{name}": getattr(filter_utils, name) for name in plain} | {
        "word_generator.TweetWordGenerator": tweets,
        "create_vocab.VocabBuilder": lambda sentences: counted(sentences).word_counts,
        "create_vocab.extend_vocab": extended,
        "create_vocab.extend_vocab(count only: ties)": lambda *args: extended(*args)[0],
        "create_vocab.all_words_in_sentences": all_words_in_sentences,
        f"{name}).tokenize_sentences": tokenized,
        f"{name}, ignore_sentences_with_only_custom=True).tokenize_sentences": tokenized_without_custom,
        f"{name}).to_sentence": tokenizer.to_sentence,
        f"{name}).split_train_val_test": split,
        "numpy.random.RandomState(42).choice(50, 12) "
        "(first draw of DeepMojiBatchSampler with seed 42)": drawn,
    }


def drawn():
    from torchmoji.training.sampling import DeepMojiBatchSampler

    return next(iter(DeepMojiBatchSampler(np.zeros(50), batch_size=12, epoch_size=12, seed=42)))


def comparable(value):
    """A result as JSON gives it back: lists for tuples and arrays. Keys of dictionaries have no order."""
    if isinstance(value, dict):
        return {key: comparable(part) for key, part in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [comparable(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


FUNCTION_NAMES = list(functions({}))


@pytest.fixture(scope="module")
def calls(data_root):
    records = json.loads((data_root / "golden" / "functions.json").read_text("utf-8"))
    assert len(records) == 277
    by_function = defaultdict(list)
    for record in records:
        by_function[record["function"]].append(record)
    return by_function


def test_recorded_functions_are_all_known(calls):
    assert sorted(calls) == sorted(FUNCTION_NAMES)


@pytest.mark.parametrize("name", FUNCTION_NAMES)
def test_recorded_function(calls, vocabulary, name):
    function = functions(vocabulary)[name]
    for call in calls[name]:
        assert comparable(function(*call["args"])) == call["result"], call["args"]
