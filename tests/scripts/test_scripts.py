"""scripts/: data sets, fine-tuning runs and their results; the scripts for weights are tested elsewhere."""

import json

import numpy as np
import pytest
import torch
from support.programs import loaded, make_model_files, refusal, run

from torchmoji.create_vocab import load_vocabulary

NO_NUMBER = '{"dataset": "d", "method": "m", "metric": "a", "settings": "s", "seed": 1, "score": "high"}'
SMALL = ["--epochs", "1", "--epoch-size", "16", "--batch-size", "8", "--quiet"]


@pytest.fixture(scope="session")
def scripts(repository):
    return repository / "scripts"


@pytest.fixture(scope="session")
def data(repository):
    return repository / "examples" / "data"


@pytest.fixture(scope="session")
def model(repository, tmp_path_factory):
    """Arguments that name small weights and their vocabulary."""
    return make_model_files(tmp_path_factory.mktemp("model"), repository / "examples")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Run in an empty folder, and leave torch's random numbers as they were."""
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        yield


def write_results(path, scores, **changes):
    result = {"dataset": "set", "method": "last", "metric": "acc", "settings": "small", **changes}
    lines = [json.dumps({**result, "seed": seed, "score": score}) for seed, score in scores]
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")


def write_set(path, rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["text,label,split", *rows]), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("analyze_all_results", []),
        ("analyze_results", []),
        ("calculate_coverages", []),
        ("convert_all_datasets", ["--out", "out"]),
        ("finetune_dataset", ["--method", "new"]),
    ],
)
def test_a_missing_file_is_named(scripts, model, name, options, capsys):
    vocabulary = [] if name.startswith("analyze") else model[2:]
    assert "missing.csv" in refusal(scripts / f"{name}.py", capsys, "missing.csv", *vocabulary, *options)


# --- data sets --------------------------------------------------------------------------------------------


def test_coverage_of_own_given_and_extended_vocabulary(scripts, tmp_path, capsys):
    write_set(
        tmp_path / "tiny.csv",
        ["known new,0,train", "known,1,train", "known,0,val", "known new,0,test", "never known,1,test"],
    )
    (tmp_path / "v.json").write_text('{"CUSTOM_MASK": 0, "CUSTOM_UNKNOWN": 1, "never": 2}', encoding="utf-8")
    run(scripts / "calculate_coverages.py", "tiny.csv", "--vocabulary", "v.json", "--out", "table.csv")
    # Test part: known new | never known. Own: all but never; given: never alone; extended: all.
    assert capsys.readouterr().out.splitlines()[1].split() == ["tiny", "75.0", "25.0", "100.0"]
    written = (tmp_path / "table.csv").read_text(encoding="utf-8")
    assert written == "data set,own,last,extended\ntiny,75.0,25.0,100.0\n"


def test_convert_writes_token_ids_and_labels(scripts, data, model, tmp_path, capsys):
    names = data / "emotions.csv", data / "insults.csv"
    run(scripts / "convert_all_datasets.py", *names, "--out", "c", *model[2:])
    with np.load(tmp_path / "c" / "emotions.npz") as arrays:
        assert set(arrays) == {"x_train", "y_train", "x_val", "y_val", "x_test", "y_test"}
        assert arrays["x_train"].shape == (224, 20)
        assert np.bincount(arrays["y_test"]).tolist() == [16, 16, 16, 16]
    assert "insults: 168 + 24 + 48 texts of 20 tokens, 0 words added" in capsys.readouterr().out


def test_convert_writes_the_extended_vocabulary(scripts, model, tmp_path):
    rows = ["zyzzy the,0,train", "the,1,val", "zyzzy,1,test"]
    write_set(tmp_path / "tiny.csv", rows)
    run(scripts / "convert_all_datasets.py", "tiny.csv", "--out", "c", *model[2:], "--extend", 5)
    vocabulary = load_vocabulary(tmp_path / "c" / "tiny_vocabulary.json")
    with np.load(tmp_path / "c" / "tiny.npz") as arrays:
        assert arrays["x_test"][0, 0] == vocabulary["zyzzy"] == len(load_vocabulary(model[3]))


def test_two_data_sets_of_one_name_are_refused(scripts, model, capsys):
    options = ["--out", "c", *model[2:]]
    message = refusal(scripts / "convert_all_datasets.py", capsys, "a/x.csv", "b/x.csv", *options)
    assert "two of the data sets are called x" in message


