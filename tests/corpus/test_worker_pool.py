import os
import signal
import subprocess
import sys
import time

import pytest

from torchmoji.corpus.worker_pool import WorkerPool, usable_cores


def slow_square(number):
    time.sleep(0.02 * (number % 3))
    return number * number


def refuse(number):
    raise ValueError(f"no {number}")


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def test_one_worker_is_this_process():
    with WorkerPool(1) as pool:
        assert list(pool.map(lambda number: (number, os.getpid()), [1, 2])) == [
            (1, os.getpid()),
            (2, os.getpid()),
        ]


def test_there_is_at_least_one_worker():
    assert usable_cores() >= 1
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        WorkerPool(0)


def test_results_come_in_order_and_tasks_are_taken_a_few_ahead():
    taken = []

    def tasks():
        for number in range(12):
            taken.append(number)
            yield number

    with WorkerPool(2) as pool:
        ahead = []
        for number, result in enumerate(pool.map(slow_square, tasks())):
            assert result == number * number
            ahead.append(len(taken) - number)
    assert max(ahead) <= 4
    assert len(taken) == 12


def test_errors_and_deaths_of_workers_are_told():
    with WorkerPool(2) as pool, pytest.raises(ValueError, match="no 1"):
        list(pool.map(refuse, [1]))
    with WorkerPool(2) as pool, pytest.raises(ChildProcessError, match="a worker process died: memory may"):
        list(pool.map(die, [1]))


def test_workers_end_when_their_starter_is_killed(tmp_path):
    (tmp_path / "tasks.py").write_text(
        "import os, time\ndef task(path):\n    open(path, 'w').write(str(os.getpid()))\n    time.sleep(60)\n"
    )
    program = (
        "from tasks import task\nfrom torchmoji.corpus.worker_pool import WorkerPool\n"
        "if __name__ == '__main__':\n    list(WorkerPool(2).map(task, ['one', 'two']))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    starter = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, env=environment)
    files = [tmp_path / "one", tmp_path / "two"]
    wait_for(lambda: all(file.is_file() and file.read_text() for file in files))
    starter.kill()
    starter.wait()
    wait_for(lambda: not any(is_running(int(file.read_text())) for file in files))


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{process}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
