"""torchmoji.training.datasets: tables and the pickles of Python 2, and what is refused."""

import gzip
import io
import json
import os
import pickle
import struct
from collections import Counter, OrderedDict
from typing import ClassVar

import numpy as np
import pytest
from support.hostile import check_mutations, run_with_memory

from torchmoji.files.tables import open_table, write_rows
from torchmoji.training.datasets import read_labelled_texts

# --- tables -----------------------------------------------------------------------------------------------


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


CSV = "text,label,split\ngood,pos,train\nbad,neg,train\n'so,so',neg,dev\nfine,pos,test\n".replace("'", '"')


def test_csv_with_names_and_split(tmp_path):
    data = read_labelled_texts(write(tmp_path, "data.csv", CSV))
    assert data.texts == ["good", "bad", "so,so", "fine"]
    assert data.labels.tolist() == [1, 0, 0, 1]
    assert data.labels.dtype == np.int64
    assert data.split == [[0, 1], [2], [3]]
    assert data.classes == ["neg", "pos"]
    texts, labels = data.part(data.split[0])
    assert (texts, labels.tolist()) == (["good", "bad"], ["pos", "neg"])


def test_every_kind_of_table_gives_the_same(tmp_path):
    expected = read_labelled_texts(write(tmp_path, "data.csv", CSV))
    with open_table(tmp_path / "data.csv") as table:
        rows = [row for _, row in table]
    for kind in ("tsv", "jsonl", "parquet"):
        write_rows(rows, tmp_path / f"data.{kind}")
    write(tmp_path, "data.json", json.dumps(rows, indent=1))
    semicolons = CSV.replace("so,so", "SO").replace(",", ";").replace("SO", "so,so")
    write(tmp_path, "semicolons.csv", semicolons)
    (tmp_path / "data.csv.gz").write_bytes(gzip.compress(("\ufeff" + CSV).encode()))
    names = ["data.tsv", "data.jsonl", "data.parquet", "data.json", "semicolons.csv", "data.csv.gz"]
    for name in names:
        data = read_labelled_texts(tmp_path / name)
        assert (data.texts, data.split, data.classes) == (expected.texts, expected.split, expected.classes)
        assert np.array_equal(data.labels, expected.labels)


def test_csv_with_numbers_has_no_class_names(tmp_path):
    data = read_labelled_texts(write(tmp_path, "data.csv", 'label,id, text\n2,x,a\n\n0,x,b\n 1 ,x,"c\nd"\n'))
    assert data.texts == ["a", "b", "c\nd"]
    assert data.labels.tolist() == data.part([0, 1, 2])[1].tolist() == [2, 0, 1]
    assert data.classes is None


@pytest.mark.parametrize(
    ("name", "number"),
    [("train", 0), ("val", 1), ("validation", 1), ("valid", 1), ("dev", 1), ("test", 2), (" Test ", 2)],
)
def test_names_of_the_parts(tmp_path, name, number):
    rows = "".join(f"t,0,{part}\n" for part in ("train", "val", "test", name))
    assert 3 in read_labelled_texts(write(tmp_path, "data.csv", "text,label,split\n" + rows)).split[number]


def test_jsonl_with_numbers_and_split(tmp_path):
    lines = (
        '{"text": "a", "label": 1, "split": "test"}\n\n{"text": "b", "label": 0, "split": "val"}\n'
        '{"text": "c", "label": true, "split": "train"}'
    )
    data = read_labelled_texts(write(tmp_path, "data.jsonl", lines))
    assert (data.texts, data.labels.tolist(), data.split) == (["a", "b", "c"], [1, 0, 1], [[2], [1], [0]])


