"""benchmarks/onnx_agreement.py: writes its table, on a few texts and small weights."""

import gzip

import numpy as np
import pytest
from support.programs import loaded, make_model_files, run


@pytest.fixture
def program(repository):
    return repository / "benchmarks" / "onnx_agreement.py"


@pytest.fixture
def arguments(tmp_path, repository):
    path = tmp_path / "texts.tsv.gz"
    path.write_bytes(gzip.compress(b"3\tgood day\n1,2\tbad day\n0\t\n"))
    return [path, *make_model_files(tmp_path, repository / "examples")]


def test_the_table_has_a_column_for_each_precision(program, arguments, capsys):
    run(program, *arguments)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| | ONNX float32 | ONNX int8 | torch bfloat16 |"
    assert any(line.startswith("| same first guess | 100.00% | 100.00% |") for line in lines)
    assert any(line.startswith("| same first guess alone and in company | 100.00% |") for line in lines)
    assert "3 texts." in lines


def test_errors_are_those_of_the_results(program):
    probabilities = np.array([[0.1, 0.2, 0.3, 0.15, 0.05, 0.2], [0.5, 0.1, 0.1, 0.1, 0.1, 0.1]])
    changed = probabilities.copy()
    changed[0, [1, 2]] = 0.3, 0.2
    with loaded(program) as module:
        features = np.zeros((1, 4)), np.array([[0, 0, 0, -2.0]])
        errors = module.compare(1.0, features, (changed, probabilities), changed)
    assert errors[1:] == pytest.approx((2.0, 0.5, 0.1, 0.2 / 12, 0.5, 1.0, 0.5, 1.0))
