"""`benchmarks/encode.py --workers`."""

import pytest
from support.programs import run


@pytest.mark.nightly
def test_workers_are_timed(repository, tmp_path):
    path, output = tmp_path / "texts.txt", tmp_path / "table.md"
    path.write_text("a day\nnot a day\n")  # too few for processes
    run(repository / "benchmarks" / "encode.py", path, "--workers", 1, 2, "--repeats", 1, "--output", output)
    lines = output.read_text("utf-8").splitlines()
    assert lines[0] == "2 texts."
    assert lines[2] == "| engine | this process | 1 worker | 2 workers |"
    engines = [line.split(" | ")[0] for line in lines[4:7]]
    assert engines == ["| onnx, float32", "| onnx, int8", "| torch, float32"]
