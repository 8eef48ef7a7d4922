"""Uploaded files: rows and columns kept, formulas defused, what is refused, and how much memory it takes."""

import bz2
import csv
import gzip
import io
import json
import subprocess
import sys
import threading

import pyarrow
import pytest
from pyarrow import parquet
from support.small_pipeline import small

from torchmoji.emojis import shown
from torchmoji.server import Settings, app
from torchmoji.server.files import defused


@pytest.fixture(scope="module")
def pipeline():
    return small()


@pytest.fixture
def add(pipeline, client_of):
    """Upload a file; the answer."""
    client = client_of(pipeline)

    def run(name, content, **options):
        content = content.encode() if isinstance(content, str) else content
        answer = client.post("/file", params={"name": name, "top_k": 1, **options}, content=content)
        assert answer.status_code == 200, answer.text
        return answer

    return run


def best(pipeline, text):
    (score,) = pipeline.predict(text, 1) or [None]
    return score and shown(score.emoji), score and round(score.probability, 6)


def test_rows_and_columns_of_csv_stay_and_new_ones_follow(add, pipeline):
    answer = add("a.csv", 'id,text,note\n7,"good, ""day""",\n3,,x\n5,bad\n9,"two\nlines",ü\n')
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert rows[0] == ["id", "text", "note", "emoji_1", "probability_1"]
    assert [row[:3] for row in rows[1:]] == [
        ["7", 'good, "day"', ""],
        ["3", "", "x"],
        ["5", "bad", ""],
        ["9", "two\nlines", "ü"],
    ]
    for row in rows[1:]:
        emoji, probability = best(pipeline, row[1])
        assert row[3:] == ([emoji, str(probability)] if row[1] else ["", ""])
    assert answer.headers["x-rows"] == "4"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a-emojis.csv"


def test_other_formats(add, pipeline):
    for name, mark in (("a.tsv", "\t"), ("a.csv", ";")):
        text = add(name, f"id{mark}text\n1{mark}good, day\n").text
        assert text.replace(mark, "|").startswith("id|text|emoji_1|probability_1\n1|good, day|")
    assert add("a.csv", "\ufefftext\ngood\n").content.startswith("\ufefftext,emoji_1".encode())
    assert add("a.CSV.GZ", gzip.compress(b"text\ngood\n")).text.startswith("text,emoji_1")
    assert add("a.csv.bz2", bz2.compress("\ufefftext\ngood\n".encode())).text.startswith("\ufefftext,emoji_1")
    rows = list(csv.reader(add("a.txt", "good\n\nbad, day\r\n").text.splitlines()))
    assert [row[0] for row in rows] == ["text", "good", "", "bad, day"]
    header = add("a.csv", "text,emoji_1,emoji_1_\ngood,x,y\n").text.splitlines()[0]
    assert header == "text,emoji_1,emoji_1_,emoji_1__,probability_1"
    assert add("a.csv", "text\n").text == "text,emoji_1,probability_1\n"
    row = list(csv.reader(add("a.csv", "text,other\ngood,bad train\n", column="other").text.splitlines()))[1]
    assert row[2] == best(pipeline, "bad train")[0]
    assert len(add("a.csv", "text\ngood\n", top_k=100).text.splitlines()[0].split(",")) == 129


def test_json_keeps_its_values(add, pipeline):
    rows = [{"text": "good", "n": [1, None]}, {"n": {}, "text": None}, {"text": "\ud83d bad"}]
    lines = "".join(json.dumps(row) + "\n\n" for row in rows) + '"just a text"\n'
    for name, content in (("a.jsonl", lines), ("a.json", json.dumps([*rows, "just a text"], indent=1))):
        answer = add(name, content)
        assert "a-emojis.jsonl" in answer.headers["content-disposition"]
        written = [json.loads(line) for line in answer.text.splitlines()]
        emojis = [(row.pop("emoji_1"), row.pop("probability_1")) for row in written]
        assert written == [*rows, {"text": "just a text"}]
        assert emojis == [best(pipeline, row["text"] or "") for row in written]


