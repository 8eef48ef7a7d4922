"""Files with emojis added: rows and columns kept, for every kind of file, and what is refused."""

import csv
import gzip
import json

import pytest
from support.small_pipeline import small

from torchmoji.emojis import shown
from torchmoji.server import files
from torchmoji.server.files import add_emojis, columns_of, first_rows, name_of_result


@pytest.fixture(scope="module")
def pipeline():
    return small()


@pytest.fixture
def add(pipeline, tmp_path):
    """Write a file, add emojis, and give the new file's content."""

    def run(name, content, column=None, top_k=1):
        path, out = tmp_path / name, tmp_path / name_of_result(name)
        data = content.encode("utf-8") if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        *_, done = add_emojis(pipeline, path, out, column, top_k)
        result = out.read_bytes()
        result = gzip.decompress(result) if name.endswith(".gz") else result
        return done, result.decode("utf-8")

    return run


def best(pipeline, text):
    (score,) = pipeline.predict(text, 1) or [None]
    return score and shown(score.emoji), score and round(score.probability, 6)


def test_rows_and_columns_of_csv_stay_and_new_ones_follow(add, pipeline):
    content = 'id,text,note\n7,"good, ""day""",\n3,,x\n5,bad\n9,"two\nlines",ü\n'
    done, result = add("a.csv", content)
    rows = list(csv.reader(result.splitlines(keepends=True)))
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
    assert done == 4


def test_several_emojis_a_row(add, pipeline):
    _, result = add("a.csv", "text\ngood day\n", top_k=3)
    header, row = csv.reader(result.splitlines())
    assert header[1:] == [f"{name}_{k}" for k in (1, 2, 3) for name in ("emoji", "probability")]
    expected = pipeline.predict("good day", 3)
    assert row[1::2] == [shown(score.emoji) for score in expected]
    assert [float(cell) for cell in row[2::2]] == [round(score.probability, 6) for score in expected]


def test_more_emojis_than_classes_are_all(tmp_path):
    (tmp_path / "a.csv").write_text("text\ngood\n")
    list(add_emojis(small(2, ["no", "yes"]), tmp_path / "a.csv", tmp_path / "b.csv", top_k=9))
    header, row = csv.reader((tmp_path / "b.csv").read_text().splitlines())
    assert len(header) == 5
    assert {row[1], row[3]} == {"no", "yes"}


@pytest.mark.parametrize("name", ["a.csv.gz", "a.CSV.GZ"])
def test_a_packed_file_comes_back_packed(tmp_path, pipeline, name):
    path, out = tmp_path / name, tmp_path / name_of_result(name)
    path.write_bytes(gzip.compress(b"text\ngood\n"))
    assert list(add_emojis(pipeline, path, out)) == [1]
    assert gzip.decompress(out.read_bytes()).decode().startswith("text,emoji_1")


def test_tabs_and_semicolons_stay(add):
    assert add("a.tsv", "id\ttext\n1\tgood, day\n")[1].startswith(
        "id\ttext\temoji_1\tprobability_1\n1\tgood, day\t"
    )
    assert add("a.csv", "id;text\n1;good, day\n")[1].startswith("id;text;emoji_1;probability_1\n1;good, day;")


def test_a_byte_order_mark_stays(add):
    assert add("a.csv", "\ufefftext\ngood\n")[1].startswith("\ufefftext,emoji_1")
    assert add("a.csv", "text\ngood\n")[1].startswith("text,emoji_1")


def test_json_lines_keep_their_values(add, pipeline):
    rows = [{"text": "good", "n": [1, None]}, {"n": {}, "text": None}, {"text": "\ud83d bad"}]
    lines = "".join(json.dumps(row) + "\n\n" for row in rows) + '"just a text"\n'
    for name, content in (("a.jsonl", lines), ("a.json", json.dumps([*rows, "just a text"], indent=1))):
        done, result = add(name, content)
        written = [json.loads(line) for line in result.splitlines()]
        emojis = [(row.pop("emoji_1"), row.pop("probability_1")) for row in written]
        assert written == [*rows, {"text": "just a text"}]
        assert emojis == [best(pipeline, row["text"] or "") for row in written]
        assert done == 4


def test_a_text_file_comes_back_as_csv(add):
    done, result = add("a.txt", "good\n\nbad, day\r\n")
    rows = list(csv.reader(result.splitlines()))
    assert [row[0] for row in rows] == ["text", "good", "", "bad, day"]
    assert done == 3


