"""Measure the server: requests a second of 32 clients with and without batching, and memory over time.

One process serves (`torchmoji serve`, with `--batch-size 1` for no batching), this one is the clients: each
waits for an answer before it asks again, over one connection. Every answer is compared with the pipeline.
The texts are pairs of the page's example sentences, each used once. Both take turns; the middle round counts.

With `--apart` the server has one core, and the clients the others, so that what these take is not counted.

Examples:
    server.py
    server.py --apart
    server.py --precision int8 --endpoint emojize
    server.py --soak 10
"""

import argparse
import asyncio
import base64
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from torchmoji import MojiPipeline
from torchmoji.runtime.machine import processor, versions
from torchmoji.server.reading import EXAMPLES

ENDPOINTS = {
    "v1/embeddings": lambda text: {"input": text, "encoding_format": "base64"},
    "emojize": lambda text: {"inputs": text, "top_k": 5},
}


def pairs(number: int, seed: int) -> list[str]:
    """Different texts of two sentences."""
    chosen = random.Random(seed).sample(range(len(EXAMPLES) ** 2), number)
    return [f"{EXAMPLES[n // len(EXAMPLES)]}. {EXAMPLES[n % len(EXAMPLES)]}" for n in chosen]


@contextmanager
def server(options: list[str]) -> Iterator[tuple[str, int]]:
    """Serve in another process; its address and number."""
    command = [sys.executable, "-m", "torchmoji", "serve", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[0], process.pid
        finally:
            process.terminate()


async def client(
    address: str, endpoint: str, texts: Iterator[str], until: float, answers: list[tuple[str, float, Any]]
) -> None:
    """Ask for one text after the other, and note text, seconds and answer of each."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    head = f"POST /{endpoint} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    for text in texts:
        if time.perf_counter() > until:
            break
        body = json.dumps(ENDPOINTS[endpoint](text)).encode()
        started = time.perf_counter()
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"content-length: (\d+)", answer)
        content = await reader.readexactly(int(size[1]) if size else 0)
        answers.append((text, time.perf_counter() - started, content))
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the server answered {answer!r} {content!r}")
    writer.close()


def ask(
    address: str, endpoint: str, clients: int, seconds: float, seed: int
) -> tuple[float, list[tuple[str, float, Any]]]:
    """Requests a second, and what was answered."""
    texts = iter(pairs(int(3000 * (seconds + 2)) % len(EXAMPLES) ** 2, seed))
    answers: list[tuple[str, float, Any]] = []

    async def run() -> float:
        await asyncio.gather(
            *(client(address, endpoint, texts, time.perf_counter() + 1, []) for _ in range(clients))
        )
        started = time.perf_counter()
        until = started + seconds
        await asyncio.gather(*(client(address, endpoint, texts, until, answers) for _ in range(clients)))
        return time.perf_counter() - started

    elapsed = asyncio.run(run())
    return len(answers) / elapsed, answers


def difference(pipeline: MojiPipeline, endpoint: str, answers: list[tuple[str, float, Any]]) -> float:
    """The largest difference of an answer from what the pipeline gives."""
    texts = [text for text, _, _ in answers]
    if endpoint == "emojize":
        expected: Any = [[s.probability for s in found] for found in pipeline.predict(texts)]
        found: Any = [[s["probability"] for s in json.loads(body)["emojis"]] for _, _, body in answers]
    else:
        expected = pipeline.encode(texts, normalize_embeddings=True)
        rows = (json.loads(body)["data"][0]["embedding"] for _, _, body in answers)
        found = [np.frombuffer(base64.b64decode(row), "<f4") for row in rows]
    return float(np.abs(np.asarray(found) - np.asarray(expected)).max())


def megabytes(process: int) -> int:
    """Resident memory of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) >> 10 if found else 0


def compare(options: argparse.Namespace, compute: list[str]) -> None:
    """Print a table with and without batching."""
    pipeline = MojiPipeline.from_pretrained(backend=options.backend, precision=options.precision)
    print("| endpoint | batching | requests a second | p50, ms | p99, ms | largest difference |")
    print("|---|---|---|---|---|---|")
    cores = sorted(os.sched_getaffinity(0))
    if options.apart:
        os.sched_setaffinity(0, cores[:1])  # which processes that are started have from here
    with server([*compute, "--batch-size", "1"]) as (alone, _), server(compute) as (together, _):
        os.sched_setaffinity(0, cores[1:] if options.apart else cores)
        for endpoint in options.endpoint or ENDPOINTS:
            rounds: dict[str, list[tuple[float, float, float, float]]] = {"no": [], "yes": []}
            for number in range(options.rounds):
                for name, address in (("no", alone), ("yes", together)):
                    rate, answers = ask(address, endpoint, options.clients, options.seconds, number)
                    times = np.array([seconds for _, seconds, _ in answers]) * 1000
                    p50, p99 = np.percentile(times, [50, 99])
                    rounds[name].append((rate, p50, p99, difference(pipeline, endpoint, answers)))
            for name, found in rounds.items():
                rate, p50, p99, _ = sorted(found)[len(found) // 2]
                worst = max(row[3] for row in found)
                print(f"| `/{endpoint}` | {name} | {rate:.0f} | {p50:.0f} | {p99:.0f} | {worst:.1g} |")
            ratios = [yes[0] / no[0] for no, yes in zip(rounds["no"], rounds["yes"], strict=True)]
            print(f"| `/{endpoint}` | times faster | {statistics.median(ratios):.1f} | | | |", flush=True)


def soak(options: argparse.Namespace, compute: list[str]) -> None:
    """Print memory over minutes of requests of all kinds."""
    print("| minute | requests | MB |\n|---|---|---|")
    with server(compute) as (address, process):
        requests, started = 0, time.monotonic()
        for minute in range(options.soak + 1):
            print(f"| {minute} | {requests} | {megabytes(process)} |", flush=True)
            turn = 0
            while minute < options.soak and time.monotonic() < started + 60 * (minute + 1):
                endpoint = list(ENDPOINTS)[turn % 2]
                requests += len(ask(address, endpoint, options.clients, 8, 1000 * minute + turn)[1])
                turn += 1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--clients", type=int, default=32, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=8, metavar="S", help="of a round (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: %(default)s")
    parser.add_argument("--endpoint", nargs="+", choices=ENDPOINTS, help="default: all")
    parser.add_argument("--backend", choices=("onnx", "torch"), default="onnx", help="default: %(default)s")
    parser.add_argument(
        "--precision", choices=("float32", "int8"), default="float32", help="default: float32"
    )
    parser.add_argument(
        "--apart", action="store_true", help="one core for the server, others for the clients"
    )
    parser.add_argument("--soak", type=int, metavar="MINUTES", help="report memory over so long, instead")
    options = parser.parse_args()
    machine = processor()
    compute = ["--backend", options.backend, "--precision", options.precision]
    (soak if options.soak else compare)(options, compute)
    print(
        f"\n{machine}; {options.clients} clients, {options.backend}, {options.precision}; "
        f"{versions('onnxruntime', 'fastapi', 'uvicorn')}."
    )


if __name__ == "__main__":
    main()
