import numpy as np

from torchmoji.corpus.shards import ArrayFile, about_arrays, save_arrays


def test_arrays_come_back_by_name_with_what_was_said_of_them(tmp_path):
    path = tmp_path / "a.arrow"
    numbers = np.arange(5, dtype=np.uint16)
    save_arrays(path, {"numbers": numbers, "words": ["day", "é", ""], "none": np.zeros(0)}, {"n": [1]})
    file = ArrayFile(path)
    assert file.about == {"n": [1]}
    assert file["numbers"].dtype == np.uint16
    assert file["numbers"].tolist() == [0, 1, 2, 3, 4]
    assert file["none"].tolist() == []
    assert file.strings("words").to_pylist() == ["day", "é", ""]
    assert about_arrays(path) == {"n": [1]}


def test_a_file_that_is_not_there_says_nothing(tmp_path):
    assert about_arrays(tmp_path / "a.arrow") is None


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_arrays(tmp_path / name, {"x": np.arange(7), "y": ["a"] * 3}, {"n": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
