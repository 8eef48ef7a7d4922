"""Jobs on Ray, each in a process of its own: Ray keeps threads and settings."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet
import pytest
from support.processes import children, needs_proc, wait_for

from torchmoji.batch import BatchEncoder, encode_files
from torchmoji.batch.job import MANIFEST

pytest.importorskip("ray")

JOB = """
import sys
from torchmoji.batch import BatchEncoder, encode_files
import ray
try:
    options = {"shards": int(sys.argv[4]), "workers": int(sys.argv[5]), "engine": "ray", "address": "local"}
    print(encode_files(sys.argv[1], sys.argv[2], BatchEncoder(sys.argv[3]), **options))
except ValueError as error:
    print(error)
print(ray.is_initialized())
"""


@pytest.fixture
def job(tmp_path, tiny_folder):
    """Start a job of 2000 rows a part, and give its process and folder."""
    processes = []

    def start(parts, workers):
        (tmp_path / "texts.csv").write_text("text\n" + "a day\nnot a day\n" * 1000 * parts)
        arguments = [tmp_path / "texts.csv", tmp_path / "ray", tiny_folder, parts, workers]
        process = subprocess.Popen(
            [sys.executable, "-c", JOB, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"RAY_memory_monitor_refresh_ms": "0", "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        processes.append(process)
        return process, tmp_path / "ray"

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def entries(folder):
    return json.loads((folder / MANIFEST).read_text("utf-8"))["parts"]


@pytest.mark.nightly
def test_the_parts_are_those_of_a_job_without_ray(job, tmp_path, tiny_folder):
    process, folder = job(parts=3, workers=2)
    told, errors = process.communicate(timeout=300)
    assert told.splitlines()[-1] == "False", errors
    assert told.startswith("6000 rows in, 6000 rows out, 0 of them with errors; 3 parts in")
    assert len(errors.splitlines()) <= 2, errors
    encode_files(tmp_path / "texts.csv", tmp_path / "local", BatchEncoder(tiny_folder), shards=3)
    assert entries(folder) == entries(tmp_path / "local")


def actors_of(pid):
    """Ray's workers with a part of a job, which its own processes have started."""
    found = []
    with suppress(OSError):  # of one that has ended
        found = [pid] if "MapWorker" in Path(f"/proc/{pid}/cmdline").read_text() else []
    return found + [actor for child in children(pid) for actor in actors_of(child)]


@pytest.mark.nightly
@needs_proc
def test_a_killed_worker_costs_a_retry_and_no_row(job):
    process, folder = job(parts=80, workers=2)
    wait_for(lambda: len(list(folder.glob("part-*"))) > 3 or process.poll() is not None, 300)
    killed = actors_of(process.pid)[0]
    os.kill(killed, signal.SIGKILL)
    assert len(list(folder.glob("part-*"))) < 70
    told, errors = process.communicate(timeout=300)
    assert "160000 rows in, 160000 rows out, 0 of them with errors; 80 parts" in told, errors
    rows = pyarrow.parquet.read_table(folder, columns=["row"])["row"].to_pylist()
    assert rows == list(range(160_000))
    assert sorted(os.listdir(folder)) == [MANIFEST, *sorted(entry["name"] for entry in entries(folder))]


BUSY = """
import logging, sys, threading
import ray
from torchmoji.batch import BatchEncoder, encode_files
logging.basicConfig(stream=sys.stdout)
ray.init(num_cpus=2, logging_level="ERROR", log_to_driver=False)
class Other:
    def is_there(self): return True
other = ray.remote(num_cpus=2)(Other).remote()
ray.get(other.is_there.remote())
threading.Timer(5, ray.kill, [other]).start()
print(encode_files(sys.argv[1], sys.argv[2], BatchEncoder(sys.argv[3]), workers=2, engine="ray"))
"""


@pytest.mark.nightly
def test_a_busy_cluster_is_told_and_waited_for(tmp_path, tiny_folder):
    (tmp_path / "texts.txt").write_text("a day\nnot a day\n")
    command = [sys.executable, "-c", BUSY, tmp_path / "texts.txt", tmp_path / "ray", tiny_folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    warning, report = done.stdout.splitlines()
    assert "0 of the 2 CPUs that the workers need are free: the job waits for others" in warning
    assert report.startswith("2 rows in, 2 rows out"), done.stderr


@pytest.mark.nightly
def test_a_machine_that_is_too_small_is_told(job):
    process, _ = job(parts=300, workers=200)
    told, _ = process.communicate(timeout=300)
    assert "CPUs on 1 machines), not for workers=200: give fewer workers or threads" in told
    assert told.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("nodes", "options", "expected"),
    [
        ([2], (None, None, 0, 9), (2, 1)),
        ([2], (1, None, 0, 9), (1, 2)),
        ([2], (None, 2, 0, 9), (1, 2)),
        ([16, 16], (3, None, 0, 9), (3, 8)),
        ([16, 16], (None, None, 0, 9), (9, 3)),
        ([8], (None, None, 2, 9), (2, 4)),
    ],
)
def test_workers_get_the_cpus_of_their_machines(nodes, options, expected):
    from torchmoji.batch.ray import pool_size

    assert pool_size([{"CPU": cpus, "GPU": 2} for cpus in nodes], *options) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((3, None, 0, 9), r"room for 2 workers of threads=1 \(2 CPUs on 1 machines\), not for workers=3"),
        ((None, 4, 0, 9), r"room for 0 workers of threads=4 .* not for workers=1: give fewer workers or"),
        ((None, None, 3, 9), r"the cluster has 1 GPUs, not gpus=3"),
        ((2, None, 1, 9), r"each worker has a GPU: leave workers=2 out, or give gpus=2"),
    ],
)
def test_a_cluster_without_room_is_told(options, message):
    from torchmoji.batch.ray import pool_size

    with pytest.raises(ValueError, match=message):
        pool_size([{"CPU": 2, "GPU": 1}], *options)
