"""The commands `build-corpus` and `pretrain`, one after the other, as a user gives them."""

import json

import pytest
from support.pretraining import notes_of
from support.small_corpus import CUES, EMOJIS, FILLERS, texts, write_texts

from torchmoji.cli.main import main

SMALL = [*("--embedding-dim", "6", "--hidden-size", "5", "--batch-size", "8"), *("--learning-rate", "0.02")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    write_texts(folder / "texts.txt", [*texts(120), "nothing here", "RT again 😂"])
    return folder


@pytest.fixture(scope="module")
def corpus(folder):
    command = ["build-corpus", str(folder / "texts.txt"), "--out", str(folder / "corpus"), "--quiet"]
    options = ["--validation", "0.2", "--keep-near-duplicates", "--workers", "1"]
    assert main([*command, "--emojis", " ".join(EMOJIS), *options]) == 0
    return str(folder / "corpus")


def test_a_corpus_becomes_a_model_that_guesses(folder, corpus, capsys):
    out = str(folder / "model")
    assert main(["pretrain", corpus, "--out", out, *SMALL, "--passes", "8", "--int8", "--quiet"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"{out}: ")
    assert printed[1].startswith("  this model, as stored: first guess ")
    assert main(["emojize", "such a sad day", "--model", out, "--top-k", "1"]) == 0
    assert "😭" in capsys.readouterr().out
    assert "torchmoji" in (folder / "model" / "README.md").read_text(encoding="utf-8")


def test_the_corpus_is_summed_up(folder, corpus, tmp_path, capsys):
    write_texts(tmp_path / "more.txt", ["so funny 😂", "so sad 😭", "so funny 😂", "no emoji"])
    command = ["build-corpus", str(tmp_path / "more.txt"), "--out", str(tmp_path / "corpus"), "--quiet"]
    assert main([*command, "--min-count", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'corpus'}: 2 of 4 texts",
        "  train: 2 texts, 2 samples, 100.0% of the tokens known",
        "  vocabulary: 13 words",
        "  left out, no emoji: 1",
        "  left out, duplicate: 1",
    ]


def test_the_encoding_of_the_inputs_may_be_named(tmp_path, capsys):
    path = tmp_path / "texts.txt"
    path.write_bytes("so grün 😂\n".encode("utf-16"))
    command = ["build-corpus", str(path), "--out", str(tmp_path / "corpus"), "--min-count", "1", "--quiet"]
    assert main(command) == 1
    assert "is not UTF-8 (byte 0xff): " in (told := capsys.readouterr().err)
    assert "or name its encoding with --encoding" in told
    assert main([*command, "--encoding", "utf-61"]) == 1
    assert "unknown encoding: utf-61: give one such as utf-8" in capsys.readouterr().err
    assert main([*command, "--encoding", "utf-16"]) == 0
    manifest = json.loads((tmp_path / "corpus" / "manifest.json").read_text("utf-8"))
    assert (manifest["counts"]["kept"], manifest["settings"]["encoding"]) == (1, "utf-16")


def test_a_json_array_is_a_table_of_records(tmp_path, capsys):
    path = tmp_path / "texts.json"
    records = [{"text": "so funny 😂"}, {"text": "so sad 😭"}, {"text": "no emoji\n"}]
    for layout in (None, 1):
        path.write_text(json.dumps(records, ensure_ascii=False, indent=layout), encoding="utf-8")
        out = str(tmp_path / f"corpus-{layout}")
        assert main(["build-corpus", str(path), "--out", out, "--quiet", "--json", "--min-count", "1"]) == 0
        counts = json.loads(capsys.readouterr().out)["counts"]
        assert (counts["texts"], counts["kept"]) == (3, 2)
    path.write_text('[{"text": "so funny 😂"},\n {"body": 1}]', encoding="utf-8")
    assert main(["build-corpus", str(path), "--out", str(tmp_path / "c"), "--quiet"]) == 1
    assert "texts.json, line 2, has no column 'text', only 'body'" in capsys.readouterr().err


def test_folders_that_hold_something_else_are_left(folder, corpus, tiny_folder, tmp_path, capsys):
    (tmp_path / "vocabulary.json").write_text("mine")
    for command in (["pretrain", corpus, *SMALL], ["build-corpus", str(folder / "texts.txt")]):
        assert main([*command, "--out", str(tmp_path), "--quiet"]) == 1
        assert "has vocabulary.json: give another name, or --force" in capsys.readouterr().err
        assert main([*command, "--out", "", "--quiet"]) == 1
        assert "--out must be a folder, got ''" in capsys.readouterr().err
    assert (tmp_path / "vocabulary.json").read_text() == "mine"
    options = ["--start-from", tiny_folder, "--force"]
    assert main(["pretrain", corpus, *SMALL, "--out", tiny_folder, *options]) == 1
    assert "would replace the input" in capsys.readouterr().err


def test_force_replaces_a_run_with_other_settings_and_files_of_others(corpus, tmp_path, capsys, caplog):
    out = tmp_path / "model"
    out.mkdir()
    (out / "metrics.jsonl").write_text("mine")
    command = ["pretrain", corpus, *SMALL, "--out", str(out), "--quiet", "--passes"]
    assert main([*command, "0.1"]) == 1
    assert "was not written by a training: name another folder, or --force to" in capsys.readouterr().err
    assert (out / "metrics.jsonl").read_text() == "mine"
    assert main([*command, "0.1", "--force"]) == 0
    capsys.readouterr()
    assert main([*command, "0.2"]) == 1
    assert "(--passes was 0.1, is 0.2): use those, name another folder, or --force" in capsys.readouterr().err
    assert main([*command, "0.2", "--start-from", str(out), "--force"]) == 1
    assert "would replace the input" in capsys.readouterr().err
    assert main([*command, "0.2", "--force"]) == 0
    assert "is 0.2): another run begins in its place" in caplog.text
    assert notes_of(out)["identity"]["passes"] == 0.2


def test_results_are_json_for_programs(folder, corpus, tmp_path, capsys):
    write_texts(tmp_path / "a.txt", ["so funny 😂"])
    as_json = ["--quiet", "--json", "--out"]
    assert main(["build-corpus", str(tmp_path / "a.txt"), *as_json, str(tmp_path / "c")]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["kept"] == 1
    assert main(["pretrain", corpus, *SMALL, "--passes", "0.2", *as_json, str(tmp_path / "m")]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["steps"] >= 1
    assert "first_five" in summary["scores"]["this model, as stored"]


def test_every_option_of_the_corpus_arrives_in_the_manifest(tmp_path, capsys):
    words = tmp_path / "words.txt"
    words.write_text("\n".join([*CUES, *FILLERS]))
    path = tmp_path / "texts.csv"
    path.write_text("".join(f"{number % 2},{text[:-1]}\n" for number, text in enumerate(texts(18))))
    command = [
        *("build-corpus", str(path), "--out", str(tmp_path / "corpus"), "--quiet", "--json"),
        *("--no-header", "--text-column", "2", "--labels-column", "1", "--emojis", "😂,😭"),
        *("--nb-tokens", "30", "--hashtags", "3", "--min-count", "1"),
        *("--min-words", "2", "--max-tokens", "7"),
        *("--language", str(words), "--keep-retweets", "--keep-links", "--drop-mentions"),
        *("--keep-duplicates", "--keep-near-duplicates", "--keep-text", "--skip-bad-lines"),
        *("--emoticons", "--put-in", "0.5"),
        *("--validation-from", str(path.with_name("more.csv")), "--workers", "1"),
    ]
    path.with_name("more.csv").write_text("0,such a funny day\n")
    assert main(command) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["classes"] == ["😂", "😭"]
    rules = manifest["rules"]
    assert len(rules.pop("language")) == 64
    assert rules == {
        "min_words": 2,
        "max_tokens": 7,
        "keep_retweets": True,
        "keep_links": True,
        "keep_mentions": False,
        "keep_duplicates": True,
        "keep_near_duplicates": True,
        "emoticons": True,
        "put_in": 0.5,
    }
    assert manifest["settings"] == {
        "columns": {"text": "2", "labels": "1", "header": False},
        "nb_tokens": 30,
        "hashtags": 3,
        "min_count": 1,
        "validation": 0.0,
        "skip_bad_lines": True,
        "keep_text": True,
    }
    assert manifest["splits"]["validation"]["rows"] == 1


def test_settings_arrive_in_the_checkpoint(corpus, tmp_path):
    changes = ["--max-length", "40", "--average", "0.9", "--seed", "7", "--float32", "--passes", "0.1"]
    assert main(["pretrain", corpus, "--out", str(tmp_path), *SMALL, *changes, "--quiet"]) == 0
    identity = notes_of(tmp_path)["identity"]
    assert identity["max_length"] == 40
    assert identity["average"] == 0.9
    assert (identity["seed"], identity["bfloat16"], identity["hidden_size"]) == (7, False, 5)
    assert identity["soft_targets"] is None
    assert identity["start_from"] is None


def test_precision_is_asked_for_or_left_to_the_machine(corpus, tmp_path, monkeypatch, capsys):
    from torchmoji.pretraining import loop as pretraining_run

    monkeypatch.setattr(pretraining_run, "has_fast_bfloat16", lambda device: False)
    command = ["pretrain", corpus, *SMALL, "--passes", "0.1", "--quiet", "--device", "cpu", "--out"]
    for options, expected in (([], False), (["--bfloat16"], True), (["--float32"], False)):
        out = tmp_path / "-".join(["of", *options])
        assert main([*command, str(out), *options]) == 0
        assert notes_of(out)["identity"]["bfloat16"] is expected
    with pytest.raises(SystemExit):
        main([*command, str(tmp_path / "both"), "--bfloat16", "--float32"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_a_run_starts_from_a_model(corpus, tmp_path, caplog):
    command = ["pretrain", corpus, *SMALL, "--passes", "0.1", "--out"]
    assert main([*command, str(tmp_path / "first"), "--quiet"]) == 0
    caplog.set_level("INFO", logger="torchmoji")
    assert main([*command, str(tmp_path / "second"), "--quiet", "--start-from", str(tmp_path / "first")]) == 0
    assert "4 of 4 emojis are its own" in caplog.text


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["build-corpus", "no-such.txt", "--out", "x"], "no-such.txt stands for no file"),
        (["build-corpus", "a.txt", "--out", "x", "--emojis", "abc"], "'abc' is not an emoji"),
        (
            ["build-corpus", "a.txt", "--out", "x", "--workers", "0"],
            "--workers must be a whole number from 1",
        ),
        (["pretrain", "no-such", "--out", "x"], "no-such has no manifest.json: it is no corpus"),
        (["pretrain", "corpus", "--out", "x", "--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (
            ["pretrain", "corpus", "--out", "x", *SMALL, "--learning-rate", "1e38", "--float32"],
            "try a lower --learning-rate than 1e+38 or more --warmup-steps, in another",
        ),
        (
            ["pretrain", "corpus", "--out", "x", *SMALL, "--learning-rate", "1e38", "--bfloat16"],
            "try a lower --learning-rate than 1e+38, more --warmup-steps or --float32, in another folder",
        ),
        (["pretrain", "corpus", "--out", "x", "--device", "cuda:99"], "there is no device cuda:99"),
        (["pretrain", "corpus", "--out", "x", "--device", "gpu"], "cannot use device 'gpu'"),
        (["pretrain", "corpus", "--out", "corpus", "--force"], "would replace the input"),
    ],
)
def test_wrong_input_is_one_line_on_stderr(folder, corpus, tmp_path, monkeypatch, capsys, command, message):
    monkeypatch.chdir(tmp_path)
    write_texts("a.txt", ["so funny 😂"])
    given = [corpus if part == "corpus" else part for part in command]
    assert main([*given, "--quiet"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
