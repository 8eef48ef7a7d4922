"""One queue before the model: texts of requests that wait together are computed together, in one thread.

While the model computes, texts gather, and are the next batch. A request that finds the queue idle is
computed at once. Where there are others, it waits up to `Settings.wait_ms` for as many as were in the batch
before: those that were just answered come again. A request of many texts takes turns with the others. Within
a batch the engine puts texts of like length together, under its own limit of tokens
(`torchmoji.batching.run_by_length`).
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Literal

from torchmoji.pipeline.pipeline import MojiPipeline
from torchmoji.pipeline.results import Result
from torchmoji.server.settings import Settings

Output = Literal["classes", "features"]


class QueueFull(Exception):
    """More texts wait than may."""


class QueueClosed(Exception):
    """The server is being stopped."""


class _Job:
    """The texts of a request."""

    def __init__(self, pipeline: MojiPipeline, output: Output, texts: Sequence[str]) -> None:
        self.pipeline, self.output, self.texts = pipeline, output, texts
        self.key = output, pipeline.balance
        self.results: list[Result] = []
        self.taken = 0
        self.future: Future[list[Result]] = Future()
        self.arrived = time.monotonic()


class BatchQueue:
    """Computes texts for any number of coroutines.

    `observe` is called with the number of texts and of requests of each batch, and its seconds.
    """

    def __init__(
        self, pipeline: MojiPipeline, settings: Settings, observe: Callable[[int, int, float], object]
    ) -> None:
        self.pipeline, self.settings = pipeline, settings
        self._observe = observe
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self.waiting = 0
        """Texts that wait."""
        self._company = 1
        """Requests in the batch before."""
        self._ended = 0.0

    async def run(
        self, output: Output, texts: Sequence[str], pipeline: MojiPipeline | None = None
    ) -> list[Result]:
        """The results of texts, in their order; `pipeline` is the queue's with another balance.

        Raises QueueFull where too many texts wait, QueueClosed where the server is being stopped.
        """
        if not texts:
            return []
        job = _Job(pipeline or self.pipeline, output, texts)
        with self._changed:
            if self._is_closed:
                raise QueueClosed
            if self.waiting and self.waiting + len(texts) > self.settings.max_waiting:
                raise QueueFull
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="torchmoji-model", daemon=True)
                self._thread.start()
            self._jobs.append(job)
            self.waiting += len(texts)
            self._changed.notify()
        return await asyncio.wrap_future(job.future)

    @property
    def is_working(self) -> bool:
        """Whether texts are or can be computed."""
        return not self._is_closed and (self._thread is None or self._thread.is_alive())

    def close(self) -> None:
        """End the thread after its batch; what waits gets `QueueClosed`."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    # --- in the thread ------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._is_closed)
                if not self._is_closed:
                    self._wait_for_company()
                if self._is_closed:
                    for job in self._jobs:
                        _fail(job, QueueClosed())
                    return
                batch = self._take()
            if batch:
                started = time.monotonic()
                self._compute(batch)
                self._company, self._ended = len(batch), time.monotonic()
                self._observe(sum(end - start for _, start, end in batch), len(batch), self._ended - started)

    def _wait_for_company(self) -> None:
        wait = self.settings.wait_ms / 1000
        now = time.monotonic()
        if self._company > 1 and now - self._ended < wait:
            left = self._jobs[0].arrived + wait - now
            self._changed.wait_for(
                lambda: len(self._jobs) >= self._company or self._is_closed, max(0.0, left)
            )

    def _take(self) -> list[tuple[_Job, int, int]]:
        """The next batch: jobs like the oldest, and which of their texts; a job with more goes to the end."""
        alike = [job for job in self._jobs if job.key == self._jobs[0].key]
        share = max(1, self.settings.batch_texts // len(alike))
        batch: list[tuple[_Job, int, int]] = []
        texts = characters = 0
        for job in alike:
            if job.future.done():  # nobody waits any more, or a part failed
                self._jobs.remove(job)
                self.waiting -= len(job.texts) - job.taken
                continue
            start = job.taken
            while job.taken < len(job.texts) and job.taken - start < share:
                size = len(job.texts[job.taken])
                if texts and characters + size > self.settings.batch_characters:
                    break
                job.taken, texts, characters = job.taken + 1, texts + 1, characters + size
            if job.taken > start:
                batch.append((job, start, job.taken))
                self._jobs.remove(job)
                if job.taken < len(job.texts):
                    self._jobs.append(job)
            if texts >= self.settings.batch_texts or characters >= self.settings.batch_characters:
                break
        self.waiting -= texts
        return batch

    def _compute(self, batch: list[tuple[_Job, int, int]]) -> None:
        first = batch[0][0]
        texts = [text for job, start, end in batch for text in job.texts[start:end]]
        try:
            results = iter(first.pipeline.results(texts, first.output == "features"))
        except Exception as error:
            if len(batch) == 1:
                _fail(first, error)
            else:  # the others need not suffer from it
                for part in batch:
                    self._compute([part])
            return
        for job, start, end in batch:
            job.results += [next(results) for _ in range(start, end)]
            if len(job.results) == len(job.texts):
                with suppress(InvalidStateError):  # nobody waits any more
                    job.future.set_result(job.results)


def _fail(job: _Job, error: Exception) -> None:
    with suppress(InvalidStateError):
        job.future.set_exception(error)
