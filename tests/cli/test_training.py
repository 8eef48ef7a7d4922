"""The commands `finetune` and `evaluate`: a model of one's own."""

import csv
import gzip
import json

from torchmoji.cli.main import main
from torchmoji.training import datasets


def test_finetune_evaluate_and_use_is_one_story(tiny_folder, tmp_path, capsys):
    rows = [(f"{'not ' * (n % 2)}a day", "no" if n % 2 else "yes") for n in range(40)]
    with open(tmp_path / "data.csv", "w", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *rows])
    data, out = str(tmp_path / "data.csv"), str(tmp_path / "tuned")
    options = ["--method", "new", "--epochs", "25", "--batch-size", "4", "--quiet", "--json"]
    assert main(["finetune", data, "--out", out, "--model", tiny_folder, *options]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["texts"], scores["accuracy"], scores["macro_f1"]) == (8, 1.0, 1.0)
    assert main(["evaluate", data, "--model", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == scores
    assert main(["evaluate", data, "--model", out, "--all"]) == 0
    assert "texts: 40\naccuracy: 1.0" in capsys.readouterr().out
    assert main(["emojize", "not a day", "--model", out, "--top-k", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["label_1"] == "no"
    (tmp_path / "data.csv").write_text("text,label\na day,maybe\nnot a day,yes\na day,no\na day,no\nday,no\n")
    assert main(["evaluate", data, "--model", out]) == 1
    assert "has labels ['maybe'], the model knows ['no', 'yes']" in capsys.readouterr().err


def test_evaluate_takes_the_test_part_of_fine_tuning(tiny_folder, tmp_path, capsys, monkeypatch):
    rows = [f"{'not ' * (n % 2)}a café of {n};{'no' if n % 2 else 'yes'}" for n in range(20)]
    data, out = tmp_path / "data.csv.gz", str(tmp_path / "tuned")
    data.write_bytes(gzip.compress("\n".join(["text;label", *rows]).encode("cp1252")))
    options = ["--model", tiny_folder, "--epochs", "1", "--quiet", "--json", "--seed", "7"]
    finetune = ["finetune", str(data), "--out", out, *options, "--encoding", "cp1252"]
    assert main(finetune) == 0
    scores = json.loads(capsys.readouterr().out)
    calls, read = [], datasets.read_labelled_texts

    def watched(path, **options):
        calls.append((options["seed"], options.get("needs_split")))
        return read(path, **options)

    monkeypatch.setattr(datasets, "read_labelled_texts", watched)
    assert main(["evaluate", str(data), "--model", out, "--json", "--encoding", "cp1252"]) == 0
    assert (json.loads(capsys.readouterr().out), calls) == (scores, [(7, True)])
    (tmp_path / "two.csv").write_text("text,label\na day,yes\nnot a day,no\n")
    assert main(["evaluate", str(tmp_path / "two.csv"), "--model", out, "--all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["texts"] == 2
    assert main(finetune) == 1
    assert (
        "has config.json, vocabulary.json, model.safetensors, README.md: give another name, or --force"
        in capsys.readouterr().err
    )
    assert main([*finetune, "--force"]) == 0


def test_evaluate_wants_a_fine_tuned_model(tiny_folder, capsys):
    assert main(["evaluate", "data.csv", "--model", tiny_folder]) == 1
    assert "give a folder of TorchMojiClassifier.save" in capsys.readouterr().err
