"""`build_corpus` as a whole: what it takes and leaves out, the same bytes each time, the manifest."""

import gzip
import hashlib
import json
import re
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from support.python import python
from support.small_corpus import EMOJIS, files_of, rules, texts, write_texts

from torchmoji.corpus.build import CorpusSettings, build_corpus
from torchmoji.corpus.reading import Columns
from torchmoji.corpus.shards import Corpus, shard_texts
from torchmoji.create_vocab import load_vocabulary
from torchmoji.global_variables import SPECIAL_TOKENS
from torchmoji.sentence_tokenizer import SentenceTokenizer


def build(tmp_path, lines, settings=None, **options):
    tmp_path.mkdir(exist_ok=True)
    path = write_texts(tmp_path / "texts.txt", lines)
    settings = settings or CorpusSettings(rules=rules(), min_count=1)
    build_corpus(path, tmp_path / "corpus", settings, **{"workers": 1, **options})
    return Corpus.load(tmp_path / "corpus")


def rows_of(corpus, split="train"):
    """Words and emojis of each text."""
    words = {index: word for word, index in corpus.vocabulary.items()}
    rows, found = corpus.rows(split), []
    for number in range(len(rows)):
        ids = rows.token_ids(np.array([number]))[0]
        labels = rows.labels(np.array([number]))[1]
        found.append((" ".join(words[index] for index in ids), "".join(EMOJIS[index] for index in labels)))
    return found


def test_emojis_become_labels_and_the_rest_tokens(tmp_path):
    corpus = build(tmp_path, ["So FUNNY 😂😂", "sad and in love 😭❤️ 🦖", "angry 😡🏽"])
    assert rows_of(corpus) == [("so funny", "😂"), ("sad and in love 🦖", "😭❤"), ("angry", "😡")]


def test_emoticons_may_be_labels_and_emojis_be_put_back(tmp_path):
    lines = ["so funny xD 😡", "no emoji here :'(", "see http://x.y :/"]
    emoticons = CorpusSettings(rules=rules(emoticons=True, keep_links=True), min_count=1)
    assert rows_of(build(tmp_path / "1", lines, emoticons)) == [("so funny", "😂😡"), ("no emoji here", "😭")]
    held_out = write_texts(tmp_path / "valid.txt", lines[:1])
    put_in = CorpusSettings(rules=rules(put_in=1), min_count=1)
    corpus = build(tmp_path / "2", ["fun 😂", "rage 😡"], put_in, validation_inputs=held_out)
    (fun, _), (rage, _) = rows_of(corpus)
    assert fun.split()[1] in ("😂", "xd", ":')")
    assert rage.split()[1] in ("😡", ">:(", ">:-(", ">:/", ":")
    assert not any("😡" in words for words, _ in rows_of(corpus, "validation"))
    with pytest.raises(ValueError, match="put_in must be a share from 0 to 1, got 2"):
        rules(put_in=2)


def test_what_is_put_in_decides_no_duplicate_and_is_in_no_validation_text(tmp_path):
    words = list(map("".join, product("bcdfg", "aeiou", "klmnp", "aeiou")))
    plain = [" ".join(words[start : start + 8]) for start in range(0, 320, 8)]
    lines = [f"{text} 😂😡" for text in plain] + [f"{text.upper()} 😂😡" for text in plain]
    held_out = write_texts(tmp_path / "valid.txt", lines[:20])
    for put_in in (0, 1):
        settings = CorpusSettings(rules(put_in=put_in), min_count=1, validation=0.5, keep_text=True)
        corpus = build(tmp_path / str(put_in), lines, settings, validation_inputs=held_out)
        train, validation = (list(shard_texts(corpus.shard_paths(name))) for name in ("train", "validation"))
        assert len(train) + len(validation) == 40
        assert {text.strip().lower() in plain for text in validation} == {True}
        assert {text.strip().lower() in plain for text in train} == {not put_in}


def test_texts_of_held_out_files_are_left_out_whatever_their_emojis_are(tmp_path):
    held_out = write_texts(tmp_path / "valid.txt", ["such a day 😂", "other words 😡"])
    settings = CorpusSettings(rules=rules(keep_duplicates=True), min_count=1)
    lines = ["Such a day 😭", "other words 😡", "new words 😂"]
    corpus = build(tmp_path, lines, settings, validation_inputs=held_out)
    assert rows_of(corpus) == [("new words", "😂")]


def test_emoticons_written_as_entities_are_found(tmp_path):
    lines = ["love you &lt;3", "(he said &quot;hi&quot;) 😂"]
    settings = CorpusSettings(rules=rules(emoticons=True), min_count=1)
    assert [emojis for _, emojis in rows_of(build(tmp_path, lines, settings))] == ["❤", "😂"]


