"""torchmoji.files.resumable: unfinished files, which can be continued and which cannot."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support.hostile import check_mutations

from torchmoji.cli.main import main
from torchmoji.files import resumable as resuming
from torchmoji.files.resumable import ROWS_AT_ONCE, PartialFile, fingerprint

ABOUT = {"input": [1, 2], "model": "m"}


class Interrupted(Exception):
    pass


def rows(start, end, fail_at=None):
    for number in range(start, end):
        if number == fail_at:
            raise Interrupted
        yield {"text": f"text {number}\nof two lines", "features": [number, 0.5]}


def write(path, nb_rows, resume=False, fail_at=None, about=ABOUT):
    with PartialFile(path, 2, about, resume) as file:
        start = file.done
        source = rows(start, nb_rows, fail_at)
        if path.suffix == ".npy":
            file.write_arrays(np.array(row["features"], np.float32) for row in source)
        else:
            file.write_rows(source)
    return start


@pytest.fixture
def few_at_once(monkeypatch):
    monkeypatch.setattr(resuming, "ROWS_AT_ONCE", 4)


@pytest.mark.parametrize("kind", ["npy", "csv", "tsv", "jsonl"])
@pytest.mark.parametrize(("fail_at", "start"), [(3, 0), (4, 4), (11, 8)])
def test_a_resumed_file_has_the_bytes_of_an_undisturbed_one(few_at_once, tmp_path, kind, fail_at, start):
    whole, path = tmp_path / f"whole.{kind}", tmp_path / f"out.{kind}"
    write(whole, 12)
    with pytest.raises(Interrupted):
        write(path, 12, fail_at=fail_at)
    assert not path.exists()
    assert write(path, 12, resume=True) == start
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([whole.name, path.name])


def test_an_array_can_be_read_and_may_be_empty(few_at_once, tmp_path):
    write(tmp_path / "out.npy", 6)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), [[number, 0.5] for number in range(6)])
    write(tmp_path / "none.npy", 0)
    assert np.load(tmp_path / "none.npy").shape == (0, 2)


def test_what_cannot_be_continued_is_not_left(few_at_once, tmp_path):
    with pytest.raises(Interrupted):
        write(tmp_path / "out.csv", 12, fail_at=3)
    assert list(tmp_path.iterdir()) == []


def test_texts_of_rows_that_are_there_are_left_out(few_at_once, tmp_path):
    with pytest.raises(Interrupted):
        write(tmp_path / "out.csv", 12, fail_at=9)
    with PartialFile(tmp_path / "out.csv", 2, ABOUT, resume=True) as file:
        assert list(file.skip("abcdefghij")) == ["i", "j"]
    with pytest.raises(Interrupted):
        write(tmp_path / "out.csv", 12, fail_at=9)
    assert write(tmp_path / "out.csv", 12, resume=False) == 0


def test_half_a_file_of_something_else_is_refused(few_at_once, tmp_path):
    with pytest.raises(Interrupted):
        write(tmp_path / "out.csv", 12, fail_at=11)
    with pytest.raises(ValueError, match=r"out.csv.partial was made from another model: delete it to begin"):
        write(tmp_path / "out.csv", 12, resume=True, about={**ABOUT, "model": "other"})
    os.truncate(tmp_path / "out.csv.partial", 10)
    with pytest.raises(ValueError, match=r"out.csv.partial is shorter than it was"):
        write(tmp_path / "out.csv", 12, resume=True)


@pytest.mark.parametrize("kind", ["npy", "csv", "jsonl"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 4}, "out.{}.partial is not as it was written, or the number of its rows: delete it to"),
        ({"rows": 9}, "or the number of its rows"),
        ({"bytes": -3}, "out.{}.partial.json is damaged: delete it and out.{}.partial to begin anew"),
        ({"bytes": 11}, "is not as it was written"),
        ({"bytes": 10**30}, "is shorter than it was"),
        ({"sha256": ["x"]}, "is not as it was written"),
        ({"rows": True}, "is damaged"),
        ({"about": "x"}, "is damaged"),
        ("[" * 100_000, "is damaged"),
        ("\0", "is damaged"),
    ],
)
def test_a_note_that_does_not_fit_its_rows_is_refused(few_at_once, tmp_path, kind, change, message):
    path, note = tmp_path / f"out.{kind}", tmp_path / f"out.{kind}.partial.json"
    with pytest.raises(Interrupted):
        write(path, 12, fail_at=9)
    broken = change if isinstance(change, str) else json.dumps(json.loads(note.read_text()) | change)
    note.write_text(broken)
    with pytest.raises(ValueError, match=re.escape(message.format(kind, kind))):
        write(path, 12, resume=True)


@pytest.mark.parametrize("kind", ["npy", "csv", "jsonl"])
def test_damaged_halves_are_value_errors_and_no_results(few_at_once, tmp_path, kind):
    path = tmp_path / f"out.{kind}"
    with pytest.raises(Interrupted):
        write(path, 12, fail_at=9)
    note, half = (tmp_path / f"out.{kind}.partial{suffix}" for suffix in (".json", ""))
    before = note.read_bytes(), half.read_bytes()

    def go_on(changed):
        PartialFile(path, 2, ABOUT, resume=True)._sound_bytes()

    def go_on_with_rows(changed):
        size = json.loads(before[0])["bytes"]
        if half.read_bytes()[:size] != before[1][:size]:
            with pytest.raises(ValueError, match=r"partial is (not as it was written|shorter)"):
                go_on(changed)

    check_mutations(note, go_on, (ValueError,))
    check_mutations(half, go_on_with_rows, ())
    assert write(path, 12, resume=True) == 8


def test_an_input_that_became_shorter_is_no_result(few_at_once, tmp_path):
    with pytest.raises(Interrupted):
        write(tmp_path / "out.csv", 12, fail_at=9)
    with (
        pytest.raises(ValueError, match=r"out.csv.partial has 8 rows, the input 3 texts: delete it"),
        PartialFile(tmp_path / "out.csv", 2, ABOUT, resume=True) as file,
    ):
        file.skip("abc")


def test_links_beside_a_file_are_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out.csv.partial").symlink_to(tmp_path / "precious")
    with pytest.raises(ValueError, match=r"out.csv.partial is a link"):
        write(tmp_path / "out.csv", 12)
    assert (tmp_path / "precious").read_text() == "mine"


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"--resume takes files with one of the endings \.csv, \.tsv"):
        PartialFile(tmp_path / "out.parquet", 2, ABOUT, resume=True)


def test_two_processes_do_not_write_one_file(tmp_path):
    with (
        PartialFile(tmp_path / "out.csv", 2, ABOUT, resume=False),
        pytest.raises(BlockingIOError, match=r"another process writes .*out.csv"),
    ):
        write(tmp_path / "out.csv", 1)


def test_a_file_is_known_by_content_or_by_size_and_time(tmp_path):
    for name, text in (("a", "one"), ("b", "one"), ("c", "two")):
        (tmp_path / name).write_text(text)
    a, b, c = (fingerprint(tmp_path / name, content=True) for name in "abc")
    assert a == b != c
    assert fingerprint(tmp_path / "a")[0] == 3


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed in another way there")
def test_encode_goes_on_after_a_kill_and_gives_the_same_bytes(tiny_folder, tmp_path):
    texts, out, whole = (tmp_path / name for name in ("texts.txt", "out.npy", "whole.npy"))
    texts.write_text("".join(f"a day of {number}\n" for number in range(6 * ROWS_AT_ONCE)))
    command = ["encode", "--input", str(texts), "--model", tiny_folder, "--out"]
    assert main([*command, str(whole)]) == 0
    note = tmp_path / "out.npy.partial.json"
    process = subprocess.Popen([sys.executable, "-m", "torchmoji", *command, str(out)])
    while not note.exists():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert 0 < json.loads(note.read_text())["rows"] < 6 * ROWS_AT_ONCE
    assert main([*command, str(out), "--resume"]) == 0
    assert out.read_bytes() == whole.read_bytes()
    assert not note.exists()
