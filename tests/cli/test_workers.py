"""`--workers` of the commands that take texts."""

import json
import os
import signal
import subprocess
import sys

import pytest
from joblib import cpu_count
from support.processes import children, is_running, needs_proc, wait_for

from torchmoji.cli.main import main
from torchmoji.runtime import workers

LINES = "".join(f"{'not ' * (number % 7)}a day\n\n" for number in range(1500))


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text(LINES)
    return path


@pytest.fixture
def pools(monkeypatch):
    """The pools that were made."""
    made = []

    class Noted(workers.Workers):
        def __init__(self, load, workers, threads):
            super().__init__(load, workers, threads)
            made.append((self.workers, self.threads))

    monkeypatch.setattr(workers, "Workers", Noted)
    return made


@pytest.mark.parametrize(
    ("command", "ending"),
    [
        ("encode", ".npy"),
        ("score", ".jsonl"),
        pytest.param("emojize", ".csv", marks=pytest.mark.nightly),
        pytest.param("emotions", ".tsv", marks=pytest.mark.nightly),
        pytest.param("attention", ".jsonl", marks=pytest.mark.nightly),
    ],
)
def test_files_are_the_same_with_workers(tiny_folder, texts, pools, monkeypatch, capsys, command, ending):
    plain, found = (texts.with_name(name + ending) for name in ("plain", "found"))
    options = [command, str(texts), "--model", tiny_folder, "--backend", "onnx", "--threads", "1"]
    assert main([*options, "--out", str(plain), "--quiet"]) == 0
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main([*options, "--out", str(found), "--workers", "2"]) == 0
    assert found.read_bytes() == plain.read_bytes()
    assert pools == [(2, 1)]
    assert "3000/3000" in capsys.readouterr().err


def test_encode_goes_on_with_workers(tiny_folder, texts, pools, capsys):
    options = ["encode", str(texts), "--model", tiny_folder, "--backend", "onnx", "--out"]
    out, plain = texts.with_name("a.jsonl"), texts.with_name("plain.jsonl")
    assert main([*options, str(plain)]) == 0
    with open(texts, "ab") as file:
        file.write(b"\xff\n")  # met after the windows of the lines before
    assert main([*options, str(out), "--workers", "2"]) == 1
    assert "line 3001, is not UTF-8" in capsys.readouterr().err
    note = json.loads(texts.with_name("a.jsonl.partial.json").read_text())
    assert note["rows"] == 2048  # nothing that was computed is lost
    assert pools == [(2, max(1, cpu_count() // 2))]


def test_standard_input_in_workers(tiny_folder, pools):
    command = [sys.executable, "-m", "torchmoji", "emojize", "-", "--json", "--model", tiny_folder]
    results = [
        subprocess.run([*command, *more], input=LINES.encode(), capture_output=True, check=True).stdout
        for more in ([], ["--workers", "2"])
    ]
    assert results[0] == results[1]
    assert results[0].count(b"\n") == 3000


@needs_proc
def test_ctrl_c_ends_workers_and_says_how_to_go_on(tiny_folder, texts):
    texts.write_text("a day not a day\n" * 300_000)
    command = ["encode", texts, "--model", tiny_folder, "--out", texts.with_name("a.npy"), "--workers", "2"]
    with subprocess.Popen(
        [sys.executable, "-m", "torchmoji", *command, "--quiet"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_for(lambda: texts.with_name("a.npy.partial.json").exists())
        pids = children(process.pid)
        assert len(pids) == 2
        os.killpg(process.pid, signal.SIGINT)
        errors = process.stderr.read()
    assert process.returncode == 130
    assert errors == "torchmoji: stopped: the same command with --resume goes on where it was\n"
    assert not any(map(is_running, pids))
