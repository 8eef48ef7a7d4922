"""examples/: every program, and the sample data."""

import csv
import json
import re

import numpy as np
import pytest
import torch
from support.programs import loaded, make_model_files, refusal, run
from support.snippets import REPOSITORY

from torchmoji.create_vocab import load_vocabulary
from torchmoji.emojis import EMOJIS

FINETUNING = ["finetune_insults_chain-thaw", "finetune_semeval_class-avg_f1", "finetune_youtube_last"]
SMALL = ["--epochs", "1", "--epoch-size", "16", "--batch-size", "8", "--quiet"]
DATA = REPOSITORY / "examples" / "data"


@pytest.fixture(scope="session")
def examples(repository):
    return repository / "examples"


@pytest.fixture(scope="session")
def model(examples, tmp_path_factory):
    """Arguments that name small weights and their vocabulary."""
    return make_model_files(tmp_path_factory.mktemp("model"), examples)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Run in an empty folder, and leave torch's random numbers as they were."""
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        yield


def tweet(text, user="12"):
    return "\t".join(["0", user, *"2345678", text])


# --- all programs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("create_twitter_vocab", ["missing.txt"]),
        ("create_twitter_vocab", ["x.tsv", "--wanted-emojis", "missing.txt"]),
        ("create_twitter_vocab", ["x.tsv", "--unwanted-users", "missing.txt"]),
        ("dataset_split", ["missing.txt"]),
        ("dataset_split", ["--vocabulary", "missing.txt"]),
        ("encode_texts", ["--file", "missing.txt"]),
        ("encode_texts", ["--weights", "missing.txt", "--vocabulary", "missing.txt"]),
        *((name, ["--weights", "none", "--vocabulary", "missing.txt"]) for name in FINETUNING),
        ("score_texts_emojis", ["--file", "missing.txt"]),
        ("text_emojize", ["--text", "hi", "--weights", "missing.txt", "--vocabulary", "missing.txt"]),
        ("tokenize_dataset", ["missing.txt"]),
        ("vocab_extension", ["missing.txt"]),
        ("vocab_extension", ["--vocabulary", "missing.txt"]),
    ],
)
def test_a_missing_file_is_named(examples, name, arguments, capsys):
    assert "missing.txt" in refusal(examples / f"{name}.py", capsys, *arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("create_twitter_vocab", ["plain.txt"], "give --plain"),
        ("vocab_extension", ["--in-place"], "needs --vocabulary"),
        ("encode_texts", ["--weights", "weights.bin"], "give both or neither"),
        ("finetune_youtube_last", [DATA / "emotions.csv", *SMALL], "they must be 0 to 1"),
    ],
)
def test_wrong_arguments_are_refused(examples, tmp_path, name, arguments, message, capsys):
    (tmp_path / "plain.txt").write_text("just a text\n", encoding="utf-8")
    assert message in refusal(examples / f"{name}.py", capsys, *arguments)


# --- vocabulary and tokens --------------------------------------------------------------------------------


def test_create_twitter_vocab_makes_a_vocabulary_of_the_sample_data(examples, tmp_path):
    run(examples / "create_twitter_vocab.py", "--size", 200)
    vocabulary = load_vocabulary(tmp_path / "vocabulary" / "vocabulary.json")
    assert len(vocabulary) == 200
    assert vocabulary["CUSTOM_MASK"] == 0
    assert vocabulary["the"] < 20
    assert len(list((tmp_path / "vocabulary" / "counts").iterdir())) == 3


def test_create_twitter_vocab_counts_the_tweets_that_the_options_want(examples, tmp_path, capsys):
    tweets = [tweet("good good day 😂"), tweet("RT bad day 😂"), tweet("no emoji"), tweet("bad user 😂", "7")]
    (tmp_path / "day1.tsv").write_text("\n".join(tweets), encoding="utf-8")
    (tmp_path / "emojis.csv").write_text("😂\n", encoding="utf-8")
    np.savez(tmp_path / "users.npz", userids=np.array([7]))
    chosen = ["--wanted-emojis", "emojis.csv", "--unwanted-users", "users.npz"]
    run(examples / "create_twitter_vocab.py", "day1.tsv", "--out", "v", *chosen)
    assert list(load_vocabulary(tmp_path / "v" / "vocabulary.json"))[10:] == ["good", "day"]
    assert "1 of 4 texts taken" in capsys.readouterr().out


def test_dataset_split_keeps_the_split_of_the_file(examples, model, tmp_path, capsys):
    run(examples / "dataset_split.py", *model[2:], "--out", "split.npz")
    with np.load(tmp_path / "split.npz") as arrays:
        shapes = {name: arrays[name].shape for name in arrays}
    assert list(shapes.values()) == [(210, 30), (210,), (30, 30), (30,), (60, 30), (60,)]
    assert "105 of class 0, 105 of class 1" in capsys.readouterr().out