def test_tokens_are_those_of_the_sentence_tokenizer(tmp_path):
    lines = ["Soooo goooood @me 12 #day isn't it... naïve ❤️ ça va?", "I &amp; you &lt;3 \\n ok 😂"]
    corpus = build(tmp_path, lines)
    cleaned = ["Soooo goooood @me 12 #day isn't it... naïve   ça va?", "I & you <3 \\n ok  "]
    expected, _, _ = SentenceTokenizer(corpus.vocabulary, 40).tokenize_sentences(cleaned)
    found = corpus.rows("train").token_ids(np.arange(2))
    assert np.array_equal(found, expected[:, : found.shape[1]])
    assert not expected[:, found.shape[1] :].any()


def test_each_rule_has_its_count(tmp_path):
    lines = [
        *("fine day today 😂", "no emoji", "RT it is so 😂", "see www.a.b 😂"),
        *("@me hello you 😂", "!!! 12 😂"),
        *("fine day today 😂", "Fine day today!! 😂😂", "FINE day today 😂"),
        *("fine day today 😭", "quiero mucho gato 😂"),
    ]
    settings = CorpusSettings(rules=rules(keep_mentions=False, language="en"), min_count=1)
    corpus = build(tmp_path, lines, settings)
    assert corpus.manifest["counts"] == {
        "texts": 11,
        "texts_of_inputs": [11],
        "bad_lines": 0,
        "kept": 2,
        "dropped": {
            **{"no_emoji": 1, "retweet": 1, "link": 1, "mention": 1, "few_words": 1, "language": 1},
            **{"duplicate": 2, "near_duplicate": 1},
        },
    }
    assert rows_of(corpus) == [("fine day today", "😂"), ("fine day today", "😭")]
    for keep, kept in (("keep_near_duplicates", 2), ("keep_duplicates", 3)):
        settings = CorpusSettings(rules=rules(**{keep: True}), min_count=1)
        lines = ["fine day today 😂", "Fine day today!! 😂", "fine day today 😂"]
        assert len(build(tmp_path / keep, lines, settings).rows("train")) == kept


def test_a_file_of_words_tells_any_language(tmp_path):
    words = tmp_path / "words.txt"
    for known, right, wrong in (
        ("für\nmich\nschön\ngrüße\nüber", "Grüße für mich, so schön!", "det är så förfärligt"),
        ("это\nочень\nхорошо", "Это очень хорошо", "це дуже добре"),
        ("我\n很\n高\n兴", "我很高兴。", "とても嬉しい"),
    ):
        words.write_text(known, encoding="utf-8")
        settings = CorpusSettings(rules=rules(language=str(words)), min_count=1, keep_text=True)
        corpus = build(tmp_path, [f"{right} 😂", f"{wrong} 😂"], settings, force=True)
        assert [text.strip() for text in shard_texts(corpus.shard_paths("train"))] == [right]


def test_the_vocabulary_is_by_frequency_then_by_code_points_and_has_its_limits(tmp_path):
    corpus = build(tmp_path / "all", ["b a c 😂", "a c é 😭", f"{'xy' * 16} @me 5 😡"])
    assert list(corpus.vocabulary) == [*SPECIAL_TOKENS, "a", "c", "b", "é"]
    lines = ["b a c a 😂", "a c d 😭"]
    assert list(build(tmp_path / "one", lines, CorpusSettings(rules=rules())).vocabulary)[10:] == ["a", "c"]
    corpus = build(tmp_path / "two", lines, CorpusSettings(rules=rules(), min_count=1, nb_tokens=11))
    assert list(corpus.vocabulary)[10:] == ["a"]
    assert corpus.rows("train").token_ids(np.arange(2)).tolist() == [[1, 10, 1, 10], [10, 1, 1, 0]]
    assert corpus.manifest["splits"]["train"]["known_tokens"] == round(3 / 7, 6)


def test_hashtags_may_share_the_ids_of_their_words(tmp_path):
    lines = ["love is love #love 😂", "#is it #love #it 😭"]
    limits = {"rules": rules(), "min_count": 2}
    few = build(tmp_path / "few", lines, CorpusSettings(**limits))
    shared = build(tmp_path / "shared", lines, CorpusSettings(**limits, hashtags=10))
    assert few.nb_tokens == shared.nb_tokens == 12
    assert list(few.vocabulary)[10:] == ["#love", "love"]
    assert [shared.vocabulary[word] for word in ("#love", "love")] == [10, 11]
    assert shared.manifest["vocabulary"]["words"] == 12
    more = build(tmp_path / "more", ["fear me fear 😂", "#fear 😭"], CorpusSettings(**limits, hashtags=10))
    assert more.vocabulary["#fear"] == more.vocabulary["fear"] == 10
    assert more.rows("train").token_ids(np.arange(2)).tolist() == [[10, 1, 10], [10, 0, 0]]
    assert more.manifest["splits"]["train"]["known_tokens"] == 0.75


