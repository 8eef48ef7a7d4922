"""`examples/serve_ray.py`, on a Ray of its own."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from torchmoji import MojiPipeline

pytest.importorskip("ray.serve")

TEXTS = ["what a day", "not again.. my train is late", "I love mom's cooking"]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def ask(port, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.nightly
def test_replicas_answer_as_the_pipeline(repository):
    port = free_port()
    command = [sys.executable, "examples/serve_ray.py", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    with subprocess.Popen(command, cwd=repository, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(120):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                except OSError:
                    time.sleep(1)
            with ThreadPoolExecutor(8) as pool:
                found = list(pool.map(lambda text: ask(port, {"inputs": text}), TEXTS * 8))
            expected = MojiPipeline.from_pretrained().predict(TEXTS, 64)
            for scores, prediction in zip(found, list(expected) * 8, strict=True):
                assert scores[0]["score"] == pytest.approx(prediction[0].probability, abs=1e-5)
                assert len(scores) == 64
            with pytest.raises(urllib.error.HTTPError, match="413"):
                ask(port, {"inputs": ["a"] * 3000})
        finally:
            process.terminate()
