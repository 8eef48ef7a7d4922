"""The command as a process: starting, standard streams, exit statuses."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from torchmoji import __version__
from torchmoji.cli.arguments import Parser, in_options
from torchmoji.cli.main import main

TEXT = "I love mom's cooking"
COMMAND = [sys.executable, "-m", "torchmoji"]
COMMANDS = [
    *("emojize", "predict", "score", "emotions", "attention", "explain", "encode", "finetune", "evaluate"),
    *("build-corpus", "pretrain", "info", "export", "convert", "download", "serve", "demo", "completion"),
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
from torchmoji.cli.arguments import Parser, in_options
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
    code = f"""
import sys
from torchmoji.cli.arguments import Parser, in_options
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
    printed = subprocess.check_output([*COMMAND, "emojize", TEXT], encoding="ascii", env=environment)
    assert printed.startswith(f"{TEXT}\n  \\U0001f60b")


@pytest.mark.skipif(os.name == "nt", reason="pipes are closed in another way there")
def test_a_reader_that_goes_away_is_no_error_message():
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [*COMMAND, "emojize", TEXT]
    result = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, encoding="utf-8")
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
    assert (process.returncode, errors) == (130, b"torchmoji: stopped: the same command begins anew\n")


def test_without_arguments_there_is_help(capsys):
    assert main([]) == 0
    assert "COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "usage", "message"),
    [
        (["emojise", "a"], "usage: torchmoji [-h]", "do you mean emojize?"),
        (["emojize", "a", "--topk", "3"], "usage: torchmoji emojize", "do you mean --top-k?"),
        (["finetune", "a.csv", "--output", "x"], "usage: torchmoji finetune", "--out"),
        (["evaluate", "a.csv", "--model", "m", "b.csv"], "usage: torchmoji evaluate", "unrecognized"),
        (["emojize", "-hahaha"], "usage: torchmoji emojize", "begins with - stands behind --"),
        (["emojize", "-_-"], "usage: torchmoji emojize", "a text that begins with - stands behind --"),
        (["emojize", "a", "--balance", "2"], "usage: torchmoji emojize", "2 is not from 0 to 1"),
        (["emojize", "a", "--threads", "0"], "usage: torchmoji emojize", "0 is not 1 or more"),
        *(
            (
                ["pretrain", "c", f"--checkpoint-minutes={n}"],
                "usage: torchmoji pretrain",
                f"{n} is not a finite",
            )
            for n in ("nan", "-1", "inf")
        ),
        *(
            (["finetune", "a", "--seed", n], "usage: torchmoji finetune", f"{n} is not from 0 to 4294967295")
            for n in ("-1", "99999999999")
        ),
        *(
            (["encode", "a", "--workers", n], "usage: torchmoji encode", "argument --workers: ")
            for n in ("0", "-1", "1.5")
        ),
    ],
)
def test_a_wrong_option_shows_the_usage_of_its_command_and_what_is_meant(capsys, arguments, usage, message):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    errors = capsys.readouterr().err
    assert errors.startswith(usage)
    assert message in errors


def test_messages_name_options_where_the_library_names_parameters():
    parser = Parser()
    for name in ("--batch-size", "--precision", "--vocabulary", "--device", "--windows", "--workers"):
        parser.add_argument(name)
    parser.add_argument("--fast", action="store_const", const=True, dest="quick")
    parser.add_argument("--slow", action="store_const", const=False, dest="quick")
    for message, expected in {
        "set quick=True, or quick=False": "set --fast, or --slow",
        "batch_size must be at least 1": "--batch-size must be at least 1",
        "give it as vocabulary=": "give it as --vocabulary",
        "leave out device='cuda', or": "leave out --device 'cuda', or",
        "workers=1 does without": "--workers 1 does without",
        "windows=True reads more": "--windows reads more",
        "dtype must be another": "--precision must be another",
        "its windows and its vocabulary differ": "its windows and its vocabulary differ",
        """a/batch_size.csv: "batch_size" must be""": """a/batch_size.csv: "batch_size" must be""",
    }.items():
        assert in_options(message, parser) == expected


def test_warnings_name_options_too():
    command = [*COMMAND, "emojize", "a b c", "--max-length", "2"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert result.stderr == (
        "torchmoji: 1 of 1 texts are longer than 2 tokens and were cut: --max-length takes more, --windows "
        "averages over windows\n"
    )


@pytest.mark.parametrize("error", [RuntimeError("of torch\non two lines"), RecursionError(), KeyError("x")])
def test_an_error_that_nobody_foresaw_is_one_line(monkeypatch, capsys, error):
    def fail(options):
        raise error

    monkeypatch.setattr("torchmoji.cli.models.load_pipeline", fail)
    assert main(["info"]) == 1
    errors = capsys.readouterr().err
    assert f"torchmoji: {type(error).__name__}: " in errors
    assert errors.count("\n") == 1
    monkeypatch.setenv("TORCHMOJI_TRACEBACK", "1")
    with pytest.raises(type(error)):
        main(["info"])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_behind_standard_output_is_one_line():
    with open("/dev/full", "w") as full:
        result = subprocess.run([*COMMAND, "info"], stdout=full, stderr=subprocess.PIPE, encoding="utf-8")
    assert result.returncode == 1
    assert "cannot write standard output (No space left on device): free some" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_shells_complete_commands_and_options(capsys, shell):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "emojize" in script
    assert "output-dir" in script


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        (["pretrain", "c", "--out", "x"], "stopped: the same command goes on where it was"),
        (["build-corpus", "c", "--out", "x"], "stopped: the same command goes on where it was"),
        (["download"], "stopped: the same command goes on where it was"),
        (["emojize", "a", "--out", "x.csv"], "stopped: what was not whole is not written"),
        (["score", "a"], "stopped: the same command begins anew"),
        (["encode", "a", "--out", "half.npy"], "stopped: the same command with --resume goes on"),
    ],
)
def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch, capsys, command, advice):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    for name in ("half.npy.partial", "half.npy.partial.json"):
        (tmp_path / name).touch()
    for place in (
        *("corpus.build.build_corpus", "pretraining.pretraining.pretrain", "weights.hub.download_original"),
        "cli.texts.load_pipeline",
    ):
        monkeypatch.setattr(f"torchmoji.{place}", stop)
    assert main(command) == 130
    assert advice in capsys.readouterr().err
