"""The commands `finetune` and `evaluate`: a model of one's own."""

import csv
import gzip
import json
import shutil

import pytest
from support.small_pipeline import small

from torchmoji.cli.main import main
from torchmoji.estimator import TorchMojiClassifier
from torchmoji.training import read_labelled_texts


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
    assert "has the labels ['maybe'], the model knows ['no', 'yes']" in capsys.readouterr().err


def write_table(path, rows, separator=","):
    path.write_text("".join(f"{separator.join(row)}\n" for row in rows))
    return str(path)


def data_rows(number):
    return [[f"{'not ' * (n % 2)}a day of {n}", "no" if n % 2 else "yes"] for n in range(number)]


QUICK = ["--method", "new", "--epochs", "1", "--json"]


@pytest.fixture(scope="module")
def tuned(tiny_folder, tmp_path_factory):
    """A file of 20 rows, and the folder of a model fine-tuned on it with the seed 7."""
    folder = tmp_path_factory.mktemp("tuned")
    data = write_table(folder / "data.csv", [["text", "label"], *data_rows(20)])
    options = ["--model", tiny_folder, *QUICK, "--seed", "7", "--quiet"]
    assert main(["finetune", data, "--out", str(folder / "model"), *options]) == 0
    return data, str(folder / "model")


def test_the_split_by_another_column_of_labels_is_refused(tiny_folder, tmp_path, capsys):
    rows = [[f"a day of {n}", "no" if n % 2 else "yes", "no" if n % 3 else "yes"] for n in range(30)]
    data = write_table(tmp_path / "data.csv", [["text", "a", "b"], *rows])
    options = ["--model", tiny_folder, *QUICK, "--label-column", "a"]
    assert main(["finetune", data, "--out", str(tmp_path / "m"), *options]) == 0
    command = ["evaluate", data, "--model", str(tmp_path / "m"), "--label-column"]
    assert main([*command, "a"]) == 0
    capsys.readouterr()
    assert main([*command, "b"]) == 1
    assert "is split in another way than by 'a'" in capsys.readouterr().err
    assert main([*command, "b", "--all"]) == 0


def test_several_labels_are_right_together(tiny_folder, tmp_path, capsys):
    rows = [{"text": "a day", "label": ["x"] if n % 2 else ["x", "y"]} for n in range(40)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = str(tmp_path / "m")
    assert main(["finetune", str(tmp_path / "a.jsonl"), "--out", out, "--model", tiny_folder, *QUICK]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] <= 0.5  # of one of two kinds, not of labels
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, [{"text": "a", "label": ["x"]}] * 9)))
    command = ["finetune", str(tmp_path / "a.jsonl"), "--model", tiny_folder, *QUICK]
    assert main([*command, "--out", str(tmp_path / "n")]) == 1
    assert "has lists of one class only" in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "a.jsonl" / "n")]) == 1  # before it reads
    assert "a.jsonl is a file: give another place" in capsys.readouterr().err


def evaluated(capsys, *arguments):
    capsys.readouterr()
    assert main(["evaluate", *arguments, "--json"]) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


def test_evaluate_scores_what_the_model_has_not_seen(tuned, tmp_path, capsys):
    data, model = tuned
    scores, note = evaluated(capsys, data, "--model", model)
    assert scores["texts"] == 4
    assert f"was fine-tuned on {data}: scored on its test part" in note
    part = read_labelled_texts(data, seed=7)
    texts, labels = part.part(part.split[2])
    assert scores["accuracy"] == TorchMojiClassifier.load(model).score(texts, labels)
    assert evaluated(capsys, data, "--model", model, "--all")[0]["texts"] == 20
    assert main(["evaluate", data, "--model", model, "--seed", "8"]) == 1
    assert "--seed 8 is another split" in capsys.readouterr().err
    new = write_table(tmp_path / "new.csv", [["text", "label"], *data_rows(21)])
    scores, note = evaluated(capsys, new, "--model", model)
    assert (scores["texts"], note) == (21, "")
    assert evaluated(capsys, new, "--model", model, "--seed", "7")[0]["texts"] == 4
    rows = [[*row, "train" if n < 15 else "test"] for n, row in enumerate(data_rows(21))]
    marked = write_table(tmp_path / "marked.csv", [["text", "label", "split"], *rows])
    scores, note = evaluated(capsys, marked, "--model", model)
    assert scores["texts"] == 6
    assert "scored on the 6 of 21 texts that are for testing" in note