@pytest.mark.parametrize(
    ("labels", "expected", "classes"),
    [
        ("[0,1,1] [1,0,0] [0,0,0]", [[0, 1, 1], [1, 0, 0], [0, 0, 0]], None),
        ("[true,false] [false,false] [true,true]", [[1, 0], [0, 0], [1, 1]], None),
        ("[0,2] [] [1]", [[1, 0, 1], [0, 0, 0], [0, 1, 0]], None),
        ("[0] [1] [0]", [[1, 0], [0, 1], [1, 0]], None),
        ("[0,3] [1,2] [0,1]", [[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 0, 0]], None),
        ('["joy"] ["fear","joy"] []', [[0, 1], [1, 1], [0, 0]], ["fear", "joy"]),
        ("[0.0,1.0] [1,0] [true,0]", [[0, 1], [1, 0], [1, 0]], None),
        ('["joy\\u00a0"] ["\\tjoy","fear"]', [[0, 1], [1, 1]], ["fear", "joy"]),
    ],
    ids=["vectors", "truths", "numbers", "one number", "two numbers", "names", "floats", "blanks"],
)
def test_jsonl_with_lists(tmp_path, labels, expected, classes):
    lines = "".join(f'{{"text": "t", "label": {label}}}\n' for label in labels.split())
    data = read_labelled_texts(write(tmp_path, "data.jsonl", lines), needs_split=False)
    assert data.labels.tolist() == expected
    assert data.classes == data.label_names == classes


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("data.csv", ["1.0", "0", "+1.", " 1 "], [1, 0, 1, 1]),
        ("data.csv", ["thanks ", "thanks", "1.0", "1"], ["thanks", "thanks", "1", "1"]),
        ("data.csv", ["01", "1", "007"], ["01", "1", "007"]),
        ("data.jsonl", ["1.0", "1", "0", "true"], [1, 1, 0, 1]),
        ("data.jsonl", ['"thanks "', '"thanks"', '"1.0"'], ["thanks", "thanks", "1.0"]),
    ],
)
def test_labels_that_look_alike_are_one_class(tmp_path, name, labels, expected, caplog):
    caplog.set_level("INFO")
    line = "t,{}\n" if name.endswith("csv") else '{{"text": "t", "label": {}}}\n'
    text = "text,label\n" * name.endswith("csv") + "".join(map(line.format, labels))
    data = read_labelled_texts(write(tmp_path, name, text), needs_split=False)
    assert data.part(range(len(expected)))[1].tolist() == expected
    assert data.class_counts() == Counter(expected)
    told = f"{len(expected)} texts, with the class {expected[-1]} "
    assert told in caplog.text or len(data.class_counts()) > 1


def test_counts_of_texts_with_several_classes(tmp_path):
    lines = '{"text": "t", "label": ["joy", "pride"]}\n{"text": "t", "label": ["joy"]}\n'
    data = read_labelled_texts(write(tmp_path, "data.jsonl", lines), needs_split=False)
    assert data.class_counts() == {"joy": 2, "pride": 1}