def test_new_columns_of_json_overwrite_those_of_no_row(add):
    rows = [
        {"text": "good"},
        {"text": "bad", "emoji_1": "mine", "probability_2_": 7},
        {"probability_2": 8, "text": "day"},
        {"text": "late", "emoji_10": "another"},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    for name, content in (("a.jsonl", lines), ("a.json", json.dumps(rows))):
        written = [json.loads(line) for line in add(name, content, top_k=2).text.splitlines()]
        for row, found in zip(rows, written, strict=True):
            assert row.items() <= found.items()
            assert found.keys() - row.keys() == {"emoji_1_", "probability_1", "emoji_2", "probability_2__"}


def test_parquet_keeps_its_types(add, pipeline):
    table = pyarrow.table({
        "n": pyarrow.array([1, None, 3] * 200, pyarrow.int16()),
        "text": ["good", "", "bad train"] * 200,
        "list": [[1.5], [], None] * 200,
    })  # fmt: skip
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, row_group_size=100)
    found = parquet.read_table(io.BytesIO(add("a.parquet", buffer.getvalue()).content))
    assert found.select(["n", "text", "list"]).equals(table)
    expected = [best(pipeline, text) for text in ("good", "", "bad train")]
    pairs = zip(found["emoji_1"].to_pylist(), found["probability_1"].to_pylist(), strict=True)
    assert list(pairs) == expected * 200


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1", "=HYPERLINK(\"http://evil.example\")", "+SUM(1)", "-2+3+cmd|' /C calc'!A0", "@SUM(1+1)",
        "\t=1+1", "\r=1", "＝1+1", "-good", "@a|b",
    ],
)  # fmt: skip
def test_cells_that_a_spreadsheet_would_run_get_an_apostrophe(add, cell):
    content = io.StringIO()
    csv.writer(content).writerows([["text", cell], [cell, cell], ["good", "x"]])
    written = add("a.csv", content.getvalue(), column="text").text
    rows = list(csv.reader(io.StringIO(written, newline="")))
    assert (rows[0][1], rows[1][:2]) == ("'" + cell, ["'" + cell] * 2)
    (row,) = add("a.jsonl", json.dumps({"text": cell})).text.splitlines()
    assert json.loads(row)["text"] == cell