def test_the_split_has_about_the_wanted_size_and_is_the_same_for_texts_that_begin_alike(tmp_path):
    start = "this is how ten words of a text can begin"
    lines = [f"{start} {number} and {'x' * (number % 9)} goes on 😂" for number in range(20)]
    settings = CorpusSettings(rules=rules(keep_duplicates=True), validation=0.25, min_count=1)
    corpus = build(tmp_path, [*texts(400), *lines], settings)
    held_out = [words for words, _ in rows_of(corpus, "validation")]
    assert 60 <= sum(start not in words for words in held_out) <= 140
    assert sum(start in words for words in held_out) in (0, 20)
    trained = {word for words, _ in rows_of(corpus) for word in words.split()}
    assert set(corpus.vocabulary) - set(SPECIAL_TOKENS) == trained - set(SPECIAL_TOKENS)


def test_own_validation_texts_are_all_held_out_and_training_has_none_like_them(tmp_path):
    path = write_texts(tmp_path / "valid.txt", ["fine day today 😂", "fine day today 😂", "all is well 😭"])
    corpus = build(tmp_path, ["FINE day today! 😂", "another day 😭"], validation_inputs=path)
    assert [words for words, _ in rows_of(corpus, "validation")] == [
        *("CUSTOM_UNKNOWN day CUSTOM_UNKNOWN",) * 2,
        "CUSTOM_UNKNOWN CUSTOM_UNKNOWN CUSTOM_UNKNOWN",
    ]
    assert rows_of(corpus) == [("another day", "😭")]
    assert [entry["held_out"] for entry in corpus.manifest["inputs"]] == [True, False]


def test_labels_may_be_in_a_column(tmp_path):
    path = tmp_path / "labelled.tsv.gz"
    path.write_bytes(gzip.compress("3,1\tgood day 😡\n0\tfine\tday\n".encode()))
    settings = CorpusSettings(rules=rules(), columns=Columns("2", "1", header=False), min_count=1)
    build_corpus(path, tmp_path / "corpus", settings, workers=1)
    assert rows_of(Corpus.load(tmp_path / "corpus")) == [("good day", "😭😡"), ("fine day", "😂")]


def test_a_wrong_label_is_named_by_file_and_line_or_counted(tmp_path):
    path = tmp_path / "labelled.csv"
    path.write_text("text,label\ngood day,1\nbad day,joy\n")
    settings = CorpusSettings(rules=rules(), columns=Columns(labels="label"), min_count=1)
    with pytest.raises(ValueError, match=r"labelled\.csv, line 3, has the label 'joy', neither a class"):
        build_corpus(path, tmp_path / "corpus", settings, workers=1)
    skipping = replace(settings, skip_bad_lines=True)
    counts = build_corpus(path, tmp_path / "other", skipping, workers=1)["counts"]
    assert (counts["texts"], counts["bad_lines"], counts["kept"]) == (1, 1, 1)


