"""Processes that each load a model: order, failures, signals, and the pipeline's results by way of them."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support.processes import is_running, needs_proc, wait_for

from torchmoji import MojiPipeline
from torchmoji.batching import WINDOW
from torchmoji.runtime import workers as workers_module
from torchmoji.runtime.workers import ATTEMPTS, Workers

TEXTS = ["a day", "", "not a day", "day day day a", "what", "a not " * 300] * (WINDOW // 4)


class Refusal(Exception):
    """An exception that can be pickled, but not made again from it."""

    def __init__(self, first, second):
        super().__init__(first)


def load():
    loaded = os.getpid(), time.time()

    def function(item):
        from torchmoji.onnx.session import default_threads

        sys.stdout.write("this is no answer\n")
        if item == "threads":
            return os.environ["OMP_NUM_THREADS"], default_threads()
        if item == "refused":
            raise Refusal(1, 2)
        if item < 0:
            raise ValueError(f"{item} is below 0")
        time.sleep(0.1 if item == 0 else 0)
        return item, *loaded

    return function


def load_nothing():
    raise FileNotFoundError("no such model")


def load_one_that_dies():
    return lambda item: os.kill(os.getpid(), signal.SIGKILL)


def processes_of(pool):
    return {process.pid for process in pool._processes}


@needs_proc
def test_a_pool():
    """One pool for all of it: to start a process takes the longest."""
    with Workers(load, 2, threads=3) as pool:
        results = list(pool.map(range(20)))
        assert [item for item, *_ in results] == list(range(20))  # though the first takes longer
        assert len({pid for _, pid, _ in results}) == 2
        assert len({loaded for *_, loaded in results}) == 2  # each has loaded once

        assert list(pool.map(["threads"])) == [("3", 3)]

        read = []
        stream = pool.map(read.append(number) or number for number in range(100))
        assert next(stream)[0] == 0
        assert len(read) == 4  # so memory is flat
        stream.close()

        killed = processes_of(pool).pop()
        results = pool.map(range(30))
        got = [next(results)[0] for _ in range(3)]
        os.kill(killed, signal.SIGKILL)
        assert [*got, *(item for item, *_ in results)] == list(range(30))
        wait_for(lambda: not is_running(killed))
        assert killed not in processes_of(pool)

        results = pool.map([5, -1, 6])
        assert next(results)[0] == 5
        with pytest.raises(ValueError, match=r"^-1 is below 0$") as caught:
            next(results)
        assert "in function" in str(caught.value.__cause__)  # where it was raised
        with pytest.raises(RuntimeError, match="Refusal: 1"):
            list(pool.map(["refused"]))

        def broken():
            yield 1
            raise KeyError("of the input")

        results = pool.map(broken())
        assert next(results)[0] == 1  # what was there before is not lost
        with pytest.raises(KeyError, match="of the input"):
            next(results)
        remaining = processes_of(pool)
    assert not any(map(is_running, remaining))


def test_what_cannot_be_computed_is_told():
    with Workers(load_nothing, 1) as pool, pytest.raises(FileNotFoundError, match="no such model"):
        list(pool.map([1]))
    message = rf"{ATTEMPTS} worker processes died over the same texts \(SIGKILL\): memory may have run out"
    with Workers(load_one_that_dies, 2) as pool, pytest.raises(ChildProcessError, match=message):
        list(pool.map([1]))
    with pytest.raises(ValueError, match=r"threads must be a whole number from 1 to 1024, got 0"):
        Workers(load, 2, threads=0)


@pytest.mark.parametrize("workers", [0, -1, 1.5, "2", True])
def test_numbers_of_workers(tiny, workers):
    for call in (tiny.encode, tiny.predict, tiny.predict_proba, tiny.emotions, tiny.emojize):
        with pytest.raises(ValueError, match=f"workers must be a whole number from 1 on, got {workers!r}"):
            call(["a day"], workers=workers)


PROGRAM = """
import os, sys, time
from torchmoji.runtime.workers import Workers

def load():  # of a program without a main guard
    return lambda item: time.sleep(item) or os.getpid()

with Workers(load, 2) as pool:
    for pid in pool.map([0.2, 0.2, 60, 60]):
        print(pid, flush=True)