def test_evaluate_takes_an_onnx_file(tuned, tmp_path, capsys):
    data, model = tuned
    assert main(["export", "--model", model, "--out", str(tmp_path / "m.onnx")]) == 0
    names = [str(tmp_path / "m.onnx"), model]
    of_file, of_folder = (evaluated(capsys, data, "--model", name, "--all")[0] for name in names)
    assert of_file == of_folder
    assert "does not say what it was fine-tuned on" in evaluated(capsys, data, "--model", names[0])[1]


def test_thresholds_count_in_an_onnx_file_too(tmp_path, capsys):
    small(3, ["a", "b", "c"], multi_label=True, thresholds=[0.0, 1.0, 1.0]).save_pretrained(tmp_path / "m")
    assert main(["export", "--model", str(tmp_path / "m"), "--out", str(tmp_path / "m.onnx")]) == 0
    data = tmp_path / "data.jsonl"
    data.write_text('{"text": "good", "label": ["a"]}\n{"text": "bad", "label": ["a"]}\n')
    assert evaluated(capsys, str(data), "--model", str(tmp_path / "m.onnx"))[0]["accuracy"] == 1


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "json", "csv.gz"])
def test_any_table_with_columns_of_any_name_and_no_validation_part(tiny_folder, tmp_path, capsys, kind):
    rows = [[*row, "test" if n % 5 == 0 else "train"] for n, row in enumerate(data_rows(20))]
    path = tmp_path / f"data.{kind}"
    records = [dict(zip(["body", "mood", "split"], row, strict=True)) for row in rows]
    if kind == "tsv":
        write_table(path, [["body", "mood", "split"], *rows], "\t")
    elif kind == "csv.gz":
        lines = ["body,mood,split", *(f"{text} caf\xe9,{label},{split}" for text, label, split in rows)]
        path.write_bytes(gzip.compress("\n".join(lines).encode("cp1252")))
    else:
        path.write_text(json.dumps(records) if kind == "json" else "\n".join(map(json.dumps, records)))
    names = ["--text-column", "body", "--label-column", "mood"]
    names += ["--encoding", "cp1252"] if kind == "csv.gz" else []
    out = str(tmp_path / "tuned")
    assert main(["finetune", str(path), "--out", out, "--model", tiny_folder, *QUICK, *names]) == 0
    captured = capsys.readouterr()
    assert "14 texts to learn from; of the classes no: 7, yes: 7" in captured.err
    scores = json.loads(captured.out)
    assert (scores["texts"], list(scores["f1"])) == (4, ["no", "yes"])
    assert evaluated(capsys, str(path), "--model", out, *names)[0] == scores
    assert main(["evaluate", str(path), "--model", out, *names[4:]]) == 1
    assert "(others by --text-column, --label-column)" in capsys.readouterr().err


def test_a_model_is_replaced_with_force_only_and_never_the_one_to_start_from(tuned, tiny_folder, capsys):
    data, model = tuned
    finetune = ["finetune", data, *QUICK, "--quiet", "--out", model]
    assert main([*finetune, "--model", tiny_folder]) == 1
    told = "has config.json, vocabulary.json, model.safetensors, README.md: give another name"
    assert told in capsys.readouterr().err
    assert main([*finetune, "--model", model, "--force"]) == 1
    assert f"{model} would replace the input {model}" in capsys.readouterr().err
    assert main([*finetune, "--model", tiny_folder, "--force", "--seed", "7"]) == 0


def test_data_of_another_kind_are_refused(tuned, tmp_path, capsys):
    (tmp_path / "several.jsonl").write_text('{"text": "a day", "label": [1, 0]}\n')
    assert main(["evaluate", str(tmp_path / "several.jsonl"), "--model", tuned[1]]) == 1
    assert "has several labels for a text, the model gives one label" in capsys.readouterr().err
    (tmp_path / "sheet.xlsx").touch()
    assert main(["finetune", str(tmp_path / "sheet.xlsx"), "--out", str(tmp_path / "m")]) == 1
    assert "sheet.xlsx, a spreadsheet: save it as CSV" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[" * 100_000, "{}", "[]", '"x"', '{"classes": 1}', "\0"])
def test_a_damaged_classifier_is_one_line(tuned, tmp_path, capsys, content):
    copy = shutil.copytree(tuned[1], tmp_path / "copy")
    (copy / "classifier.json").write_text(content)
    assert main(["evaluate", tuned[0], "--model", str(copy)]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("torchmoji: ")
    assert errors.count("\n") == 1


def test_evaluate_wants_a_fine_tuned_model(tiny_folder, capsys):
    assert main(["evaluate", "data.csv", "--model", tiny_folder]) == 1
    assert "is no fine-tuned classifier" in capsys.readouterr().err
