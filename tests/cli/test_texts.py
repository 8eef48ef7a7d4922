"""The commands that take texts: inputs, outputs, and what they say."""

import csv
import gzip
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from torchmoji import MojiPipeline, TorchMoji
from torchmoji.cli.main import main
from torchmoji.emojis import EMOJIS, EMOTIONS
from torchmoji.estimator import TorchMojiClassifier
from torchmoji.pipeline.engines import TorchEngine
from torchmoji.pipeline.pipeline import WINDOW
from torchmoji.training import datasets

TEXTS = ["a day", "", "not a day"]
COMMANDS = ["emojize", "score", "emotions", "attention", "explain", "encode"]


@pytest.fixture(scope="module")
def pipeline():
    torch.manual_seed(0)
    model = TorchMoji(64, 14, embedding_dim=4, hidden_size=3)
    return MojiPipeline(TorchEngine(model), {"a": 10, "day": 11, "not": 12})


@pytest.fixture(scope="module")
def folder(pipeline, tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "model"
    pipeline.save_pretrained(path)
    return str(path)


@pytest.fixture
def texts_file(tmp_path):
    path = tmp_path / "texts.csv"
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["n", "tweet"], *enumerate(TEXTS)])
    return ["--input", str(path), "--column", "tweet"]


def rows_of(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_rows_come_in_the_order_of_the_texts(folder, texts_file, capsys, command):
    rows = rows_of(capsys, command, *texts_file, "--model", folder)
    assert [row["text"] for row in rows] == TEXTS


def test_rows_hold_what_the_pipeline_gives(folder, pipeline, capsys):
    near = {"abs": 2e-6}
    (row,) = rows_of(capsys, "emojize", "a day", "--model", folder, "--top-k", "2")
    expected = pipeline.predict("a day", 2)
    assert [row["emoji_1"], row["emoji_2"]] == [score.emoji for score in expected]
    assert row["probability_2"] == pytest.approx(expected[1].probability, **near)
    (row,) = rows_of(capsys, "score", "a day", "--model", folder)
    assert [row[emoji] for emoji in EMOJIS] == pytest.approx(pipeline.predict_proba("a day").tolist(), **near)
    (row,) = rows_of(capsys, "emotions", "a day", "--model", folder)
    assert [row[name] for name in EMOTIONS] == pytest.approx(pipeline.emotions("a day").tolist(), **near)
    (row,) = rows_of(capsys, "encode", "a day", "--model", folder)
    assert row["features"] == pytest.approx(pipeline.encode("a day").tolist(), **near)
    (row,) = rows_of(capsys, "attention", "A  day", "--model", folder)
    assert [(word["word"], word["start"], word["end"]) for word in row["words"]] == [
        ("a", 0, 1),
        ("day", 3, 6),
    ]
    (row,) = rows_of(capsys, "explain", "a day", "--model", folder)
    changes = [effect.change for effect in pipeline.explain("a day").words]
    assert [word["change"] for word in row["words"]] == pytest.approx(changes, **near)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("command", COMMANDS)
def test_files_are_written_by_their_ending(folder, texts_file, tmp_path, capsys, command, kind):
    out = tmp_path / f"out.{kind}"
    assert main([command, *texts_file, "--model", folder, "--out", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert main(["emojize", "--input", str(out), "--model", folder, "--json"]) == 0
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == TEXTS


def test_encodings_as_an_array(folder, pipeline, texts_file, tmp_path):
    assert main(["encode", *texts_file, "--model", folder, "--out", str(tmp_path / "x.npy")]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), pipeline.encode(TEXTS), atol=1e-6)


def test_tables_for_people(folder, capsys):
    for command in ("emotions", "attention", "explain"):
        assert main([command, "a day", "--model", folder]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a day"
    assert "anger 0." in lines[1]
    assert sum("day" in line and "%" in line for line in lines) == 2
    assert main(["score", "a day", "--model", folder]) == 0
    assert len(next(csv.reader(capsys.readouterr().out.splitlines()))) == 65


def test_standard_input_is_read_line_by_line(folder):
    command = [sys.executable, "-m", "torchmoji", "emojize", "-", "--model", folder, "--json"]
    run = subprocess.run(
        command, input="a day\n\nnot a day\n", capture_output=True, encoding="utf-8", check=True
    )
    assert [json.loads(line)["text"] for line in run.stdout.splitlines()] == TEXTS
    assert run.stderr == ""


def test_each_line_of_standard_input_is_answered_at_once(folder):
    command = [sys.executable, "-m", "torchmoji", "emojize", "-", "--model", folder, "--json"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for text in ("a day", "not a day", "ünïcödé"):
        process.stdin.write(f"{text}\r\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["text"] == text  # blocks where it waits for more
    process.stdin.write(b"the last")
    process.stdin.close()
    assert json.loads(process.stdout.readline())["text"] == "the last"
    assert process.wait(30) == 0
    process.stdout.close()


def test_weights_are_converted_there_and_back(folder, tmp_path, capsys):
    first, second = str(tmp_path / "w.hdf5"), str(tmp_path / "w.safetensors")
    assert main(["convert", folder, first, "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["file"], about["layers"]["embed.weight"]) == (first, [14, 4])
    assert main(["convert", first, second]) == 0
    assert f"{second}: " in capsys.readouterr().out
    assert main(["convert", first, second]) == 1
    assert "w.safetensors exists: give another name" in capsys.readouterr().err
    assert main(["convert", "nothing", second, "--force"]) == 1
    assert "there is no model 'nothing'" in capsys.readouterr().err


def test_resume_wants_files(folder, capsys):
    assert main(["encode", "a day", "--model", folder, "--resume"]) == 1
    assert "--resume needs --input FILE and --out FILE" in capsys.readouterr().err


def test_info_says_what_the_model_is_made_of(folder, capsys):
    assert main(["info", "--model", folder, "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["classes"], about["features"], about["words"]) == (list(EMOJIS), 16, 3)
    assert main(["info", "--model", folder]) == 0
    assert "features: 16" in capsys.readouterr().out


def test_a_folder_is_exported_with_its_classes(folder, tmp_path, capsys):
    out = str(tmp_path / "m.onnx")
    assert main(["export", "--model", folder, "--out", out]) == 0
    capsys.readouterr()
    (row,) = rows_of(capsys, "emojize", "a day", "--weights", out, "--top-k", "1")
    assert row["emoji_1"] in EMOJIS


@pytest.mark.parametrize("labels", [["no", "yes"], [[1, 0], [0, 1]], [[1, 0, 0], [1, 1, 0]]])
def test_a_fine_tuned_folder_gives_the_same_as_an_onnx_file(folder, tmp_path, capsys, labels):
    texts = ["a day", "not a day"] * 6
    TorchMojiClassifier(folder, epochs=2, random_state=0).fit(texts, labels * 6).save(tmp_path / "tuned")
    out = str(tmp_path / "tuned.onnx")
    assert main(["export", "--model", str(tmp_path / "tuned"), "--out", out]) == 0
    capsys.readouterr()
    (expected,) = rows_of(capsys, "score", "a day", "--model", str(tmp_path / "tuned"), "--backend", "torch")
    (found,) = rows_of(capsys, "score", "a day", "--weights", out)
    assert found == pytest.approx(expected, abs=2e-6)
    assert len(found) == 1 + len(np.unique(labels) if isinstance(labels[0], str) else labels[0])


def test_download_says_where_the_files_are(monkeypatch, capsys):
    monkeypatch.setattr("torchmoji.weights.hub.download_original", lambda progress: ("w.bin", "v.json"))
    assert main(["download"]) == 0
    assert capsys.readouterr().out == "weights:    w.bin\nvocabulary: v.json\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no texts: give some, - for standard input, or --input FILE"),
        (["a", "--input", "x.csv"], "give texts or --input, not both"),
        (["a", "--column", "x"], "--column needs --input"),
        (["--input", "missing.csv"], "there is no file missing.csv"),
        (["a", "--out", "x.xlsx"], "its ending must be one of .csv"),
        (["a", "--model", "x", "--weights", "y"], "give --model or --weights, not both"),
        (["a", "--model", "nothing"], "there is no model 'nothing'"),
    ],
)
def test_wrong_input_is_one_line_on_stderr(folder, capsys, arguments, message):
    options = arguments if "--model" in arguments else [*arguments, "--model", folder]
    assert main(["emojize", *options]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "command", [*COMMANDS, "export", "convert", "info", "download", "demo", "finetune", "evaluate"]
)
def test_help_has_examples(capsys, command):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"torchmoji {command}" in capsys.readouterr().out.partition("examples:")[2]


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
def test_ctrl_c_is_quiet(folder):
    command = [sys.executable, "-m", "torchmoji", "emojize", "-", "--model", folder, "--json"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"a day\n" * WINDOW)
    process.stdin.flush()
    assert b"a day" in process.stdout.readline()  # it waits for more by then
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, b"")


# --- one's own model --------------------------------------------------------------------------------------


def test_finetune_evaluate_and_use_is_one_story(folder, tmp_path, capsys):
    rows = [(f"{'not ' * (n % 2)}a day", "no" if n % 2 else "yes") for n in range(40)]
    with open(tmp_path / "data.csv", "w", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *rows])
    data, out = str(tmp_path / "data.csv"), str(tmp_path / "tuned")
    options = ["--method", "new", "--batch-size", "4", "--quiet", "--json"]
    assert main(["finetune", data, "--out", out, "--model", folder, *options]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["texts"], scores["accuracy"], scores["macro_f1"]) == (8, 1.0, 1.0)
    assert main(["evaluate", data, "--model", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == scores
    assert main(["evaluate", data, "--model", out, "--all"]) == 0
    assert "texts: 40\naccuracy: 1.0" in capsys.readouterr().out
    (row,) = rows_of(capsys, "emojize", "not a day", "--model", out, "--top-k", "1")
    assert row["emoji_1"] == "no"
    (tmp_path / "data.csv").write_text("text,label\na day,maybe\nnot a day,yes\na day,no\na day,no\nday,no\n")
    assert main(["evaluate", data, "--model", out]) == 1
    assert "has labels ['maybe'], the model knows ['no', 'yes']" in capsys.readouterr().err


def test_evaluate_takes_the_test_part_of_fine_tuning(folder, tmp_path, capsys):
    rows = [f"{'not ' * (n % 2)}a day of {n},{'no' if n % 2 else 'yes'}" for n in range(20)]
    data, out = tmp_path / "data.csv.gz", str(tmp_path / "tuned")
    data.write_bytes(gzip.compress("\n".join(["text,label", *rows]).encode()))
    options = ["--model", folder, "--epochs", "1", "--quiet", "--json", "--seed", "7"]
    assert main(["finetune", str(data), "--out", out, *options]) == 0
    scores = json.loads(capsys.readouterr().out)
    seen = []
    read = datasets.read_labelled_texts

    def watched(path, *, seed, needs_split):
        seen.append((seed, needs_split))
        return read(path, seed=seed, needs_split=needs_split)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "read_labelled_texts", watched)
        assert main(["evaluate", str(data), "--model", out, "--json"]) == 0
    assert (json.loads(capsys.readouterr().out), seen) == (scores, [(7, True)])
    (tmp_path / "two.csv").write_text("text,label\na day,yes\nnot a day,no\n")
    assert main(["evaluate", str(tmp_path / "two.csv"), "--model", out, "--all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["texts"] == 2
    assert main(["finetune", str(data), "--out", out, *options]) == 1
    assert "has a model: give another name, or --force to replace it" in capsys.readouterr().err
    assert main(["finetune", str(data), "--out", out, *options, "--force"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["emojize", "hi", "-"], "- stands for all texts of standard input: give it alone"),
        (["export", "--out", "m.txt"], "its ending must be .onnx"),
        (["convert", "default", "w.xyz"], "unknown file ending '.xyz' of w.xyz"),
    ],
)
def test_other_wrong_input_is_one_line_too(capsys, arguments, message):
    assert main(arguments) == 1
    assert message in capsys.readouterr().err


def test_evaluate_wants_a_fine_tuned_model(folder, tmp_path, capsys):
    assert main(["evaluate", "data.csv", "--model", folder]) == 1
    assert "give a folder of TorchMojiClassifier.save" in capsys.readouterr().err
