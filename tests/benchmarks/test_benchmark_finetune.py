"""benchmarks/finetune.py: runs, continues and writes its table, on small data and weights."""

import json
import pickle

import numpy as np
import pytest
import torch
from support.programs import run
from support.small_task import small_model

from torchmoji.create_vocab import save_vocabulary
from torchmoji.global_variables import SPECIAL_TOKENS


@pytest.fixture
def benchmark(repository, tmp_path, monkeypatch):
    """Calls the program on three small data sets with small weights, from an empty folder."""
    monkeypatch.chdir(tmp_path)
    words = ["good", "bad", "fine", "day"]
    vocabulary = {word: i for i, word in enumerate([*SPECIAL_TOKENS, *words])}
    save_vocabulary(vocabulary, tmp_path / "vocabulary.json")
    torch.save(small_model(3).state_dict(), tmp_path / "weights.bin")
    labels = {"SS-Youtube": [0, 1], "SCv1": [1, 0], "Olympic": [np.eye(4, dtype=bool)[c] for c in range(4)]}
    for name, of_words in labels.items():
        texts = [f"{words[i % len(of_words)]} thing" for i in range(24)]
        info = [{"label": of_words[i % len(of_words)]} for i in range(24)]
        split = {"train_ind": [*range(12)], "val_ind": [*range(12, 18)], "test_ind": [*range(18, 24)]}
        (tmp_path / "data" / name).mkdir(parents=True)
        data = pickle.dumps({"texts": texts, "info": info, **split}, protocol=2)
        (tmp_path / "data" / name / "raw.pickle").write_bytes(data)
    fixed = ["--data", "data", "--weights", "weights.bin", "--vocabulary", "vocabulary.json"]
    quick = ["--epochs", "1", "--epoch-size", "8", "--quiet"]

    def call(*arguments):
        with torch.random.fork_rng(devices=[]):
            run(repository / "benchmarks" / "finetune.py", *fixed, *quick, *arguments)

    return call


def results_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_table_has_a_row_for_each_set_and_method_beside_the_peers(benchmark, tmp_path):
    benchmark(
        *("--methods", "last", "--datasets", "SS-Youtube", "SCv1", "Olympic"),
        *("--resume", "runs.jsonl", "--output", "out.md"),
    )
    rows = [line.strip("| ").split(" | ") for line in (tmp_path / "out.md").read_text().splitlines()[2:5]]
    assert [row[:3] for row in rows] == [
        ["SS-Youtube", "accuracy", "last"],
        ["SCv1", "F1", "last"],
        ["Olympic", "class-average F1", "last"],
    ]
    assert [row[4:6] for row in rows] == [["0.814", "0.879"], ["0.671", "0.669"], ["0.474", "0.515"]]
    results = results_of(tmp_path / "runs.jsonl")
    assert [row[3] for row in rows] == [f"{result['score']:.3f}" for result in results]


@pytest.mark.nightly
def test_seeds_are_averaged_and_reproducible(benchmark, tmp_path):
    for name in ("first", "second"):
        benchmark(
            *("--methods", "last", "--datasets", "SS-Youtube", "--seeds", "1", "2"),
            *("--resume", f"{name}.jsonl", "--output", f"{name}.md"),
        )
    first, second = (results_of(tmp_path / f"{name}.jsonl") for name in ("first", "second"))
    assert [r["seed"] for r in first] == [1, 2]
    assert [r["score"] for r in first] == [r["score"] for r in second]
    scores = sorted(r["score"] for r in first)
    expected = f"| {np.mean(scores):.3f} ({scores[0]:.3f} to {scores[1]:.3f}) |"
    assert expected in (tmp_path / "first.md").read_text()


@pytest.mark.nightly
def test_runs_under_other_settings_alone_are_repeated(benchmark, tmp_path):
    arguments = ["--methods", "last", "--resume", "runs.jsonl", "--output", "out.md", "--datasets", "SCv1"]
    benchmark(*arguments)
    benchmark(*arguments)
    benchmark(*arguments, "--patience", "2")
    assert [r["patience"] for r in results_of(tmp_path / "runs.jsonl")] == [5, 2]
    assert len((tmp_path / "out.md").read_text().split("| SCv1")) == 2