def test_labels_for_the_classes_of_a_classifier(tmp_path):
    several = '{"text": "t", "label": ["pride"]}\n{"text": "t", "label": []}\n'
    data = read_labelled_texts(write(tmp_path, "a.jsonl", several), needs_split=False)
    assert data.for_classes(["anger", "joy", "pride"], True).labels.tolist() == [[0, 0, 1], [0, 0, 0]]
    with pytest.raises(ValueError, match=r"a\.jsonl has the labels \['pride'\], the model knows \['joy'\]"):
        data.for_classes(["joy"], True)
    with pytest.raises(ValueError, match=r"a\.jsonl has several labels for a text, the model gives one"):
        data.for_classes(["joy", "pride"])
    one = read_labelled_texts(write(tmp_path, "b.csv", "text,label\na,2\nb,0\n"), needs_split=False)
    known = one.for_classes(np.array(["0", "1", "2"]))
    assert known.part([0, 1])[1].tolist() == ["2", "0"]
    with pytest.raises(ValueError, match="has one label for a text, the model gives several"):
        one.for_classes([0, 1, 2], True)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "line 1: no 'text' and no 'label' among nothing"),
        ("a.csv", "text,label\n", "has no rows"),
        ("a.csv", "tweet,label\n", "line 1: no 'text' among 'tweet', 'label'; needed are 'text' and 'label'"),
        ("a.csv", "text,label\na,1\nb\n", "line 3: label is empty"),
        ("a.csv", "text,label\na,1\nb, \n", "line 3: label is empty"),
        ("a.csv", "label,text\n1,a\n1\n", "line 3: text is None, not a string"),
        ("a.csv", "text,label\na,1\nb,0,7\n", "line 3, has 3 cells, but the header has 2"),
        ("a.csv", "text,label,split\nb,0,eval\n", "line 2: split is 'eval'; it must be one of train"),
        ("a.csv", "text,label,split\na,1,train\nb,0,test\n", "no row has the split 'val'"),
        ("a.csv", "text,label,split\na,1,train\nb,0,val\n", "no row has the split 'test'"),
        ("a.csv", "text,label\na,1\nb,0\n", "has 2 rows; .* at least 3"),
        ("a.jsonl", "", "has no rows"),
        ("a.jsonl", '{"text": "a", "labels": 1}\n', "line 1: no 'label' among 'text', 'labels'"),
        ("a.jsonl", '{"text": null, "label": 1}\n', "line 1: text is None, not a string"),
        ("a.jsonl", '{"text": "a", "label": 1, "split": 3}\n', "line 1: split is 3"),
        (
            "a.jsonl",
            '{"text": "a", "label": 1, "split": "test"}\n{"text": "a", "label": 1}\n',
            "line 2: split must be on every line or on none",
        ),
    ],
)
def test_bad_rows_are_named(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        read_labelled_texts(write(tmp_path, name, text))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("1 null", "line 2: label is empty: leave such rows out"),
        ('"x" "a\\nb"', "line 2: label is 'a.*b': a class's name is one line"),
        ("1 0.5", "line 2: label is 0.5"),
        ('"x" 1', "line 2: label is 1"),
        ("1 NaN", "line 2: label is nan: leave such rows out"),
        ("1 18446744073709551617", "line 2: label is 18446744073709551617"),
        ("1 1e300", "line 2: label is 1e"),
        ('"x" "nan"', "line 2: label is 'nan': leave such rows out"),
        ('"x" ""', "line 2: label is empty: leave such rows out"),
        ('["x"] [""]', "line 2: label is empty"),
        ("[1] [0.5]", "line 2: label is 0.5"),
        ("[1] [1000000000]", "line 2: label holds 1000000000; lists must hold class numbers from 0 to 9999"),
        ("[1] [[[[1]]]]", "line 2: label is"),
        ('{"a":1} {"a":1}', "line 1: label is {'a': 1}"),
        ('[1] ["x"]', "line 2: label holds 'x'"),
        ("[1] [-1]", "line 2: label holds -1"),
        (f'"x" "{"y" * 1001}"', "line 2: label is 'yyy.*, of more than 1000 characters"),
        (f"[1] {str([1] * 10_001).replace(' ', '')}", "line 2: label has 10001 members, 10000 at most"),
        ("[] []", "every label is an empty list"),
    ],
)
def test_labels_of_several_kinds_are_refused(tmp_path, labels, message):
    lines = "".join(f'{{"text": "t", "label": {label}}}\n' for label in labels.split())
    with pytest.raises(ValueError, match=message):
        read_labelled_texts(write(tmp_path, "a.jsonl", lines))


def test_the_encoding_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\né,1\n".encode("latin-1"))
    with pytest.raises(ValueError, match="line 2, is not UTF-8"):
        read_labelled_texts(path)
    assert read_labelled_texts(path, needs_split=False, encoding="latin-1").texts == ["é"]


# --- random split -----------------------------------------------------------------------------------------


def split_of(tmp_path, labels, **options):
    text = "text,label\n" + "".join(f"t,{label}\n" for label in labels)
    return read_labelled_texts(write(tmp_path, "data.csv", text), **options).split