def test_names_that_are_taken_get_underscores(add):
    header = add("a.csv", "text,emoji_1,emoji_1_\ngood,x,y\n")[1].splitlines()[0]
    assert header == "text,emoji_1,emoji_1_,emoji_1__,probability_1"
    assert add("a.csv", "text\n") == (0, "text,emoji_1,probability_1\n")


def test_the_column_can_be_named(add, pipeline):
    _, result = add("a.csv", "text,other\ngood,bad train\n", column="other")
    row = list(csv.reader(result.splitlines()))[1]
    assert row[2] == best(pipeline, "bad train")[0]


def test_progress_is_told_after_each_window(tmp_path, pipeline, monkeypatch):
    monkeypatch.setattr(files, "WINDOW", 2)
    (tmp_path / "a.txt").write_text("good\n" * 5)
    assert list(add_emojis(pipeline, tmp_path / "a.txt", tmp_path / "b.csv")) == [2, 4, 5]


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("a.csv", "id,body\n", {"column": "text"}, "a.csv has no column 'text', only 'id', 'body': cho"),
        ("a.csv", "", {}, "a.csv has no texts: give a file with some"),
        ("a.csv.gz", "", {}, "a.csv.gz has no texts"),
        ("a.txt", "", {}, "a.txt has no texts"),
        ("a.jsonl", "{}\n", {}, "a.jsonl has no texts"),
        ("a.csv", "text\ncaf\xe9\n".encode("latin-1"), {}, "a.csv, line 2, is not UTF-8 .* in Excel as 'CSV"),
        ("a.csv", "id,text\n1,good\n2,bad,x\n", {}, "a.csv, line 3, has 3 cells"),
        ("a.csv", "text\ngood\n", {"top_k": 0}, "the number of emojis must be at least 1, got 0"),
        ("a.jsonl", '{"text": "a"}\n{"b": 1}\n', {}, "a.jsonl, line 2, has no column 'text', only 'b'"),
        ("a.xlsx", "PK", {}, r"cannot read the file a.xlsx: use .txt, .csv, .*, .json, also"),
        ("a.csv", "text\n" + "good\n" * 100, {}, "a.csv has more than 400 characters: split it"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_and_leaves_nothing(
    add, tmp_path, monkeypatch, name, content, options, message
):
    monkeypatch.setattr(files, "LARGEST", 400)
    with pytest.raises(ValueError, match=message):
        add(name, content, **options)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_that_has_gone_is_said(tmp_path, pipeline):
    with pytest.raises(ValueError, match=r"a\.csv is no longer there: upload it again"):
        list(add_emojis(pipeline, tmp_path / "a.csv", tmp_path / "b.csv"))


def test_stopping_leaves_nothing(tmp_path, pipeline, monkeypatch):
    monkeypatch.setattr(files, "WINDOW", 1)
    (tmp_path / "a.txt").write_text("good\n" * 5)
    rows = add_emojis(pipeline, tmp_path / "a.txt", tmp_path / "b.csv")
    assert next(rows) == 1
    rows.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("tweets.csv", "tweets-emojis.csv"),
        ("tweets.csv.gz", "tweets-emojis.csv.gz"),
        ("a.b.JSONL", "a.b-emojis.jsonl"),
        ("tweets.json.gz", "tweets-emojis.jsonl.gz"),
        ("tweets.txt.gz", "tweets-emojis.csv.gz"),
    ],
)
def test_the_name_of_the_result(name, result):
    assert name_of_result(f"/somewhere/{name}") == result


def test_columns_of_files(tmp_path):
    for name, content, columns in (
        ("a.csv", "id,text\n", ["id", "text"]),
        ("a.jsonl", '{"b": 1, "text": "x"}\n', ["b", "text"]),
        ("a.txt", "good\n", []),
    ):
        (tmp_path / name).write_text(content)
        assert columns_of(tmp_path / name) == columns


def test_the_first_rows_of_a_result(add, tmp_path):
    add("a.jsonl", '{"id": 1, "text": "good"}\n{"text": "bad"}\n', column="text")
    columns, rows = first_rows(tmp_path / "a-emojis.jsonl", 5)
    assert columns == ["id", "text", "emoji_1", "probability_1"]
    assert [row[:2] for row in rows] == [["1", "good"], ["", "bad"]]
    assert len(first_rows(tmp_path / "a-emojis.jsonl", 1)[1]) == 1