def test_the_same_texts_in_other_formats_give_the_same_shards(tmp_path):
    lines = texts(60)
    (tmp_path / "texts.csv").write_text("text\n" + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    pyarrow.parquet.write_table(pa.table({"text": lines}), tmp_path / "texts.parquet")
    with pa.CompressedOutputStream(str(tmp_path / "lines.txt.zst"), "zstd") as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
    shards = set()
    for name in ("texts.csv", "texts.jsonl", "texts.parquet", "lines.txt.zst"):
        out = tmp_path / name.replace(".", "-")
        manifest = build_corpus(tmp_path / name, out, CorpusSettings(rules=rules()), workers=1)
        shards.add(manifest["splits"]["train"]["shards"][0]["sha256"])
    assert len(shards) == 1


def test_bytes_depend_neither_on_workers_nor_on_chunks(tmp_path):
    lines = [*texts(300), "So FUNNY &amp; so on 😂", *texts(100)]
    path = write_texts(tmp_path / "texts.txt", lines)
    settings = CorpusSettings(rules=rules(), validation=0.1, keep_text=True)
    found = []
    for workers, chunk_bytes in ((1, 1 << 20), (1, 900), (2, 4000)):
        out = tmp_path / f"{workers}-{chunk_bytes}"
        manifest = build_corpus(path, out, settings, workers=workers, chunk_bytes=chunk_bytes)
        found.append(files_of(out))
    names = ["manifest.json", "train-00000.arrow", "validation-00000.arrow", "vocabulary.json"]
    assert sorted(found[0]) == names
    assert found[0] == found[1] == found[2]
    assert manifest["counts"]["dropped"]["duplicate"] >= 100
    assert "So FUNNY & so on  " in shard_texts([out / "train-00000.arrow", out / "validation-00000.arrow"])


def test_the_manifest_counts_emojis_and_has_checksums(tmp_path):
    corpus = build(tmp_path, ["so funny 😂", "sad and funny 😭😂"])
    train = corpus.manifest["splits"]["train"]
    assert (train["rows"], train["samples"], train["tokens"]) == (2, 3, 5)
    assert train["emojis"] == {"😂": 2, "😭": 1, "❤": 0, "😡": 0}
    (shard,) = train["shards"]
    assert shard["sha256"] == hashlib.sha256((corpus.folder / shard["file"]).read_bytes()).hexdigest()
    (entry,) = corpus.manifest["inputs"]
    assert entry["name"] == "texts.txt"
    assert entry["sha256"] == hashlib.sha256((tmp_path / "texts.txt").read_bytes()).hexdigest()
    assert {"torchmoji", "numpy", "pyarrow", "emoji", "unicode"} <= set(corpus.manifest["versions"])
    vocabulary = (corpus.folder / "vocabulary.json").read_bytes()
    assert corpus.manifest["vocabulary"]["sha256"] == hashlib.sha256(vocabulary).hexdigest()
    assert load_vocabulary(corpus.folder / "vocabulary.json") == corpus.vocabulary


def test_many_words_take_wider_ids(tmp_path, monkeypatch):
    monkeypatch.setattr("torchmoji.corpus.build.MOST_NARROW_IDS", 12)
    corpus = build(tmp_path, ["a b c 😂"])
    assert corpus.rows("train").token_ids(np.array([0])).tolist() == [[10, 11, 12]]
    schema = pa.ipc.open_file(corpus.folder / "train-00000.arrow").schema
    assert schema.field("tokens").type == pa.list_(pa.uint32())


def test_other_files_in_the_folder_stay(tmp_path):
    other = [tmp_path / "corpus" / name for name in ("train-2020.arrow", "my-train-00000.arrow", "a.csv")]
    for path in other:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    build(tmp_path, texts(20))
    assert [path.read_text() for path in other] == ["mine"] * 3


def test_a_finished_corpus_is_left_alone(tmp_path):
    first = build(tmp_path, texts(20))
    times = {file: file.stat().st_mtime_ns for file in first.folder.iterdir()}
    assert build(tmp_path, texts(20)).manifest == first.manifest
    assert {file: file.stat().st_mtime_ns for file in first.folder.iterdir()} == times


def test_another_corpus_in_the_folder_is_refused(tmp_path):
    build(tmp_path, texts(20))
    with pytest.raises(ValueError, match=r"manifest\.json is of a corpus with other rules, settings: give"):
        build(tmp_path, texts(20), CorpusSettings(rules=rules(min_words=2), nb_tokens=99))
    with pytest.raises(ValueError, match="is of a corpus with other inputs: give another folder"):
        build(tmp_path, texts(21))
    assert build(tmp_path, texts(21), force=True).manifest["counts"]["texts"] == 21


def test_an_error_before_the_first_chunk_does_not_bind_the_folder(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text("body\nfunny 😂\n", encoding="utf-8")
    settings = CorpusSettings(rules=rules())
    with pytest.raises(ValueError, match="has no column 'text'"):
        build_corpus(path, tmp_path / "corpus", settings, workers=1)
    right = CorpusSettings(rules=rules(), columns=Columns("body"))
    assert build_corpus(path, tmp_path / "corpus", right, workers=1)["counts"]["kept"] == 1


def test_files_of_another_origin_are_not_replaced_unasked(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in ("train-00000.arrow", "validation-00001.arrow", "vocabulary.spellings.json"):
        (folder / name).write_text("mine")
        with pytest.raises(FileExistsError, match=f"corpus has {name}: give another name, or force= to"):
            build(tmp_path, texts(20))
        assert [path.name for path in folder.iterdir()] == [name]
        with pytest.raises(ValueError, match="no text is left"):
            build(tmp_path, ["no emoji"], force=True)
        assert (folder / name).read_text() == "mine"
        assert build(tmp_path, texts(20), force=True).manifest["counts"]["texts"] == 20
        for path in folder.iterdir():
            path.unlink()


def test_a_work_folder_of_another_origin_is_left(tmp_path):
    work = tmp_path / "corpus" / "work"
    work.mkdir(parents=True)
    (work / "thesis.txt").write_text("mine")
    for text in (None, "{}"):
        with pytest.raises(FileExistsError, match=r"work has no sound plan\.json, so it may hold files of"):
            build(tmp_path, texts(20), force=True)
        (work / "plan.json").write_text(text or "[]")
    assert sorted(path.name for path in work.iterdir()) == ["plan.json", "thesis.txt"]


def test_a_file_that_was_put_into_the_work_folder_stays(tmp_path):
    with pytest.raises(ValueError, match="no text is left"):
        build(tmp_path, ["no emoji"])
    work = tmp_path / "corpus" / "work"
    (work / "notes.txt").write_text("mine")
    build(tmp_path, texts(20))
    assert [path.name for path in work.iterdir()] == ["notes.txt"]


def test_an_empty_name_of_the_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="out must be a folder, got ''"):
        build_corpus(write_texts("texts.txt", texts(20)), "")
    assert [path.name for path in tmp_path.iterdir()] == ["texts.txt"]


@pytest.mark.parametrize("out", ["in/corpus", "in", "link/corpus"])
def test_a_corpus_among_its_inputs_is_not_read(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    write_texts("in/texts.txt", texts(20))
    settings = CorpusSettings(rules=rules())
    first = build_corpus(["in", "in/**/*"], out, settings, workers=1)
    assert [entry["name"] for entry in first["inputs"]] == ["texts.txt"]
    files = files_of(tmp_path / out)
    work = tmp_path / out / "work"
    work.mkdir()
    (work / "plan.json").write_text('{"format": "torchmoji-corpus"}')
    assert build_corpus("in/", out, settings, workers=1) == first
    changed = build_corpus("in", out, CorpusSettings(rules=rules(), min_count=1), workers=1, force=True)
    assert changed["inputs"] == first["inputs"]
    build_corpus("in", out, settings, workers=1, force=True)
    assert files_of(tmp_path / out) == files
    with pytest.raises(ValueError, match=r"all inputs are files of the corpus .* itself: name others"):
        build_corpus(f"{out}/*.arrow", out, settings)


def test_a_held_out_file_is_not_read_again_in_another_spelling(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_texts("valid.txt", ["such a day 😂"])
    write_texts("texts.txt", ["new words 😭"])
    (tmp_path / "link.txt").symlink_to("valid.txt")
    inputs = ["link.txt", f"{tmp_path}/../{tmp_path.name}/valid.txt", (tmp_path / "valid.txt").as_uri(), "."]
    settings = CorpusSettings(rules=rules(), min_count=1)
    manifest = build_corpus(inputs, "corpus", settings, validation_inputs="valid.txt", workers=1)
    assert [entry["name"] for entry in manifest["inputs"]] == ["valid.txt", "texts.txt"]


@pytest.mark.parametrize("name", ["train-00000.arrow", "vocabulary.json", "manifest.json"])
@pytest.mark.parametrize("is_missing", [False, True])
def test_a_damaged_corpus_is_built_again_if_forced(tmp_path, name, is_missing):
    whole = files_of(build(tmp_path, texts(20)).folder)
    path = tmp_path / "corpus" / name
    path.unlink() if is_missing else path.write_bytes(path.read_bytes() + b"x")
    about = "corpus has train-00000.arrow, .*:" if is_missing and name == "manifest.json" else re.escape(name)
    with pytest.raises((ValueError, FileExistsError), match=f"{about}.* or force= to replace"):
        build(tmp_path, texts(20))
    assert files_of(build(tmp_path, texts(20), force=True).folder) == whole


@pytest.mark.parametrize("lines", [[], ["nothing here"]])
def test_a_corpus_without_texts_is_an_error(tmp_path, lines):
    with pytest.raises(ValueError, match=r"no text is left for training: check --emojis, .* 😂 😭 ❤ 😡"):
        build(tmp_path, lines)


def test_building_needs_no_torch():
    code = (
        "import json, sys, torchmoji.corpus.build, torchmoji.corpus.shards, torchmoji.cli.pretraining\n"
        "heavy = 'torch', 'pyarrow', 'fsspec', 'sklearn'\n"
        "print(json.dumps([name for name in heavy if name in sys.modules]))"
    )
    assert python(code) == []


def test_a_missing_pyarrow_names_the_command(tmp_path, monkeypatch):
    path = write_texts(tmp_path / "texts.txt", ["so funny 😂"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r'not installed: pip install "torchmoji\[corpus\]"'):
        build_corpus(path, tmp_path / "corpus")
