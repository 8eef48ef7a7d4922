"""The command as a process: starting, standard streams, exit statuses."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from torchmoji import __version__
from torchmoji.cli.main import main

TEXT = "I love mom's cooking"
COMMAND = [sys.executable, "-m", "torchmoji"]
COMMANDS = [
    *("emojize", "score", "emotions", "attention", "explain", "encode", "finetune", "evaluate"),
    *("build-corpus", "pretrain", "info", "export", "convert", "download", "demo"),
]


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"torchmoji {__version__}\n"


def test_help_has_examples_of_each_command(capsys):
    for command in COMMANDS:
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        assert f"torchmoji {command}" in capsys.readouterr().out.partition("examples:")[2]


def test_help_does_not_import_torch():
    code = """
import sys
from torchmoji.cli.main import main
try:
    main(["emojize", "--help"])
finally:
    assert "torch" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    assert "examples:" in result.stdout


def test_the_first_emoji_is_there_soon_and_without_torch():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    code = f"""
import sys
from torchmoji.cli.main import main
main(["emojize", {TEXT!r}])
assert "torch" not in sys.modules
"""
    start = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert (result.returncode, result.stderr) == (0, "")
    assert "😋" in result.stdout
    assert time.perf_counter() - start < 5


def test_the_package_is_a_module_and_emojis_are_escaped_where_the_terminal_has_none():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(
        [*COMMAND, "emojize", TEXT], capture_output=True, encoding="ascii", check=True, env=environment
    )
    assert result.stdout.startswith(f"{TEXT}\n  \\U0001f60b")


@pytest.mark.skipif(os.name == "nt", reason="pipes are closed in another way there")
def test_a_reader_that_goes_away_is_no_error_message():
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run(
        [*COMMAND, "emojize", TEXT], stdout=write_end, stderr=subprocess.PIPE, encoding="utf-8"
    )
    os.close(write_end)
    assert (result.returncode, result.stderr) == (1, "")


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
def test_each_line_of_standard_input_is_answered_at_once_until_ctrl_c():
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([*COMMAND, "emojize", "-", "--json"], **streams)
    for text in ("a day", "", "ünïcödé"):
        process.stdin.write(f"{text}\r\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["text"] == text  # blocks where it waits for more
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, b"")
