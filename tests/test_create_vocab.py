"""torchmoji.create_vocab: counting, saving, merging and extending vocabularies."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.hostile import check_mutations

from torchmoji import global_variables
from torchmoji.create_vocab import (
    MasterVocab,
    VocabBuilder,
    extend_vocab,
    extend_vocab_in_file,
    load_vocabulary,
    load_word_counts,
    rows_of_embedding,
    save_vocabulary,
    spellings_path,
    with_hashtags,
    words_by_id,
)
from torchmoji.filter_utils import load_non_english_user_set, read_users
from torchmoji.global_variables import SPECIAL_TOKENS
from torchmoji.word_generator import WordGenerator

TEXTS = ["the dog sees the cat", "a café counts not", "cat and dog!!!! 😂", "@bob owns 2 cats"]
COUNTS = {"CUSTOM_AT": 1, "CUSTOM_NUMBER": 1, "the": 2, "dog": 2, "sees": 1}
COUNTS |= {"cat": 2, "and": 1, "!!": 1, "owns": 1, "cats": 1}


def counted(texts):
    builder = VocabBuilder(WordGenerator(texts))
    builder.count_all_words()
    return builder


def seen(counts):
    """The words that occur, in order."""
    return {word: count for word, count in counts.items() if count > 0}


def save_counts(path, **counts):
    builder = VocabBuilder(WordGenerator(None))
    builder.word_counts.update(counts)
    return builder.save_vocab(path)


# --- counting


def test_count_all_words_keeps_first_seen_order():
    assert list(seen(counted(TEXTS).word_counts).items()) == list(COUNTS.items())


def test_empty_and_long_words_are_not_counted():
    builder = VocabBuilder(WordGenerator(None))
    builder.count_words_in_sentence(["", "a" * 30, "b" * 31])
    assert seen(builder.word_counts) == {"a" * 30: 1}


def test_get_next_word():
    builder = VocabBuilder(WordGenerator(iter(["", "one two", "three"])))
    assert builder.get_next_word() == (["one", "two"], {})
    assert builder.get_next_word() == (["three"], {})
    with pytest.raises(StopIteration):
        builder.get_next_word()


# --- files of counts


def test_saved_counts_are_read_back_most_frequent_first(tmp_path):
    builder = counted(TEXTS)
    path = builder.save_vocab(tmp_path / "counts.npz")
    counts = load_word_counts(path)
    assert counts == builder.word_counts
    assert list(counts)[:5] == ["the", "dog", "cat", "CUSTOM_AT", "CUSTOM_NUMBER"]
    assert [type(value) for value in next(iter(counts.items()))] == [str, int]


@pytest.mark.parametrize("name", ["counts", "v1.2"])
def test_save_vocab_adds_the_ending(tmp_path, name):
    path = counted(TEXTS).save_vocab(str(tmp_path / name))
    assert [path] == [tmp_path / f"{name}.npz"] == list(tmp_path.iterdir())


def test_counts_of_other_scripts_and_lone_surrogates(tmp_path):
    texts = ["привет 한국어 😂 a\ud83d"]
    builder = VocabBuilder(WordGenerator(texts, allow_unicode_text=True, ignore_emojis=False))
    builder.count_all_words()
    assert load_word_counts(builder.save_vocab(tmp_path / "counts.npz")) == builder.word_counts


def test_counts_of_the_2017_package(tmp_path):
    table = np.array([("dé".encode(), 3), (b"cat", 1)], dtype=[("word", "S30"), ("count", "int64")])
    np.savez_compressed(tmp_path / "old.npz", data=table)
    assert load_word_counts(tmp_path / "old.npz") == {"dé": 3, "cat": 1}


@pytest.mark.parametrize(
    ("arrays", "found"),
    [
        ({"data": np.zeros(3)}, "found an array of float64"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, r"found 2 arrays: a\.npy, b\.npy"),
        ({"data": np.array([{}], dtype=object)}, "of object, but"),
    ],
)
def test_arrays_that_are_no_counts(tmp_path, arrays, found):
    path = tmp_path / "other.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=rf"other\.npz is not a file of word counts: expected .*{found}"):
        load_word_counts(path)
    path.write_bytes(b"the,2\n")
    with pytest.raises(ValueError, match=r"other\.npz is not a file of word counts"):
        load_word_counts(path)


@pytest.mark.parametrize("count", ["nan", "inf"])
def test_counts_are_finite(tmp_path, count):
    np.savez(tmp_path / "c.npz", data=np.array([("a", count)], dtype=[("word", "U30"), ("count", "f8")]))
    with pytest.raises(ValueError, match=r"c\.npz has a count that is no finite number"):
        load_word_counts(tmp_path / "c.npz")


def test_mutated_counts_users_and_vocabularies_are_read_or_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez_compressed("counts.npz", data=np.array([("a", 3)], dtype=[("word", "U30"), ("count", "int64")]))
    np.savez("uids.npz", data=np.arange(20))
    save_vocabulary({"a": 0, "b": 1, "#b": 1}, "vocabulary.json")
    check_mutations(Path("counts.npz"), load_word_counts, (ValueError,))
    check_mutations(Path("uids.npz"), lambda _: load_non_english_user_set(), (ValueError,))
    check_mutations(Path("vocabulary.json"), load_vocabulary, (ValueError,))
    beside = spellings_path("vocabulary.json")
    check_mutations(beside, lambda _: load_vocabulary("vocabulary.json"), (ValueError,))


def test_what_an_array_declares_takes_no_memory(tmp_path):
    header = io.BytesIO()
    about = {"descr": "<i8", "fortran_order": False, "shape": (600_000_000,)}
    np.lib.format.write_array_header_1_0(header, about)
    for name, more in (("declared", b""), ("packed", bytes(1 << 29))):
        with zipfile.ZipFile(tmp_path / f"{name}.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("data.npy", header.getvalue() + more)
        with pytest.raises(ValueError, match=rf"{name}\.npz is not a list of users: .*bytes"):
            read_users(tmp_path / f"{name}.npz", "data")


# --- merging


def test_merged_counts_are_normalised_to_the_largest_source(tmp_path):
    save_counts(tmp_path / "small.npz", dog=3, cat=1, CUSTOM_AT=100)
    save_counts(tmp_path / "large.npz", dog=2, bird=6)
    master = MasterVocab()
    master.populate_master_vocab(tmp_path)
    # special tokens count nowhere: the sizes are 4 and 8
    assert master.master_vocab == {"dog": 2 + 3 * 2, "bird": 6, "cat": 1 * 2}


def test_rare_words_are_left_out_before_normalising(tmp_path):
    save_counts(tmp_path / "a.npz", dog=4, cat=1)
    save_counts(tmp_path / "b.npz", dog=8, bird=2)
    master = MasterVocab()
    master.populate_master_vocab(tmp_path, min_words=2)
    assert master.master_vocab == {"dog": 4 * 10 / 4 + 8, "bird": 2}


def test_force_appearance_takes_words_of_one_source_only(tmp_path):
    save_counts(tmp_path / "tweets.npz", dog=1, cat=1)
    save_counts(tmp_path / "wiki.npz", dog=2, bird=2)
    master = MasterVocab()
    master.populate_master_vocab(tmp_path, force_appearance="tweets")
    assert master.master_vocab == {"dog": 1 * 2 + 2, "cat": 1 * 2}
    with pytest.raises(FileNotFoundError, match=r"no file named like 'news' among tweets\.npz, wiki\.npz"):
        master.populate_master_vocab(tmp_path, force_appearance="news")


def test_sources_by_the_beginning_of_their_paths(tmp_path):
    save_counts(tmp_path / "en_1.npz", dog=1)
    save_counts(tmp_path / "en_2.npz", cat=1)
    save_counts(tmp_path / "de_1.npz", hund=1)
    master = MasterVocab()
    master.populate_master_vocab(str(tmp_path / "en_"))
    assert list(master.master_vocab) == ["dog", "cat"]
    with pytest.raises(FileNotFoundError, match=r"no word counts found at .*fr_\*\.npz"):
        master.populate_master_vocab(tmp_path / "fr_")


def test_master_vocabulary_is_written_by_frequency(tmp_path):
    save_counts(tmp_path / "a.npz", zebra=1, dog=2, apple=1)
    master = MasterVocab()
    master.populate_master_vocab(tmp_path / "a")
    master.save_vocab(tmp_path / "out" / "counts.npz", tmp_path / "out" / "vocabulary.json")
    words = [*SPECIAL_TOKENS, "dog", "zebra", "apple"]  # ties as first seen
    vocabulary = load_vocabulary(tmp_path / "out" / "vocabulary.json")
    assert list(vocabulary.items()) == [(word, index) for index, word in enumerate(words)]
    counts = load_word_counts(tmp_path / "out" / "counts.npz")
    own = [("dog", 2), ("zebra", 1), ("apple", 1)]
    assert list(counts.items()) == [*((token, -1) for token in words[:10]), *own]


def test_word_limit_includes_special_tokens(tmp_path):
    master = MasterVocab()
    with pytest.raises(ValueError, match="room for the 10 special tokens, got 9"):
        master.save_vocab(tmp_path / "counts.npz", tmp_path / "vocabulary.json", word_limit=9)
    assert list(tmp_path.iterdir()) == []
    master.master_vocab = {"rare": 1, "frequent": 5, "other": 2}
    master.save_vocab(tmp_path / "counts.npz", tmp_path / "vocabulary.json", word_limit=12)
    assert list(load_vocabulary(tmp_path / "vocabulary.json"))[10:] == ["frequent", "other"]
    assert list(load_word_counts(tmp_path / "counts.npz"))[10:] == ["frequent", "other"]


# --- vocabulary files


def test_vocabulary_is_read_back_in_its_order(tmp_path):
    vocabulary = {"z": 0, "a": 1, "é": 2, "😂": 3, '"': 4, "\\": 5, "\x00": 6, "\ud83d": 7, "\u2028": 8}
    path = tmp_path / "vocabulary.json"
    save_vocabulary(vocabulary, path)
    assert list(load_vocabulary(path).items()) == list(vocabulary.items())
    assert json.loads(path.read_bytes().decode("ascii")) == vocabulary  # alike in any locale


def test_other_spellings_have_a_file_beside_the_words(tmp_path):
    path, beside = tmp_path / "vocabulary.json", tmp_path / "vocabulary.spellings.json"
    words, spellings = {"a": 0, "é": 1, "#b": 2}, {"#é": 1, "É": 1}
    save_vocabulary({"#é": 1, "a": 0, "É": 1, "é": 1, "#b": 2}, path)
    assert json.loads(path.read_bytes().decode("ascii")) == words
    assert json.loads(beside.read_bytes().decode("ascii")) == spellings
    assert load_vocabulary(path) == {**words, **spellings}
    assert words_by_id(load_vocabulary(path)) == list(words)
    assert extend_vocab_in_file(counted(["c"]), vocab_path=path) == 11  # with the special tokens
    assert load_vocabulary(path)["#é"] == 1
    beside.write_text('{"#z": 99}')
    with pytest.raises(ValueError, match=r"spellings\.json has the id 99, which no word of .*vocabulary"):
        load_vocabulary(path)
    save_vocabulary(words, path)
    assert list(tmp_path.iterdir()) == [path]
    path.write_text(json.dumps({"#é": 0, "é": 0}))  # as older versions wrote it
    assert load_vocabulary(path) == {"#é": 0, "é": 0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('["a"]', "expected a JSON object of word -> id"),
        ('{"a": "0"}', "expected a JSON object of word -> id"),
        ('{"a": 0.5}', "expected a JSON object of word -> id"),
        ('{"a": true}', "expected a JSON object of word -> id"),
        ('{"a": 0', "no valid JSON"),
        ("", "no valid JSON"),
    ],
)
def test_files_that_are_no_vocabulary(tmp_path, content, message):
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"vocabulary\.json is not a vocabulary: {message}"):
        load_vocabulary(path)


# --- extending


@pytest.fixture
def vocabulary():
    return {word: index for index, word in enumerate([*SPECIAL_TOKENS, "the"])}


def test_extension_takes_the_most_frequent_new_words_ties_as_first_seen(vocabulary):
    assert extend_vocab(vocabulary, counted(TEXTS), max_tokens=4) == 4
    assert list(vocabulary.items())[11:] == [("dog", 11), ("cat", 12), ("sees", 13), ("and", 14)]
    with_a_gap = {"a": 0, "b": 2}
    extend_vocab(with_a_gap, counted(TEXTS), 2)
    assert with_a_gap == {"a": 0, "b": 2, "the": 3, "dog": 4}


@pytest.mark.parametrize(("max_tokens", "added"), [(0, 0), (-1, 10_000)])
def test_limits_of_an_extension(vocabulary, max_tokens, added):
    builder = VocabBuilder(WordGenerator(None))
    builder.count_words_in_sentence(f"w{i}" for i in range(10_005))
    assert extend_vocab(vocabulary, builder, max_tokens) == added
    assert len(vocabulary) == 11 + added


def test_extension_in_a_file(tmp_path, vocabulary):
    path = tmp_path / "vocabulary.json"
    save_vocabulary(vocabulary, path)
    assert extend_vocab_in_file(counted(TEXTS), max_tokens=2, vocab_path=path) == 2
    assert load_vocabulary(path) == {**vocabulary, "dog": 11, "cat": 12}


def test_extension_in_a_file_is_by_default_that_of_the_weights(tmp_path, monkeypatch, vocabulary):
    monkeypatch.setenv("TORCHMOJI_HOME", str(tmp_path))
    folder = tmp_path / "deepmoji"
    folder.mkdir()
    (folder / "pytorch_model.bin").touch()
    save_vocabulary(vocabulary, folder / "vocabulary.json")
    assert extend_vocab_in_file(counted(TEXTS), max_tokens=1) == 1
    assert "dog" in json.loads((folder / "vocabulary.json").read_text("utf-8"))


@pytest.mark.parametrize("is_named", [False, True])
def test_the_vocabulary_of_the_default_model_is_not_extended(tmp_path, monkeypatch, vocabulary, is_named):
    path = tmp_path / "vocabulary.json"
    save_vocabulary(vocabulary, path)
    before = path.read_bytes()
    monkeypatch.setenv("TORCHMOJI_HOME", str(tmp_path / "none"))
    monkeypatch.setattr(global_variables, "default_model_directory", lambda: tmp_path)
    with pytest.raises(ValueError, match=r"vocabulary\.json belongs to the default model, .* as vocab_path="):
        extend_vocab_in_file(counted(TEXTS), vocab_path=path if is_named else None)
    assert path.read_bytes() == before


def test_failed_extension_leaves_the_file_alone(tmp_path):
    path = tmp_path / "vocabulary.json"
    path.write_text('{"a": "7"}')
    with pytest.raises(ValueError, match="not a vocabulary"):
        extend_vocab_in_file(counted(TEXTS), vocab_path=path)
    assert path.read_text() == '{"a": "7"}'
    assert list(tmp_path.iterdir()) == [path]


# --- hashtags ---------------------------------------------------------------------------------------------

WORDS = {"CUSTOM_MASK": 0, "CUSTOM_UNKNOWN": 1, "CUSTOM_AT": 2, "love": 3, "#love": 4, "fear": 5, "'s": 6}


def test_hashtags_share_the_ids_of_their_words():
    wide = with_hashtags(WORDS, 10)
    assert wide == {**WORDS, "custom_at": 2, "#fear": 5}
    assert {index: word for word, index in wide.items()} == {index: word for word, index in WORDS.items()}
    assert words_by_id(wide) == words_by_id(WORDS)
    assert rows_of_embedding(wide) == rows_of_embedding(WORDS) == 7
    assert with_hashtags(WORDS, 0) == {**WORDS, "custom_at": 2}


def test_hashtags_are_those_of_the_commonest_words_and_stay():
    words = {"a": 0, "one": 1, "two": 2, "CUSTOM_AT": 3, "three": 4}
    wide = with_hashtags(words, 2)
    assert list(wide.items()) == [
        *(("a", 0), ("#one", 1), ("one", 1), ("#two", 2), ("two", 2)),
        *(("custom_at", 3), ("CUSTOM_AT", 3), ("three", 4)),
    ]
    assert list(with_hashtags(wide, 2).items()) == list(wide.items())
    assert list(with_hashtags(wide, 0).items()) == list(wide.items())
    assert with_hashtags(wide, 3) == {**wide, "#three": 4}
