"""benchmarks/tweeteval.py: reads the tasks' files, scores by their measures, on small data and weights."""

import gzip
import json

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from support.programs import run
from support.small_task import small_model
from torch import nn

from benchmarks.tweeteval import leaderboard_score, score_with_threshold, tokenizer_for
from torchmoji.create_vocab import save_vocabulary
from torchmoji.global_variables import SPECIAL_TOKENS

WORDS = ["good", "bad", "fine", "day"]


def write_part(folder, part, labels, words=WORDS):
    folder.mkdir(parents=True, exist_ok=True)
    texts = "".join(f"{words[label % len(words)]} thing\n" for label in labels)
    (folder / f"{part}_text.txt.gz").write_bytes(gzip.compress(texts.encode()))
    (folder / f"{part}_labels.txt").write_text("".join(f"{label}\n" for label in labels))


@pytest.fixture
def data(tmp_path):
    """The tasks' folders; words go with classes."""
    for name, nb_classes in (("emotion", 4), ("irony", 2), ("emoji", 20)):
        for part in ("train", "val", "test"):
            write_part(tmp_path / "data" / name, part, [i % nb_classes for i in range(40)])
    return tmp_path / "data"


@pytest.fixture
def benchmark(repository, tmp_path, monkeypatch, data):
    """Calls the program on the tasks with small weights, from an empty folder; gives its results."""
    monkeypatch.chdir(tmp_path)
    vocabulary = {word: i for i, word in enumerate([*SPECIAL_TOKENS, *WORDS])}
    save_vocabulary(vocabulary, tmp_path / "vocabulary.json")
    torch.save(small_model(3).state_dict(), tmp_path / "weights.bin")
    fixed = ["--data", "data", "--weights", "weights.bin", "--vocabulary", "vocabulary.json"]

    def call(*arguments):
        with torch.random.fork_rng(devices=[]):
            path = repository / "benchmarks" / "tweeteval.py"
            run(path, *fixed, "--quiet", "--resume", "runs.jsonl", *arguments)
        return [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]

    return call


def test_table_has_the_leaderboard_beside_each_task(benchmark, tmp_path):
    options = "--methods last --epochs 1 --epoch-size 8 --bfloat16 --output out.md"
    results = benchmark(*options.split())
    lines = [line.strip("| ").split(" | ") for line in (tmp_path / "out.md").read_text().splitlines()]
    assert lines[0][3:8] == ["torchMoji", "LSTM", "FastText", "SVM", "BERTweet"]
    assert [row[:3] for row in lines[2:7]] == [
        ["emotion", "macro-F1", "last"],
        ["irony", "F1 of the ironic class", "last"],
        ["emoji", "macro-F1", "last"],
        ["emoji-selectors", "macro-F1", "last"],
        ["irony-threshold", "F1 of the ironic class", "last"],
    ]
    assert [row[3] for row in lines[2:7]] == [f"{result['score']:.3f}" for result in results]
    assert lines[2][4:8] == ["0.660", "0.652", "0.647", "0.793"]
    assert "python benchmarks/tweeteval.py --data data" in (tmp_path / "out.md").read_text()


def test_a_threshold_is_chosen_on_the_validation_part_alone():
    def part(logits, labels):
        return [(torch.tensor(logits)[:, None], torch.tensor(labels))]

    model = nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(1)
        model.bias.zero_()
    validation = part([-3.0, -1.0, -0.5, 2.0], [0, 1, 1, 1])  # above sigmoid(-3) = 0.05 all are ironic
    test = part([-2.0, -1.5, 1.0, -4.0], [0, 1, 1, 1])
    assert score_with_threshold(model, validation, test) == f1_score([0, 1, 1, 1], [1, 1, 1, 0])


def test_irony_is_scored_by_the_ironic_class_alone():
    predicted, truth = np.array([0, 1, 1, 1]), np.array([0, 1, 0, 1])
    precision, recall = 2 / 3, 1
    expected = 2 * precision * recall / (precision + recall)
    assert leaderboard_score(predicted, truth, 2) == pytest.approx(expected)


def test_other_classes_count_alike():
    predicted, truth = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 0, 1, 3])
    assert leaderboard_score(predicted, truth, 4) == pytest.approx(np.mean([1, 1, 0, 0]))


def test_texts_without_labels_are_refused(benchmark, data):
    (data / "irony" / "val_labels.txt").write_text("0\n1\n")
    with pytest.raises(ValueError, match="irony has 40 texts and 2 labels in its part val"):
        benchmark("--methods", "last", "--datasets", "irony")


@pytest.mark.parametrize(("dataset", "ids"), [("emoji", [10, 11]), ("emoji-selectors", [6, 10, 6, 6, 11])])
def test_selectors_are_words_in_their_own_task_only(dataset, ids):
    vocabulary = {word: number for number, word in enumerate([*SPECIAL_TOKENS, "so", "nice"])}
    tokenizer = tokenizer_for(dataset, vocabulary, 6)
    row = tokenizer.tokenize_sentences(["\ufe0f so \ufe0f \ufe0f nice"])[0][0]
    assert row[row != 0].tolist() == ids


@pytest.mark.nightly
def test_runs_with_other_weights_of_classes_are_other_runs(benchmark, data):
    for part in ("train", "val", "test"):
        write_part(data / "irony", part, [0, 0, 0, 1] * 10, words=["fine"])
    options = ["--methods", "new", "--datasets", "irony", "--epochs", "3", "--epoch-size", "40"]
    benchmark(*options)
    results = benchmark(*options, "--class-weight-power", "2")
    assert [result["class_weight_power"] for result in results] == [None, 2]
    assert results[0]["score"] == 0
    assert results[1]["score"] > 0.3  # all texts are alike, so all get the class that weighs more
    assert benchmark(*options, "--class-weight-power", "2") == results
