"""benchmarks/scale.py: its tables, on few texts and a tiny model."""

import pytest
from support.programs import run


@pytest.fixture
def arguments(tmp_path, tiny_folder):
    (tmp_path / "texts.txt").write_text("a day\nnot a day\nday\n")
    return [tmp_path / "texts.txt", "--model", tiny_folder]


@pytest.mark.nightly
def test_a_row_for_each_way(repository, arguments, capsys):
    run(repository / "benchmarks" / "scale.py", *arguments, "--rows", 40, "--how", "plain", "processes-2")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:4]] == [["| 40", "plain"], ["| 40", "processes-2"]]
    for line in lines[2:4]:
        assert all(float(cell) > 0 for cell in line.strip("| ").split(" | ")[2:])


def test_sizes_of_outputs(repository, arguments, capsys):
    run(repository / "benchmarks" / "scale.py", *arguments, "--sizes")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13
    assert lines[-5] == f"| features, float32, .npy | {(128 + 3 * 16 * 4) / 3:.0f} |"