"""


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_program(tmp_path, number):
    """SIGINT as from a terminal, to all of its processes."""
    (tmp_path / "program.py").write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, tmp_path / "program.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as program:
        workers = {int(program.stdout.readline()) for _ in range(2)}
        assert len(workers) == 2
        assert all(map(is_running, workers))
        sent = time.monotonic()
        os.killpg(program.pid, number)
        errors = program.stderr.read()  # which the workers have as well
        assert time.monotonic() - sent < 30  # each would work for a minute
    assert program.returncode == -number
    assert errors.count("Traceback") == (number == signal.SIGINT)
    wait_for(lambda: not any(map(is_running, workers)), 20)


# --- pipelines ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tiny_folder):
    return MojiPipeline.from_pretrained(tiny_folder, "onnx", threads=1, max_length=500)


class SameProcess:
    """In place of `Workers`, what they do without processes."""

    def __init__(self, load, workers, threads):
        self.load, self.used = workers_module.pickle.loads(Workers(load, workers)._load), (workers, threads)

    def __enter__(self):
        used.append(self.used)
        return self

    def __exit__(self, *error):
        pass

    def map(self, items):
        return map(self.load(), items)


used = []


@pytest.fixture
def without_processes(monkeypatch):
    monkeypatch.setattr(workers_module, "Workers", SameProcess)
    used.clear()


def test_encodings_are_the_same_bit_for_bit(tiny, caplog):
    plain = tiny.encode(TEXTS)
    warnings = caplog.messages.copy()
    caplog.clear()
    stream = tiny.encode(iter(TEXTS), workers=2)
    assert np.array_equal(np.stack(list(stream)), plain)
    assert caplog.messages == warnings
    assert f"{WINDOW // 4} of {len(TEXTS)} texts are longer than 500 tokens" in warnings[0]


@pytest.mark.usefixtures("without_processes")
@pytest.mark.parametrize("kind", [list, iter])
def test_all_results_come_by_way_of_workers(tiny, kind):
    for name in ("encode", "predict_proba", "emotions", "predict", "emojize"):
        call = getattr(tiny, name)
        found, plain = call(kind(TEXTS), workers=3), call(TEXTS)
        if name in ("predict", "emojize"):
            assert list(found) == plain
        else:
            assert np.array_equal(np.array(list(found)), plain)
        assert used.pop() == (3, 1)
    words = next(iter(tiny.predict(kind(TEXTS), workers=3))).words
    assert words == tiny.predict(TEXTS[0]).words


@pytest.mark.usefixtures("without_processes")
def test_few_texts_need_no_process(tiny):
    assert np.array_equal(tiny.encode("a day", workers=2), tiny.encode("a day"))
    for few in ([], ["a day"], TEXTS[: WINDOW - 1]):
        assert np.array_equal(tiny.encode(few, workers=2), tiny.encode(few))
        assert len(list(tiny.encode(iter(few), workers=2))) == len(few)
    assert used == []


@pytest.mark.usefixtures("without_processes")
def test_a_text_that_is_none_is_told_with_its_position(tiny):
    texts = [*TEXTS, None]
    with pytest.raises(TypeError, match=f"text {len(TEXTS)} is not a string"):
        tiny.encode(texts, workers=2)


def test_workers_and_a_gpu_do_not_go_together(tiny_folder, monkeypatch):
    import torch

    pipeline = MojiPipeline.from_pretrained(tiny_folder, "torch")
    weight = torch.nn.Parameter(torch.zeros(1, device="meta"))
    monkeypatch.setattr(pipeline.engine.model.embed, "weight", weight)
    with pytest.raises(ValueError, match="workers= is for the CPU, and the model is on meta: leave it out"):
        pipeline.encode(["a day"], workers=2)


@pytest.mark.nightly
def test_torch_in_workers(tiny_folder):
    """It has their threads, and the results of as many in one process."""
    import torch

    pipeline = MojiPipeline.from_pretrained(tiny_folder, "torch")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))
        plain = pipeline.predict_proba(TEXTS)
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(pipeline.predict_proba(TEXTS, workers=2), plain)
    with Workers(lambda: lambda item: torch.get_num_threads(), 1, threads=2) as pool:
        assert list(pool.map([0])) == [2]
