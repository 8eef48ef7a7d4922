"""`/predict` and `/health` of `torchmoji serve` on Ray Serve: from any number of processes and machines.

Ray Serve starts and replaces replicas, spreads requests over them and grows with the load. Texts of requests
that come together are computed together by `@serve.batch`, in place of the queue that a single process has.
Ray Serve asks nobody for a key and checks no host: put it behind what does.

    pip install -c constraints.txt ".[server,onnx]" "ray[serve]"
    serve run examples.serve_ray:application
    python examples/serve_ray.py --replicas 2 --port 8000
    curl -s http://127.0.0.1:8000/predict -H "Content-Type: application/json" -d '{"inputs": "what a day"}'
"""

import argparse
import asyncio
import signal

import numpy as np
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from ray import serve

from torchmoji import MojiPipeline
from torchmoji.server import Settings

LIMITS = Settings()
api = FastAPI(title="torchMoji", docs_url=None, redoc_url=None)


class Inputs(BaseModel):
    """A text, or several."""

    inputs: str | list[str]


@serve.deployment(
    ray_actor_options={"num_cpus": 1},
    max_ongoing_requests=64,  # further ones wait, at most so many:
    max_queued_requests=512,  # what comes then is answered with 503
    health_check_period_s=10,
)
@serve.ingress(api)
class Emojis:
    """A replica: a model, and what it is asked."""

    def __init__(self, model: str = "default") -> None:
        self.pipeline = MojiPipeline.from_pretrained(model, threads=1)

    def check_health(self) -> None:
        """Ray Serve replaces a replica that raises here."""
        self.pipeline.predict_proba("a day")

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=LIMITS.wait_ms / 1000)
    async def scores(self, requests: list[list[str]]) -> list[list[list[dict[str, object]]]]:
        """The classes of the texts of several requests, in one run of the model."""
        texts = [text for request in requests for text in request]
        rows = iter(await asyncio.to_thread(self._scores, texts))  # health checks go on meanwhile
        return [[next(rows) for _ in request] for request in requests]

    def _scores(self, texts: list[str]) -> list[list[dict[str, object]]]:
        classes = self.pipeline.classes
        return [
            [{"label": classes[n], "score": float(row[n])} for n in np.argsort(-row, kind="stable")]
            for row in self.pipeline.predict_proba(texts)
        ]

    @api.post("/predict")
    async def predict(self, request: Inputs) -> list[object]:
        """All classes with their scores, as `/predict` of `torchmoji serve`."""
        texts = [request.inputs] if isinstance(request.inputs, str) else request.inputs
        if not texts or len(texts) > LIMITS.max_texts:
            raise HTTPException(413 if texts else 422, f"give 1 to {LIMITS.max_texts} texts")
        if max(map(len, texts)) > LIMITS.max_characters:
            raise HTTPException(413, f"a text has more than {LIMITS.max_characters} characters: shorten it")
        found: list[object] = list(await self.scores(texts))
        return found[0] if isinstance(request.inputs, str) else found  # type: ignore[return-value]

    @api.get("/health")
    async def health(self) -> dict[str, str]:
        """For load balancers."""
        return {"status": "ok"}


application = Emojis.bind()


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="default")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    serve.start(http_options={"host": options.host, "port": options.port})
    serve.run(Emojis.options(num_replicas=options.replicas).bind(options.model))
    print(f"http://{options.host}:{options.port}/predict", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