@pytest.mark.parametrize(("n", "sizes"), [(3, [1, 1, 1]), (10, [7, 1, 2]), (200, [140, 20, 40])])
def test_random_split_is_70_10_20_of_all_rows(tmp_path, n, sizes):
    split = split_of(tmp_path, [0] * n)
    assert [len(part) for part in split] == sizes
    assert sorted(i for part in split for i in part) == list(range(n))


def test_random_split_is_even_in_each_class_and_trains_on_a_class_of_one_row(tmp_path):
    labels = ["rare"] * 20 + ["common"] * 180
    counts = [Counter(labels[i] for i in part) for part in split_of(tmp_path, labels)]
    assert counts == [{"rare": 14, "common": 126}, {"rare": 2, "common": 18}, {"rare": 4, "common": 36}]
    assert 50 in split_of(tmp_path, [0] * 50 + [1] + [0] * 50)[0]


def test_a_file_without_validation_rows_gives_a_tenth_of_its_training_rows(tmp_path):
    rows = "t,0,train\n" * 20 + "t,1,train\n" * 20 + "t,1,test\n" * 3
    path = write(tmp_path, "data.csv", "text,label,split\n" + rows)
    train, validation, test = read_labelled_texts(path).split
    assert (len(train), sorted(row // 20 for row in validation), test) == (36, [0, 0, 1, 1], [40, 41, 42])
    assert sorted(train + validation) == list(range(40))
    assert read_labelled_texts(path, needs_split=False).split == [list(range(40)), [], test]


def test_many_classes_are_split_at_once(tmp_path):
    assert len(split_of(tmp_path, range(50_000))[0]) == 35_000


def test_random_split_is_random_and_seeded(tmp_path):
    first, again, other = (split_of(tmp_path, [0, 1] * 50, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert first[0] != sorted(first[0])


# --- pickles ----------------------------------------------------------------------------------------------


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its `str`."""

    def save_str(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch: ClassVar = {**pickle._Pickler.dispatch, bytes: save_str}


def pickled(tmp_path, data, protocol=2):
    stream = io.BytesIO()
    Python2Pickler(stream, protocol).dump(data)
    path = tmp_path / "raw.pickle"
    path.write_bytes(stream.getvalue())
    return path


def benchmark(**changes):
    data = {
        b"texts": [b"na\xc3\xafve", "naïve", b"plain"],
        b"info": [{b"label": np.int64(1)}, {b"label": 0}, {b"label": np.int64(200)}],
        b"train_ind": [2],
        b"val_ind": np.array([0]),
        b"test_ind": (1,),
    }
    return {**data, **{key.encode(): value for key, value in changes.items()}}


def test_python_2_texts_are_utf_8_or_unicode_and_numbers_have_any_bytes(tmp_path):
    data = read_labelled_texts(pickled(tmp_path, benchmark()))
    assert data.texts == ["naïve", "naïve", "plain"]
    assert data.labels.tolist() == [1, 0, 200]
    assert (data.split, data.classes) == ([[2], [0], [1]], None)


@pytest.mark.parametrize(
    "labels",
    [
        [np.array([True, False]), np.array([False, True]), np.array([True, True])],
        [np.array([1.0, 0.0]), np.array([0, 1], ">f4"), (1.0, 1)],  # as in PsychExp
        [[1, 0], [0, 1], [1, 1]],
    ],
    ids=["arrays", "floats", "lists"],
)
def test_vectors_as_labels(tmp_path, labels):
    path = pickled(tmp_path, benchmark(info=[{b"label": label} for label in labels]))
    assert read_labelled_texts(path).labels.tolist() == [[1, 0], [0, 1], [1, 1]]


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickles_of_python_3(tmp_path, protocol):
    texts = np.array(["a", "b", "ü"], dtype=object)
    data = OrderedDict(
        texts=texts, info=[{"label": np.int32(3)}] * 3, train_ind=[0], val_ind=[1], test_ind=[2], words={"a"}
    )
    path = tmp_path / "raw.pickle"
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    read = read_labelled_texts(path)
    assert (read.texts, read.labels.tolist()) == (["a", "b", "ü"], [3, 3, 3])


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.mkdir, eval, getattr, np.load, pickle.loads, io.open])
def test_pickles_that_call_functions_are_refused_uncalled(tmp_path, function):
    target = tmp_path / "made"
    path = pickled(tmp_path, benchmark(info=Calls(function, str(target))))
    with pytest.raises(ValueError, match=r"no benchmark pickle .it wants .*neither a number nor a container"):
        read_labelled_texts(path)
    assert not target.exists()


def test_pickles_cannot_change_what_they_may_use(tmp_path):
    # the instructions for setattr(<numpy.dtype>, "name", 1)
    path = tmp_path / "raw.pickle"
    path.write_bytes(b"\x80\x02cnumpy\ndtype\nN}X\x04\x00\x00\x00nameK\x01s\x86b.")
    with pytest.raises(ValueError, match="it changes what it did not make"):
        read_labelled_texts(path)


@pytest.mark.parametrize("dtype", ["V8", "U5", "S5", "M8[s]", [("a", "i4")]])
def test_arrays_of_other_than_numbers_are_refused(tmp_path, dtype):
    path = pickled(tmp_path, benchmark(val_ind=np.zeros(1, dtype=dtype)))
    with pytest.raises(ValueError, match="not of numbers"):
        read_labelled_texts(path)


@pytest.mark.parametrize("content", [b"", b"just text", b"\x80\x02}"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "data.bin"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"data.bin is no table by its ending .*, and no benchmark pickle .*; give data"
    ):
        read_labelled_texts(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2], "holds a list, not a dict of texts, info and the split"),
        ({"texts": []}, "no info and no train_ind and no val_ind and no test_ind among texts"),
        (benchmark(texts=[b"a", b"\xff", b"c"]), "row 1: b'.xff' is not a text in UTF-8"),
        (benchmark(texts=[b"a", b"b", None]), "row 2: None is not a text"),
        (benchmark(texts=[b"a"]), "1 texts, but 3 entries of info"),
        (benchmark(info=[{b"label": 1}, {b"mood": 1}, {b"label": 1}]), "row 1: info has no label"),
        (benchmark(info=[{b"label": 0.5}] * 3), "labels must be integers or vectors of one length"),
        (benchmark(info=[{b"label": [1] * n} for n in (1, 2, 3)]), "labels must be integers or vectors of"),
        (benchmark(test_ind=[3]), "the split names row 3, but there are rows 0 to 2 only"),
        (benchmark(test_ind=[-1]), "the split names row -1"),
    ],
)
def test_bad_benchmarks_are_explained(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        read_labelled_texts(pickled(tmp_path, data))


def nested(make, depth):
    value = make(0)
    for _ in range(depth):
        value = make(value, value)
    return value


@pytest.mark.parametrize(
    "data",
    [
        benchmark(info=[{b"label": nested(lambda *both: [*both], 60)}] * 3),
        benchmark(texts=[nested(lambda *both: [*both], 60)] * 3),
        None,
    ],
)
def test_lists_in_lists_do_not_hang(tmp_path, data):
    if data is None:  # a key of tuples in tuples: hashing it would take for ever
        content = b"\x80\x02}(K\x01\x85q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"K\x01u."
        path = tmp_path / "raw.pickle"
        path.write_bytes(content)
    else:
        path = pickled(tmp_path, data)
    with pytest.raises(ValueError, match=r"raw\.pickle"):
        read_labelled_texts(path)


OBJECTS = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01K\x02\x85"
HOSTILE = {
    "os.system": b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.",
    "builtins.eval": b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
    "old instance": b"(S'ls'\nios\nsystem\n.",
    "extension": b"\x80\x02\x82\x01.",
    "persistent": b"\x80\x02K\x01Q.",
    "pointers": OBJECTS + b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R\x89U\x10" + b"A" * 16 + b"tb.",
    "size of an array": b"\x80\x02cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85\x85R.",
    "codec": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.",
    "depth": b"]" * 100_000 + b"a" * 99_999 + b".",
    "deep key": b"}(" + b"K\x01" + b"\x85" * 100_000 + b"K\x01u.",
    "memo": b"\x80\x02]r\xff\xff\xff\x7f.",
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".",
    "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 33) + b".",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.",
    "itself": b"]q\x00h\x00a.",
    "digits": b"I" + b"9" * 5000 + b"\n.",
    "large number": b"\x80\x02\x8b\x00\x10\x00\x00" + b"\x7f" * 4096 + b".",
    "sets": b"\x80\x04" + b"\x8f" * (1 << 21) + b".",
}


def test_one_text_that_stands_often_is_refused(tmp_path):
    texts = ["x" * 200_000] * 400
    info = [{"label": 0}] * 400
    data = {"texts": texts, "info": info, "train_ind": [0], "val_ind": [1], "test_ind": [2]}
    (tmp_path / "raw.pickle").write_bytes(pickle.dumps(data, protocol=2))
    with pytest.raises(ValueError, match="the texts have more than 67108864 bytes"):
        read_labelled_texts(tmp_path / "raw.pickle")


def test_hostile_pickles_are_refused_in_little_memory(tmp_path):
    for name, content in HOSTILE.items():
        (tmp_path / f"{name}.pickle").write_bytes(content)
    program = (
        "import pathlib\n"
        "from torchmoji.training.datasets import read_labelled_texts\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try:\n"
        "        read_labelled_texts(path)\n"
        "    except ValueError as error:\n"
        "        if path.name in str(error) and len(str(error)) < 400: print(path.stem)\n"
    )
    assert run_with_memory(program, tmp_path).splitlines() == sorted(HOSTILE)


@pytest.mark.parametrize("protocol", [0, 2])
def test_mutated_pickles_are_read_or_refused(tmp_path, protocol):
    path = pickled(tmp_path, benchmark(info=[{b"label": np.array([0, 1])}] * 3), protocol)
    check_mutations(path, read_labelled_texts, (ValueError,))


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_labelled_texts(tmp_path / "nothing.pickle")


@pytest.mark.parametrize(
    ("name", "rows", "labels", "sizes"),
    [
        ("SS-Youtube", 2142, (2142,), [800, 100, 1242]),
        ("Olympic", 1012, (1012, 4), [200, 50, 762]),
        ("SE0714", 1250, (1250, 3), [200, 50, 1000]),
        ("SCv1", 1995, (1995,), [800, 100, 1095]),
        ("kaggle-insults", 6182, (6182,), [4450, 495, 1237]),
    ],
)
def test_benchmarks_of_deepmoji(data_root, name, rows, labels, sizes):
    data = read_labelled_texts(data_root / "data" / "benchmarks" / name / "raw.pickle")
    assert len(data.texts) == rows
    assert all(isinstance(text, str) for text in data.texts)
    assert data.labels.shape == labels
    assert set(np.unique(data.labels)) == {0, 1}
    assert [len(part) for part in data.split] == sizes


def test_benchmark_texts_in_utf_8(data_root):
    texts = read_labelled_texts(data_root / "data" / "benchmarks" / "SCv1" / "raw.pickle").texts
    assert "Oh, I get it… Flashlights and I-Pods have souls and consciousness." in texts


def test_calls_that_are_repeated_do_not_fill_the_memory(tmp_path):
    def text(of):
        return b"X" + len(of).to_bytes(4, "little") + of.encode()

    calls = (
        b"](c_codecs\nencode\nq\x01(" + text("a" * 65536) + text("latin1") + b"tq\x02" + b"h\x01h\x02R" * 2000
    )
    path = tmp_path / "raw.pickle"
    path.write_bytes(b"\x80\x02}(" + text("texts") + calls + b"eu.")
    with pytest.raises(ValueError, match="it makes more than"):
        read_labelled_texts(path)


def test_a_column_that_is_nearly_called_split_is_not_passed_over(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label,Split\na,0,train\nb,1,test\n")
    with pytest.raises(ValueError, match="has a column 'Split': call it split where it says"):
        read_labelled_texts(path)
