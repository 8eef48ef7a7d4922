"""Files to a folder of parts: what is in them, and what a second run does."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from support.processes import children, needs_proc, wait_for

from torchmoji import MojiPipeline
from torchmoji.batch import BatchEncoder, encode_files
from torchmoji.batch import parts as parts_module
from torchmoji.batch.job import MANIFEST
from torchmoji.cli.main import main


@pytest.fixture(scope="module")
def encoder(tiny_folder):
    return BatchEncoder(tiny_folder, outputs=("features",))


@pytest.fixture
def texts(tmp_path):
    """300 rows in three formats, three of which cannot be read and three of which have no text."""
    folder = tmp_path / "texts"
    (folder / "more").mkdir(parents=True)
    rows = "".join(f"{number},a day {'not ' * (number % 5)}\n" for number in range(98))
    (folder / "a.csv").write_text(f"n,text\n{rows}1,2,3\n7\n", encoding="utf-8")
    lines = [{"n": number, "text": "not a day", "at": {"x": 1.5}} for number in range(96)]
    lines += [{"n": "half \ud83d", "text": "a \ud83d"}, {"text": 5}]
    (folder / "b.jsonl").write_text("\n".join([*map(json.dumps, lines), "{", '{"n": 1}']), encoding="utf-8")
    table = pyarrow.table({"text": ["day"] * 100, "when": pyarrow.array(range(100), pyarrow.timestamp("ms"))})
    pyarrow.parquet.write_table(table, folder / "more" / "c.parquet")
    (folder / "_SUCCESS").touch()
    return folder


def parts(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*")}


def manifest(folder):
    return json.loads((folder / MANIFEST).read_text("utf-8"))


def test_every_row_is_there_once_with_its_columns_and_results(texts, tmp_path, encoder, tiny_folder):
    report = encode_files(texts, tmp_path / "out", encoder, shards=7)
    assert (report.rows_in, report.rows_out, report.errors, report.parts) == (300, 300, 5, 7)
    table = pyarrow.parquet.read_table(tmp_path / "out")
    names = ["row", "n", "text", "at", "when", "features", "error"]
    assert table.schema.names == names
    types = [str(table.schema.field(name).type) for name in names[1:6]]
    assert types[:4] == ["string", "string", "struct<x: double>", "timestamp[ms]"]
    assert types[4].startswith("list<")  # of a fixed size pyarrow before 26 could not read them
    rows = table.to_pylist()
    assert [row["row"] for row in rows] == list(range(300))
    assert [row["n"] for row in rows[:3]] == ["0", "1", "2"]
    assert (rows[100]["n"], rows[100]["at"]) == ("0", {"x": 1.5})
    assert (rows[196]["n"], rows[196]["text"]) == ("half \\ud83d", "a \\ud83d")
    errors = {number: row["error"] for number, row in enumerate(rows) if row["error"]}
    assert list(errors) == [98, 99, 197, 198, 199]
    reasons = ["has 3 cells", "has no value", "has 5", "is not JSON", "has no column 'text'"]
    for number, reason in zip(errors, reasons, strict=True):
        assert reason in errors[number]
        assert rows[number]["features"] is None
    good = [number for number in range(300) if number not in {*errors, 196}]
    pipeline = MojiPipeline.from_pretrained(tiny_folder)
    np.testing.assert_allclose(
        [rows[number]["features"] for number in good],
        pipeline.encode([rows[number]["text"] for number in good]),
        atol=1e-6,
    )


def test_the_manifest_has_counts_and_checksums(texts, tmp_path, encoder):
    encode_files(texts, tmp_path / "out", encoder, rows_per_part=100)
    about = manifest(tmp_path / "out")
    assert about["total"]["rows"] == 300
    assert about["total"]["keys"] == sum(range(300))
    assert [file[1] for file in about["input"]] == [100, 100, 100]
    for part, name in zip(about["parts"], sorted(parts(tmp_path / "out")), strict=True):
        data = (tmp_path / "out" / name).read_bytes()
        assert (part["name"], part["rows"], part["bytes"]) == (name, 100, len(data))
        assert part["sha256"] == hashlib.sha256(data).hexdigest()


def test_a_second_run_makes_what_is_missing_or_damaged(texts, tmp_path, encoder):
    out = tmp_path / "out"
    encode_files(texts, out, encoder, shards=4)
    before, whole = parts(out), {path.name: path.read_bytes() for path in out.glob("part-*")}
    assert sorted(before) == [f"part-0000{number}-of-00004.parquet" for number in range(4)]
    (out / "part-00001-of-00004.parquet").unlink()
    with open(out / "part-00002-of-00004.parquet", "r+b") as file:
        file.seek(50)
        file.write(b"xx")
    report = encode_files(texts, out, encoder, shards=4)
    assert (report.skipped, report.rows_out) == (2, 300)
    after = parts(out)
    assert [after[name] == before[name] for name in sorted(before)] == [True, False, False, True]
    assert {path.name: path.read_bytes() for path in out.glob("part-*")} == whole


def test_another_job_is_refused_and_replaces_only_if_forced(texts, tmp_path, encoder, tiny_folder):
    out = tmp_path / "out"
    encode_files(texts, out, encoder, shards=4)
    before = parts(out)
    other = BatchEncoder(tiny_folder, outputs=("emojis",), top_k=2)
    with pytest.raises(ValueError, match="made with another outputs= and top_k= and shards=: give another"):
        encode_files(texts, out, other, shards=3)
    with open(texts / "a.csv", "a") as file:
        file.write("1,a\n")
    with pytest.raises(ValueError, match="made with another input=:"):
        encode_files(texts, out, encoder, shards=4)
    assert parts(out) == before
    assert encode_files(texts, out, other, shards=3, force=True).rows_out == 301
    assert sorted(parts(out)) == [f"part-0000{number}-of-00003.parquet" for number in range(3)]


def test_parts_that_a_killed_job_did_not_note_do_not_stay(texts, tmp_path, encoder):
    out = tmp_path / "out"
    encode_files(texts, out, encoder, shards=6)
    about = manifest(out)
    (out / MANIFEST).write_text(json.dumps(about | {"parts": []}))
    encode_files(texts, out, encoder, shards=2, force=True)
    assert len(pyarrow.parquet.read_table(out)) == 300
    (out / "another.parquet").write_bytes((out / "part-00000-of-00002.parquet").read_bytes())
    with pytest.raises(RuntimeError, match=r"has another\.parquet, which readers would take for a part"):
        encode_files(texts, out, encoder, shards=2)


def test_the_encoding_is_part_of_what_a_job_is(tmp_path, encoder):
    (tmp_path / "a.txt").write_text("café", encoding="utf-8")
    encode_files(tmp_path / "a.txt", tmp_path / "out", encoder, encoding="latin-1")
    with pytest.raises(ValueError, match="made with another encoding="):
        encode_files(tmp_path / "a.txt", tmp_path / "out", encoder)


def test_no_row_is_read_twice_and_hidden_folders_are_not_read(tmp_path, encoder):
    for name in ("a::b.txt", ".ipynb_checkpoints/a.txt", "_temporary/0/a.txt"):
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("a day\n")
    assert encode_files(tmp_path / "in", tmp_path / "out", encoder).rows_in == 1
    with pytest.raises(ValueError, match=r"a::b\.txt is named twice"):
        encode_files([tmp_path / "in" / "a::b.txt", tmp_path / "in"], tmp_path / "two", encoder)


def test_foreign_folders_and_damaged_manifests_are_refused(texts, tmp_path, encoder):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").touch()
    with pytest.raises(FileExistsError, match=r"has mine.txt and no _manifest.json"):
        encode_files(texts, out, encoder)
    (out / "mine.txt").unlink()
    (out / MANIFEST).write_text('{"parts": [{"name": "../x"}]}')
    with pytest.raises(ValueError, match="is damaged: delete the folder"):
        encode_files(texts, out, encoder, force=True)
    with pytest.raises(ValueError, match="is in the input"):
        encode_files(texts, texts / "out", encoder)


def test_a_manifest_cannot_name_files_elsewhere(texts, tmp_path, encoder):
    out = tmp_path / "out"
    encode_files(texts, out, encoder, shards=1)
    about = manifest(out)
    (tmp_path / "mine").touch()
    about["parts"][0]["name"] = "../mine"
    (out / MANIFEST).write_text(json.dumps(about | {"dtype": "float16"}))
    encode_files(texts, out, encoder, shards=1, force=True)
    assert (tmp_path / "mine").exists()


def test_strict_stops_with_the_place_and_keeps_whole_parts(texts, tmp_path, tiny_folder):
    strict = BatchEncoder(tiny_folder, strict=True)
    with pytest.raises(ValueError, match=r"a\.csv, line 100, has 3 cells"):
        encode_files(texts, tmp_path / "out", strict, shards=6)
    assert [part["rows"] for part in manifest(tmp_path / "out")["parts"]] == [50]
    assert len(os.listdir(tmp_path / "out")) == 2
    later = encode_files(texts, tmp_path / "out", BatchEncoder(tiny_folder), shards=6)
    assert (later.skipped, later.rows_out) == (1, 300)
    with pytest.raises(ValueError, match=r"a\.csv, line 100, has 3 cells"):
        encode_files(texts, tmp_path / "out", strict, shards=6)


def test_more_shards_than_rows_and_no_rows(tmp_path, encoder):
    (tmp_path / "two.txt").write_text("a day\nday\n")
    (tmp_path / "none.csv").write_text("text\n")
    assert encode_files(tmp_path / "two.txt", tmp_path / "out", encoder, shards=5).rows_out == 2
    assert encode_files(tmp_path / "none.csv", tmp_path / "nothing", encoder).parts == 1
    some, none = (pyarrow.parquet.read_table(tmp_path / name) for name in ("out", "nothing"))
    assert (len(some), len(none)) == (2, 0)
    assert some.schema == none.schema


def test_columns_of_several_types_become_texts(tmp_path, encoder):
    rows = [{"text": "a", "n": 1, "row": [1]}, {"text": "b", "n": "x", "row": "y"}, {"text": "c", "n": 2**70}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    encode_files(tmp_path / "a.jsonl", tmp_path / "out", encoder)
    table = pyarrow.parquet.read_table(tmp_path / "out")
    assert table["n"].to_pylist() == ["1", "x", str(2**70)]
    assert table["row"].to_pylist() == ["[1]", "y", None]
    assert table["row_"].to_pylist() == [0, 1, 2]


def test_objects_without_members_and_halves_of_characters_in_names_become_texts(tmp_path, encoder):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "meta": {}, "\\ud83d": [{"\\ud83d": 1}]}')
    encode_files(tmp_path / "a.jsonl", tmp_path / "out", encoder)
    (row,) = pyarrow.parquet.read_table(tmp_path / "out").to_pylist()
    assert (row["meta"], row["\\ud83d"]) == ("{}", [{"\\ud83d": 1}])


def test_columnar_files_keep_their_types(tmp_path, encoder):
    feather = pytest.importorskip("pyarrow.feather")
    feather.write_feather(pyarrow.table({"text": ["a day"], "n": [2**60]}), tmp_path / "a.feather")
    encode_files(tmp_path / "a.feather", tmp_path / "out", encoder)
    assert pyarrow.parquet.read_table(tmp_path / "out")["n"].to_pylist() == [2**60]


def test_an_input_that_changes_meanwhile_is_told(texts, tmp_path, encoder, monkeypatch):
    whole = parts_module.PartWriter.plan

    def plan(*arguments):
        writer = whole(*arguments)
        (texts / "more" / "c.parquet").unlink()
        pyarrow.parquet.write_table(pyarrow.table({"text": ["day"]}), texts / "more" / "c.parquet")
        return writer

    monkeypatch.setattr(parts_module.PartWriter, "plan", plan)
    with pytest.raises(ValueError, match="the input has changed"):
        encode_files(texts, tmp_path / "out", encoder, shards=3)
    assert len(parts(tmp_path / "out")) == 2


def test_places_elsewhere(texts, tmp_path, encoder):
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.put(str(texts / "a.csv"), "/in/a.csv")
    for skipped in (0, 3):
        assert encode_files("memory://in", "memory://out", encoder, shards=3).skipped == skipped
    names = sorted(name.rpartition("/")[2] for name in system.ls("/out", detail=False))
    assert names == [MANIFEST, *(f"part-0000{number}-of-00003.parquet" for number in range(3))]
    again = encode_files("memory://out/*.parquet", tmp_path / "again", encoder)
    assert (again.rows_in, again.errors) == (100, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shards": 0}, "shards must be a whole number from 1 on, got 0"),
        ({"workers": 1.5}, r"workers must be a whole number from 1 on, got 1\.5"),
        ({"shards": 2, "rows_per_part": 5}, "not both"),
        ({"engine": "spark"}, "engine must be one of local, ray, got 'spark'"),
        ({"gpus": 1}, "gpus= is for Ray: give engine='ray' too"),
    ],
)
def test_wrong_options(texts, tmp_path, encoder, options, message):
    with pytest.raises(ValueError, match=message):
        encode_files(texts, tmp_path / "out", encoder, **options)
    assert not (tmp_path / "out").exists()


def test_wrong_inputs(texts, tmp_path, encoder, tiny_folder):
    with pytest.raises(FileNotFoundError, match="there is no input: name files or folders"):
        encode_files([], tmp_path / "out", encoder)
    with pytest.raises(TypeError, match="encoder must be a BatchEncoder, got dict"):
        encode_files(texts, tmp_path / "out", {"column": "text"})
    with pytest.raises(FileNotFoundError, match=r"there is no file of texts at .*nothing"):
        encode_files(tmp_path / "nothing", tmp_path / "out", encoder)
    with pytest.raises(ValueError, match=r"a\.csv has no column 'tweet', only 'n', 'text'"):
        encode_files(texts, tmp_path / "out", BatchEncoder(tiny_folder, "tweet"))
    with pytest.raises(ValueError, match=r"b\.jsonl has no column 'tweet', only 'n', 'text', 'at'"):
        encode_files(texts / "b.jsonl", tmp_path / "out", BatchEncoder(tiny_folder, "tweet"))
    (tmp_path / "a.txt").write_text("a day\n")
    assert encode_files(tmp_path / "a.txt", tmp_path / "out", BatchEncoder(tiny_folder, "tweet")).errors == 0


def test_processes_make_the_same_parts(texts, tmp_path, encoder):
    for name, workers in (("one", None), ("two", 2)):
        report = encode_files(texts, tmp_path / name, encoder, shards=5, workers=workers)
        assert (report.rows_out, report.errors) == (300, 5)
    one, two = (manifest(tmp_path / name)["parts"] for name in ("one", "two"))
    assert one == two


def test_on_the_command_line(texts, tmp_path, tiny_folder, capsys):
    out = tmp_path / "out"
    command = ["encode", "--input", str(texts), "--out", str(out), "--model", tiny_folder]
    assert main([*command, "--shards", "3", "--outputs", "emojis", "features", "--dtype", "float16"]) == 0
    told = capsys.readouterr()
    assert "300 rows in, 300 rows out, 5 of them with errors; 3 parts in" in told.err
    assert told.out == ""
    names = pyarrow.parquet.read_schema(out / "part-00000-of-00003.parquet").names
    assert {"emoji_5", "probability_5", "features", "error"} <= set(names)
    for options, message in (
        (["--shards", "3"], "made with another --outputs and --dtype: give another folder, or --force to"),
        (["--shards", "3", "--resume"], "--resume is not for a folder of parts"),
        (["--shards", "3", "--strict", "--force"], "a.csv, line 100, has 3 cells"),
        (["--outputs", "emojis"], "--outputs is for a folder of parts: give --shards N too"),
        (["--balance", "0.5"], "--balance is for a folder of parts: give --shards N too"),
        (
            ["--shards", "3", "--outputs", "emojis", "--balance", "0.5", "--force"],
            "does not say how frequent",
        ),
    ):
        assert main([*command, *options]) == 1
        assert message in capsys.readouterr().err


def test_ctrl_c_keeps_whole_parts(tmp_path, tiny_folder):
    (tmp_path / "a.txt").write_text("a day\n" * 400_000)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "torchmoji", "encode", tmp_path / "a.txt", "--out", out]
    command += ["--model", tiny_folder, "--shards", "100"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        wait_for(lambda: len(parts(out)) > 1, 100)
        process.send_signal(signal.SIGINT)
        message = process.communicate(timeout=100)[1].decode()
    finally:
        process.kill()
    assert process.returncode == 130
    assert "whole parts are kept" in message
    there = len(parts(out))
    assert 1 < there < 100
    assert sorted(os.listdir(out)) == [MANIFEST, *sorted(parts(out))]
    again = subprocess.run(command, stderr=subprocess.PIPE, check=True).stderr.decode()
    taken = int(re.search(r"(\d+) of them there before", again)[1])
    assert there - 1 <= taken <= there  # the last one may have got its name, and not been noted


@pytest.mark.nightly
@needs_proc
def test_a_killed_process_costs_no_row(tmp_path, tiny_folder):
    (tmp_path / "a.txt").write_text("a day\n" * 400_000)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "torchmoji", "encode", tmp_path / "a.txt", "--out", out]
    command += ["--model", tiny_folder, "--shards", "100", "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: len(parts(out)) > 1, 100)
        os.kill(children(process.pid)[0], signal.SIGKILL)
        assert len(parts(out)) < 90
        message = process.communicate(timeout=200)[1].decode()
    finally:
        process.kill()
    assert "400000 rows in, 400000 rows out, 0 of them with errors; 100 parts" in message
    rows = pyarrow.parquet.read_table(out, columns=["row"])["row"].to_pylist()
    assert rows == list(range(400_000))
    assert sorted(os.listdir(out)) == [MANIFEST, *sorted(parts(out))]