def test_dataset_split_takes_shares_and_extends(examples, model, tmp_path, capsys):
    rows = [f"newword{'xyz'[i % 3]} text,{i % 2}" for i in range(20)]
    (tmp_path / "mine.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    run(examples / "dataset_split.py", "mine.csv", *model[2:], "--shares", 0.5, 0.25, 0.25, "--extend", 2)
    shown = capsys.readouterr().out
    assert "20 texts, 2 words added" in shown
    assert "training: token ids (10, 30)" in shown


def test_tokenize_dataset_writes_an_array(examples, model, tmp_path, capsys):
    (tmp_path / "texts.txt").write_text("the best\n\nunheardof the\n", encoding="utf-8")
    run(examples / "tokenize_dataset.py", "texts.txt", *model[2:], "--maxlen", 3, "--out", "ids.npy")
    vocabulary = load_vocabulary(model[3])
    expected = [[vocabulary["the"], vocabulary["best"], 0], [1, vocabulary["the"], 0]]
    assert np.load(tmp_path / "ids.npy").tolist() == expected
    assert "words: CUSTOM_UNKNOWN the" in capsys.readouterr().out


def test_vocab_extension_leaves_the_original_alone(examples, tmp_path, capsys):
    original = json.dumps({"CUSTOM_MASK": 0, "CUSTOM_UNKNOWN": 1, "old": 2})
    (tmp_path / "v.json").write_text(original, encoding="utf-8")
    (tmp_path / "texts.txt").write_text("old new new newer\n", encoding="utf-8")
    options = ["--vocabulary", "v.json", "--max-tokens", 2, "--out", "x.json"]
    run(examples / "vocab_extension.py", "texts.txt", *options)
    assert list(load_vocabulary(tmp_path / "x.json"))[2:] == ["old", "new", "newer"]
    assert (tmp_path / "v.json").read_text(encoding="utf-8") == original
    assert "5 entries, 2 of them new" in capsys.readouterr().out


# --- emojis and encodings ---------------------------------------------------------------------------------


def test_encode_texts_writes_features(examples, model, tmp_path, capsys):
    run(examples / "encode_texts.py", *model, "--out", "features.npy")
    features = np.load(tmp_path / "features.npy")
    assert features.shape == (7, 20)
    shown = capsys.readouterr().out
    assert f"{features[0, 0]:.3f}" in shown
    assert "features: (7, 20) float32" in shown


def test_score_texts_emojis_writes_five_emojis_best_first(examples, model, tmp_path):
    texts = ['he said "no", twice', "fine"]
    run(examples / "score_texts_emojis.py", *texts, *model, "--out", "scores.csv")
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["text"] for row in rows] == texts
    for row in rows:
        probabilities = [float(row[f"probability_{i}"]) for i in range(1, 6)]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(float(row["top_5"]), abs=5e-4)
        assert len({row[f"emoji_{i}"] for i in range(1, 6)} & set(EMOJIS)) == 5


def test_text_emojize_prints_the_emojis_of_score_texts_emojis(examples, model, capsys):
    run(examples / "score_texts_emojis.py", "you did it", *model)
    best = capsys.readouterr().out.splitlines()[1].split(",")[2:7]
    run(examples / "text_emojize.py", "--text", "you did it", *model)
    assert capsys.readouterr().out == f"you did it {' '.join(best)}\n"


# --- fine-tuning ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FINETUNING)
def test_finetuning_falls_back_on_the_sample_data(examples, model, name, capsys):
    run(examples / f"{name}.py", *model, *SMALL)
    shown = capsys.readouterr()
    found = re.search(r"(accuracy on|F1 averaged .*, on) (48|60|64) test texts: (0|1)\.\d{3}\n$", shown.out)
    assert found
    assert shown.err == ""


def test_finetuning_extends_the_vocabulary(examples, model, tmp_path, monkeypatch):
    rows = [f"zyzzy{'ab'[i % 2]} again,{i % 2},{part}" for part in ("train", "val", "test") for i in range(2)]
    (tmp_path / "mine.csv").write_text("\n".join(["text,label,split", *rows]), encoding="utf-8")
    sizes = []
    with loaded(examples / "finetune_insults_chain-thaw.py") as program:
        transfer = program.torchmoji_transfer
        monkeypatch.setattr(
            program,
            "torchmoji_transfer",
            lambda *arguments, **options: sizes.append(options) or transfer(*arguments, **options),
        )
        program.main(["mine.csv", *model, *SMALL])
    assert sizes == [{"extend_embedding": 2}]


# --- sample data ------------------------------------------------------------------------------------------