# --- fine-tuning and results ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "metric"), [("chain-thaw", "acc"), ("full", "weighted"), ("last", "class-avg")]
)
def test_finetune_dataset_appends_a_line_for_a_seed(scripts, data, model, tmp_path, method, metric, capsys):
    choice = ["--method", method, "--metric", metric, "--results", "r"]
    arguments = [data / "emotions.csv", *choice, *model, *SMALL]
    run(scripts / "finetune_dataset.py", *arguments, "--seeds", 1, 2)
    run(scripts / "finetune_dataset.py", *arguments, "--seeds", 1)
    written = (tmp_path / "r" / f"emotions_{method}_{metric}.jsonl").read_text(encoding="utf-8")
    results = [json.loads(line) for line in written.splitlines()]
    assert [result["seed"] for result in results] == [1, 2, 1]
    assert results[0]["score"] == results[2]["score"]
    assert 0 <= results[0]["score"] <= 1
    added = 0 if method == "last" else 2  # of a text that is not ASCII
    settings = f"weights weights.bin, {added} words added, up to 1 epochs of 16 samples"
    assert results[0]["settings"].startswith(settings)
    assert capsys.readouterr().err == ""


def test_finetune_dataset_extends_unless_only_the_last_layer_trains(scripts, tmp_path, model, capsys):
    rows = [f"zyzzy{'ab'[i % 2]} again,{i % 2},{part}" for part in ("train", "val", "test") for i in range(2)]
    write_set(tmp_path / "tiny.csv", rows)
    for method in ("last", "full"):
        run(scripts / "finetune_dataset.py", "tiny.csv", "--method", method, *model, *SMALL)
    settings = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "results").iterdir()}
    assert " 0 words added" in settings["tiny_last_acc.jsonl"]
    assert " 2 words added" in settings["tiny_full_acc.jsonl"]


def test_finetune_dataset_with_the_method_new_takes_no_weights(scripts, data, model, tmp_path, monkeypatch):
    starts = []
    with loaded(scripts / "finetune_dataset.py") as program:
        monkeypatch.setattr(program, "torchmoji_transfer", lambda n, path, **_: starts.append((n, path)))
        monkeypatch.setattr(program, "finetune", lambda *arguments, **options: (None, 0.25))
        program.main([str(data / "emotions.csv"), "--method", "new", *model[2:]])
    assert starts == [(4, None)]
    assert "weights none" in (tmp_path / "results" / "emotions_new_acc.jsonl").read_text(encoding="utf-8")


def test_finetune_dataset_wants_weights_with_their_vocabulary(scripts, data, model, capsys):
    message = refusal(scripts / "finetune_dataset.py", capsys, data / "emotions.csv", *model[:2])
    assert "give both or neither" in message


@pytest.mark.parametrize("line", ["not json", "[1]", '{"score": 0.5}', NO_NUMBER])
def test_analyze_results_names_the_line_that_is_no_result(scripts, tmp_path, line, capsys):
    write_results(tmp_path / "one.jsonl", [(1, 0.5)])
    with (tmp_path / "one.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    assert "one.jsonl, line 2" in refusal(scripts / "analyze_results.py", capsys, "one.jsonl")


def test_results_are_summed_up_for_each_settings_a_repeated_seed_once(scripts, tmp_path, capsys):
    path = tmp_path / "r" / "one.jsonl"
    write_results(path, [(1, 0.5), (1, 0.5), (2, 0.7), (3, 0.9)])
    write_results(path, [(1, 0.9)], settings="large")
    run(scripts / "analyze_results.py", path)
    assert capsys.readouterr().out.splitlines() == [
        *("set, last, acc; large", "mean 0.9000   standard deviation none   runs 1"),
        *("set, last, acc; small", "mean 0.7000   standard deviation 0.2000   runs 3"),
    ]
    write_results(tmp_path / "r" / "two.jsonl", [(1, 0.25)], method="full")
    run(scripts / "analyze_all_results.py", "r", "--out", "table.md")
    assert (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()[2:] == [
        "| set | full | acc | small | 0.2500 | 1 |",
        "| set | last | acc | large | 0.9000 | 1 |",
        "| set | last | acc | small | 0.7000 ± 0.2000 | 3 |",
    ]
