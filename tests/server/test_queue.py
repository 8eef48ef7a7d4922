"""The queue: texts of requests together, results as alone, fair turns, and what becomes of failures."""

import asyncio
import threading
import time

import numpy as np
import pytest
from support.small_pipeline import small

from torchmoji import MojiPipeline
from torchmoji.server.queue import BatchQueue, QueueClosed, QueueFull
from torchmoji.server.settings import Settings

TEXTS = [f"{'good bad day love train late '.split()[n % 6]} day {'bad ' * (n % 9)}" for n in range(40)]


@pytest.fixture
def queues():
    opened = []

    def open_queue(**settings):
        batches = []
        queue = BatchQueue(small(), Settings(**settings), lambda *batch: batches.append(batch))
        opened.append(queue)
        return queue, batches

    yield open_queue
    for queue in opened:
        queue.close()


@pytest.fixture
def gate(monkeypatch):
    """Holds the model until it is set."""
    event, compute = threading.Event(), MojiPipeline.results

    def waiting(*arguments):
        assert event.wait(20)
        return compute(*arguments)

    monkeypatch.setattr(MojiPipeline, "results", waiting)
    return event


def test_requests_that_wait_are_computed_together_with_the_results_that_each_has_alone(queues, gate):
    queue, batches = queues()

    async def run():
        first = asyncio.create_task(queue.run("features", TEXTS[:1]))
        await asyncio.sleep(0.1)  # it is with the model now
        others = [asyncio.create_task(queue.run("features", [text])) for text in TEXTS[1:]]
        await asyncio.sleep(0.05)
        gate.set()
        return [(await task)[0] for task in [first, *others]]

    results = asyncio.run(run())
    queue.close()
    assert [batch[:2] for batch in batches] == [(1, 1), (39, 39)]
    expected = queue.pipeline.encode(TEXTS)
    np.testing.assert_allclose([result.values for result in results], expected, atol=1e-6)
    assert [result.tokens for result in results] == [len(text.split()) for text in TEXTS]


def test_classes_and_features_go_apart_and_a_large_request_takes_turns(queues, gate):
    queue, batches = queues(batch_texts=8)

    async def run():
        first = asyncio.create_task(queue.run("classes", TEXTS[:1]))
        await asyncio.sleep(0.1)
        large = asyncio.create_task(queue.run("classes", TEXTS))
        small = asyncio.create_task(queue.run("classes", TEXTS[5:6]))
        other = asyncio.create_task(queue.run("features", TEXTS[6:7]))
        await asyncio.sleep(0.05)
        order = []
        for name, task in (("large", large), ("small", small), ("other", other)):
            task.add_done_callback(lambda _, name=name: order.append(name))
        gate.set()
        found = await asyncio.gather(first, large, small, other)
        return order, found

    order, (_, large, alone, _) = asyncio.run(run())
    queue.close()
    assert order[-1] == "large"
    assert max(texts for texts, _, _ in batches) <= 8
    expected = queue.pipeline.predict_proba(TEXTS)
    np.testing.assert_allclose([result.values for result in large], expected, atol=1e-6)
    np.testing.assert_allclose(alone[0].values, expected[5], atol=1e-6)


def test_one_at_a_time_where_batches_are_of_one(queues):
    queue, batches = queues(batch_texts=1)
    asyncio.run(queue.run("classes", TEXTS[:5]))
    queue.close()
    assert [texts for texts, _, _ in batches] == [1] * 5


def test_an_idle_queue_does_not_wait(queues):
    queue, _ = queues(wait_ms=2000)

    async def run():
        await queue.run("classes", ["good"])
        started = time.perf_counter()
        for _ in range(3):
            await queue.run("classes", ["good day"])
        return time.perf_counter() - started

    assert asyncio.run(run()) < 1


def test_a_full_queue_refuses_and_a_closed_one_too(queues, gate):
    queue, _ = queues(max_waiting=5)

    async def run():
        first = asyncio.create_task(queue.run("classes", ["good"]))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(queue.run("classes", TEXTS[:4]))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await queue.run("classes", TEXTS[:2])
        gate.set()
        assert [len(await task) for task in (first, second)] == [1, 4]
        assert queue.waiting == 0
        queue.close()
        with pytest.raises(QueueClosed):
            await queue.run("classes", ["good"])

    asyncio.run(run())


def test_a_failure_is_that_of_one_request(queues, monkeypatch):
    queue, _ = queues()
    compute, gate = MojiPipeline.results, threading.Event()

    def failing(pipeline, texts, features):
        assert gate.wait(20)
        if "bad" in texts:
            raise MemoryError
        return compute(pipeline, texts, features)

    monkeypatch.setattr(MojiPipeline, "results", failing)

    async def run():
        tasks = [asyncio.create_task(queue.run("classes", [text])) for text in ("day", "good", "bad", "love")]
        await asyncio.sleep(0.1)
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(run())
    assert [type(result) for result in found] == [list, list, MemoryError, list]


def test_a_request_that_is_given_up_is_not_computed(queues, gate):
    queue, batches = queues()

    async def run():
        first = asyncio.create_task(queue.run("classes", ["good"]))
        await asyncio.sleep(0.1)
        gone = asyncio.create_task(queue.run("classes", TEXTS))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)  # it has reached the queue
        gate.set()
        await first
        await queue.run("classes", ["day"])

    asyncio.run(run())
    queue.close()
    assert [texts for texts, _, _ in batches] == [1, 1]
    assert queue.waiting == 0
