"""`examples/spark_encode.py`, with PySpark in local mode."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet
import pytest

from torchmoji import MojiPipeline

pytest.importorskip("pyspark")

TEXTS = ["a day", "not a day", None] * 2000


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")
def test_every_row_gets_the_results_of_the_pipeline(repository, tmp_path, tiny_folder):
    table = pyarrow.table({"n": list(range(6000)), "text": TEXTS})
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    environment = {
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_SUBMIT_ARGS": "--master local[2] --conf spark.ui.enabled=false pyspark-shell",
    }
    program = repository / "examples" / "spark_encode.py"
    subprocess.run(
        [sys.executable, program, tmp_path / "in.parquet", tmp_path / "out", "--model", tiny_folder],
        env=os.environ | environment,
        check=True,
        timeout=240,
        cwd=tmp_path,
    )
    rows = pyarrow.parquet.read_table(tmp_path / "out").sort_by("n").to_pylist()
    assert [row["n"] for row in rows] == list(range(6000))
    assert [row["text"] for row in rows] == TEXTS
    assert [row["error"] is None for row in rows] == [text is not None for text in TEXTS]
    features = MojiPipeline.from_pretrained(tiny_folder).encode(["a day", "not a day"])
    np.testing.assert_allclose([rows[3]["features"], rows[4]["features"]], features, atol=1e-6)
    assert rows[2]["features"] is None