@pytest.mark.parametrize(
    "cell", ["-5", "+1.5", "-1e-3", "-3%", "@user hello, you", "a=b", "", "'=1", "😍", None, 3]
)
def test_other_cells_stay(cell):
    assert defused(cell) == cell


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("a.csv", "id,body\n", {"column": "text"}, "a.csv has no column 'text', only 'id', 'body': choose"),
        ("a.csv", "", {}, "a.csv has no texts: give a file with some"),
        ("a.tsv", "\n", {"column": "text"}, "a.tsv has no texts: give a file with some"),
        ("a.txt", "", {}, "a.txt has no texts: give a file with some"),
        ("a.jsonl", "", {}, "a.jsonl has no texts"),
        ("a.csv", "text\ncaf\xe9\n".encode("latin-1"), {}, "line 2, is not UTF-8 (byte 0xe9): save"),
        ("a.csv", "text\ngood\n".encode("utf-16"), {}, "a.csv, line 1, is not UTF-8 (byte 0xff): save"),
        ("a.csv", "id,text\n1,good\n2,bad,x\n", {}, "a.csv, line 3, has 3 cells"),
        ("a.jsonl", '{"text": "a"}\n{"b": 1}\n', {}, "a.jsonl, line 2, has no column 'text'"),
        ("a.xlsx", "PK", {}, "cannot read 'a.xlsx': use .txt, .csv"),
        ("a", "PK", {}, "cannot read 'a': use .txt, .csv"),
        ("../../etc/a.csv", "text\ncaf\xe9".encode("latin-1"), {}, "line 2, is not UTF-8"),
        ("a.parquet", "PAR1", {}, "a.parquet is damaged or no parquet file"),
        ("a.csv", "text\n" + "good\n" * 11, {}, "a.csv has more than 10 rows: split it"),
        ("a.csv", "text\n" + "a" * 51 + "\n", {}, "line 2, has a text of 51 characters, more than 50"),
        ("a.csv", "text,x\ngood," + "x" * 400, {}, "a.csv has more than 400 characters: split it"),
        ("a.csv.gz", gzip.compress(b"text\ngood," + b"x" * 400, mtime=0), {}, "has more than 400 characters"),
        ("a.csv.gz", b"text\ngood", {}, "is not a whole .gz file"),
        ("a.csv", "text\ngood\n", {"top_k": 0}, "top_k: Input should be greater than or equal to 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_before_the_first_row(
    client_of, pipeline, tmp_path, monkeypatch, name, content, options, message
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    client = client_of(pipeline, Settings(max_rows=10, max_characters=50, max_unpacked=400))
    answer = client.post("/file", params={"name": name, **options}, content=content)
    assert answer.status_code == 422
    assert message in answer.json()["error"]
    assert "--" not in answer.text  # no option of the command line
    assert str(tmp_path) not in answer.text
    assert list(tmp_path.iterdir()) == []


def test_columns_of_files(client_of, pipeline):
    client = client_of(pipeline)
    for name, content, expected in (
        ("a.csv", b"id,tweet\n1,good\n", {"columns": ["id", "tweet"], "column": "tweet", "rows": 1}),
        ("a.jsonl", b'{"b": "1", "text": "x"}\n', {"columns": ["b", "text"], "column": "text", "rows": 1}),
        ("a.txt", b"good\nbad\n", {"columns": [], "column": None, "rows": 2}),
    ):
        assert client.post("/columns", params={"name": name}, content=content).json() == expected


def test_files_that_are_too_large_or_too_many_are_refused(client_of, pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    client = client_of(pipeline, Settings(max_file=10_000, max_files=1))
    for content in (b"a" * 10_001, (b"a" * 5000 for _ in range(3))):
        assert client.post("/columns?name=a.txt", content=content).status_code == 413
    going, goes_on, statuses = threading.Event(), threading.Event(), []
    upload = app.Upload

    def held(*arguments):
        going.set()
        goes_on.wait(20)
        return upload(*arguments)

    monkeypatch.setattr(app, "Upload", held)
    thread = threading.Thread(
        target=lambda: statuses.append(client.post("/file?name=a.csv", content=b"text\ngood\n").status_code)
    )
    thread.start()
    assert going.wait(20)
    answer = client.post("/file?name=a.csv", content=b"text\ngood\n")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
    goes_on.set()
    thread.join()
    assert statuses == [200]
    assert client.post("/file?name=a.csv", content=b"text\ngood\n").status_code == 200
    assert list(tmp_path.iterdir()) == []


MEMORY = """
import gzip, resource, urllib.request, urllib.error
from support.small_pipeline import small
from torchmoji.server import served
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
def send(address, content):
    try:
        with opener.open(f"{address}file?name=a.csv.gz", content, timeout=60) as answer:
            while answer.read(1 << 16):
                pass
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
with served(small()) as address:
    send(address, gzip.compress(b"text\\ngood\\n"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = b"good " * 200_000 + b"\\n"
    long = gzip.compress(b"text\\n" + line * 100, 1)
    wide = gzip.compress(b"text,other\\n" + (b"good," + b"x" * 100_000 + b"\\n") * 400, 1)
    answers = [send(address, content) for content in (long, wide)]
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(answers, max(len(long), len(wide)) < 2e6, (after - before) >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as on Linux")
def test_a_small_file_of_long_lines_takes_little_memory(repository):
    """1 MB of gzip took 3.7 GB and two minutes."""
    code = f"import sys; sys.path.insert(0, {str(repository / 'tests')!r})\n{MEMORY}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250)
    assert result.returncode == 0, result.stderr
    answers, is_small, megabytes = result.stdout.rsplit(" ", 2)
    assert answers == "[422, 200]"
    assert is_small == "True"
    assert int(megabytes) < 400
