"""A job on Ray: a pool of actors, each with the model, makes the parts; one that is lost is replaced.

The numbers of the parts are all that goes through Ray Data. Actors read the input and write the parts
themselves: so a part that is computed again replaces itself, and no CPU is needed beside theirs, for which
a pool that has all CPUs of a machine would wait for ever.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from torchmoji.batch.parts import Entry, PartWriter
from torchmoji.runtime.machine import require
from torchmoji.runtime.workers import answer_of, result_of

_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_logger = logging.getLogger(__name__)
_LEVELS = {"ray": "ERROR", "ray.data": "WARNING", "ray.data._internal.progress": "ERROR"}


class _Actor:
    """Makes parts; an error goes back as a value, since Ray would write its own report of it."""

    def __init__(self, writer: PartWriter) -> None:
        self.writer = writer

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"made": [answer_of(self.writer, int(batch["part"][0]))]}


def run(writer: PartWriter, workers: int | None, address: str | None, gpus: int) -> Iterator[Entry]:
    """Make parts on a Ray cluster; one that is started on this machine for it is ended.

    `workers` are actors, by default one for each CPU or, with `gpus`, each GPU. `address` is that of a
    cluster, by default the one that is running or, where there is none, a new one. Yields what the manifest
    says of each part, in any order. Raises ValueError where the cluster has no room for so many workers,
    ConnectionError where there is none at the address, ModuleNotFoundError without ray.
    """
    ray = require("ray", "ray", "Ray")
    data = require("ray.data", "ray", "Ray")
    with ExitStack() as stack:
        for name, level in _LEVELS.items():
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(level)
        if not ray.is_initialized():
            for name, value in _QUIET.items():
                os.environ.setdefault(name, value)
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            stack.callback(ray.shutdown)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        workers, threads = pool_size(nodes, workers, writer.encoder.threads, gpus, writer.parts)
        free = int(ray.available_resources().get("CPU", 0))
        if free < workers * threads:
            _logger.warning(
                "%d of the %d CPUs that the workers need are free: the job waits for others on the cluster",
                *(free, workers * threads),
            )
        device = writer.encoder.device or ("cuda" if gpus else None)
        writer.encoder = replace(writer.encoder, threads=threads, device=device)
        context = data.DataContext.get_current().copy()
        context.enable_progress_bars = context.print_on_execution_start = False
        stack.enter_context(data.DataContext.current(context))
        numbers = [{"part": part} for part in range(writer.parts)]
        made = data.from_items(numbers, override_num_blocks=writer.parts).map_batches(
            _Actor,  # which Ray Data restarts, and whose calls it repeats, as often as it takes
            fn_constructor_args=(writer,),
            batch_size=1,
            compute=data.ActorPoolStrategy(size=workers),
            num_cpus=threads,
            num_gpus=1 if gpus else None,
        )
        for row in made.iter_rows():
            yield result_of(row["made"])


def pool_size(
    nodes: list[dict[str, float]], workers: int | None, threads: int | None, gpus: int, parts: int
) -> tuple[int, int]:
    """How many workers, and of how many CPUs each, so that all find room on the nodes of a cluster.

    Each node has its "CPU" and "GPU". `workers` and `threads` are as asked for, by default what there is room
    for; more workers than `parts` would have nothing to do. ValueError where they find no room.
    """
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    cards = [int(node.get("GPU", 0)) for node in nodes]
    if gpus > sum(cards):
        raise ValueError(f"the cluster has {sum(cards)} GPUs, not gpus={gpus}: give as many as it has")
    if gpus and workers not in (None, gpus):
        raise ValueError(f"each worker has a GPU: leave workers={workers} out, or give gpus={workers}")

    def room(size: int) -> int:
        return sum(
            min(cpu // size, card) if gpus else cpu // size for cpu, card in zip(cpus, cards, strict=True)
        )

    wanted = workers or gpus or room(threads or 1) or 1
    used = min(wanted, parts)
    for size in [threads] if threads else range(max(cpus, default=0), 0, -1):
        if room(size) >= used:
            return used, size
    raise ValueError(
        f"the cluster has room for {room(threads or 1)} workers of threads={threads or 1} ({sum(cpus)} CPUs "
        f"on {len(cpus)} machines), not for workers={wanted}: give fewer workers or threads"
    )
