"""The application: its endpoints, in the forms of OpenAI and of text-embeddings-inference, and the page.

All texts go through one queue (`torchmoji.server.queue`); who may ask and how much is looked after before
(`torchmoji.server.guard`). FastAPI checks what comes in and describes it at `/openapi.json`; answers are
written by orjson, since 2304 numbers take Python's own `json` about as long as the model.
"""

import asyncio
import re
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.resources import files as package_files
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

import numpy as np
import orjson
from fastapi import FastAPI, Query, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import Response, StreamingResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, Field, PlainValidator, WithJsonSchema
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.exceptions import HTTPException

from torchmoji import __version__
from torchmoji.batching import unit_rows
from torchmoji.emojis import shown
from torchmoji.files.tables import likely_column
from torchmoji.pipeline.pipeline import MojiPipeline
from torchmoji.pipeline.results import Result
from torchmoji.server.files import Upload, make_private
from torchmoji.server.guard import Guard, add_handlers
from torchmoji.server.queue import BatchQueue, Output, QueueClosed, QueueFull
from torchmoji.server.reading import Reader
from torchmoji.server.settings import Settings

T = TypeVar("T")

_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a character, which JSON can bring but UTF-8 cannot take back."""
_SMALLEST = 1e-38
_FEW = 8
_SHORT = 200  # characters of a text that counts as one
_PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/demo.css": ("demo.css", "text/css; charset=utf-8"),
    "/demo.js": ("demo.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_AGAIN = {"Retry-After": "1"}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _checked(is_item: Callable[[Any], bool], most: int | None = None) -> PlainValidator:
    """Takes a list of texts, or without `most` also one text; pydantic would make an error of each number."""

    def check(value: Any) -> Any:
        is_list = isinstance(value, list) and (most is None or 1 <= len(value) <= most)
        if (is_list and all(map(is_item, value))) or (most is None and _is_text(value)):
            return value
        kinds = "a text or a list of texts" if most is None else "a list of one or two texts"
        raise ValueError(f"must be {kinds}")

    return PlainValidator(check)


_TEXTS_SCHEMA = {"type": "array", "items": {"type": "string"}}
_MANY_SCHEMA = {"anyOf": [{"type": "string"}, _TEXTS_SCHEMA]}
_LISTS_SCHEMA = {"anyOf": [*_MANY_SCHEMA["anyOf"], {"type": "array", "items": _TEXTS_SCHEMA}]}

Many = Annotated[
    str | list[str], _checked(_is_text), WithJsonSchema(_MANY_SCHEMA | {"description": "A text, or several."})
]
TopK = Annotated[int, Field(ge=1, description="How many classes, at most all.")]
Share = Annotated[
    float | None,
    Field(
        ge=0,
        le=1,
        description="How much of their head start to take off common classes; the server's by default.",
    ),
]


class _Options(BaseModel):
    truncate: bool = Field(
        True, description="Cut texts that are longer than the model reads; else refuse them."
    )


class _Texts(_Options):
    inputs: Many


class EmbedRequest(_Texts):
    """As in text-embeddings-inference."""

    truncate: bool = False
    normalize: bool = Field(True, description="Scale each embedding to the length 1.")


class PredictRequest(_Options):
    """As in text-embeddings-inference."""

    inputs: Annotated[
        str | list[str] | list[list[str]],
        _checked(lambda value: _is_text(value) or (isinstance(value, list) and all(map(_is_text, value)))),
        WithJsonSchema(_LISTS_SCHEMA | {"description": "A text, several, or several in lists of one."}),
    ]
    truncate: bool = False
    raw_scores: bool = Field(
        False, description="Logarithms of probabilities, of classes judged alone log-odds."
    )
    balance: Share = None


class EmbeddingsRequest(BaseModel):
    """As of OpenAI."""

    input: Many
    model: str | None = Field(None, description="Any name: there is one model.")
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, description="None, or as many as the model has.")


class EmojisRequest(_Texts):
    """Texts and how many classes of each."""

    top_k: TopK = 1
    balance: Share = None


class EmotionsRequest(_Texts):
    """Texts."""

    balance: Share = None


class ReadRequest(BaseModel):
    """One text, or two to compare."""

    inputs: Annotated[
        list[str], _checked(_is_text, most=2), WithJsonSchema(_TEXTS_SCHEMA | {"minItems": 1, "maxItems": 2})
    ]
    top_k: TopK = 5
    balance: Share = None


class Application:
    """The endpoints, and what they share; `app` is for an ASGI server.

    Without classes, the pipeline has no page, and gives embeddings alone.
    """

    def __init__(self, pipeline: MojiPipeline, settings: Settings) -> None:
        self.pipeline, self.settings = pipeline, settings
        self.reader = Reader(pipeline) if pipeline.classes else None
        self.metrics = _Metrics()
        self.queue = BatchQueue(pipeline, settings, self.metrics.observe_batch)
        self.metrics.waiting.set_function(lambda: self.queue.waiting)
        self.files = 0
        self.app = FastAPI(
            title="torchMoji",
            version=__version__,
            docs_url=None,  # its scripts come from elsewhere
            redoc_url=None,
            lifespan=self._lifespan,
        )
        add_handlers(self.app)
        self.app.add_middleware(Guard, settings=settings, observe=self._observe)
        if settings.origins:
            self.app.add_middleware(
                CORSMiddleware,
                allow_origins=settings.origins,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type"],
                expose_headers=["Content-Disposition", "Retry-After", "X-Rows"],
            )
        self._add_endpoints()

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(self.queue.close)

    def _observe(self, path: str, status: int, seconds: float) -> None:
        known = path if path in self.paths else "other"
        self.metrics.requests.labels(known, status).inc()
        self.metrics.seconds.labels(known).observe(seconds)

    # --- texts through the queue --------------------------------------------------------------------------

    async def run(
        self, output: Output, texts: Sequence[str], balance: float | None = None, truncate: bool | None = True
    ) -> list[Result]:
        """The results of a request's texts; where they are not cut, None says that it cannot be asked for."""
        if output == "classes" and self.reader is None:
            raise HTTPException(422, "the model has no classes, it gives features alone: ask for embeddings")
        if output == "features" and not self.pipeline.engine.has_features:
            raise HTTPException(
                422, "the model's file gives no embeddings: export it with features, or ask for classes"
            )
        if not texts:
            raise HTTPException(422, "there is no text: give one or more")
        if len(texts) > self.settings.max_texts:
            raise HTTPException(
                413, f"the request has {len(texts)} texts, more than {self.settings.max_texts}: send several"
            )
        for number, text in enumerate(texts):
            if len(text) > self.settings.max_characters:
                raise HTTPException(
                    413,
                    f"text {number} has {len(text)} characters, more than {self.settings.max_characters}: "
                    "shorten it",
                )
        pipeline = self._balanced(balance)
        try:
            results = await self.queue.run(output, texts, pipeline)
        except QueueFull:
            raise HTTPException(429, "too many texts wait: ask again in a second", _AGAIN) from None
        except QueueClosed:
            raise HTTPException(503, "the server is being stopped", _AGAIN) from None
        limit = self.pipeline.limit
        for number, result in enumerate(results):
            if not truncate and not self.pipeline.windows and result.tokens > limit:
                step = "shorten it" if truncate is None else "shorten it, or ask with truncate"
                raise HTTPException(
                    413, f"text {number} has {result.tokens} tokens, more than {limit}: {step}"
                )
        return results

    def _balanced(self, balance: float | None) -> MojiPipeline:
        """The pipeline, or one like it with another balance."""
        pipeline = self.pipeline
        if balance is None or balance == pipeline.balance:
            return pipeline
        if pipeline.engine.multi_label or pipeline.class_frequencies is None:
            raise HTTPException(422, "this model's classes cannot be balanced: leave balance out")
        return pipeline.with_balance(balance)

    @property
    def readings(self) -> Reader:
        """The reader, after `run` has found that there is one."""
        assert self.reader is not None
        return self.reader

    # --- endpoints ----------------------------------------------------------------------------------------

    def _add_endpoints(self) -> None:
        app = self.app
        app.post("/v1/embeddings", tags=["OpenAI"])(self.embeddings)
        app.get("/v1/models", tags=["OpenAI"])(self.models)
        app.post("/embed", tags=["text-embeddings-inference"])(self.embed)
        app.post("/predict", tags=["text-embeddings-inference"])(self.predict)
        app.get("/info", tags=["text-embeddings-inference"])(self.info)
        app.get("/health", tags=["text-embeddings-inference"])(self.health)
        app.get("/metrics", tags=["text-embeddings-inference"])(self.metrics_text)
        app.post("/emojize", tags=["torchMoji"])(self.emojize)
        app.post("/emotions", tags=["torchMoji"])(self.emotions)
        app.post("/attention", tags=["torchMoji"])(self.attention)
        app.post("/read", tags=["torchMoji"])(self.read)
        app.post("/columns", tags=["torchMoji"])(self.columns)
        app.post("/file", tags=["torchMoji"])(self.file)
        for path, (name, kind) in _PAGE.items() if self.reader else ():
            content = (package_files("torchmoji.server") / "page" / name).read_bytes()
            app.get(path, include_in_schema=False)(partial(_static, content, kind))
        self.paths = {getattr(route, "path", "") for route in app.routes}

    async def embeddings(self, request: EmbeddingsRequest) -> Response:
        """Embeddings of the length 1, as numbers or as base64 of float32, little-endian."""
        size = self.pipeline.engine.nb_features
        if self.pipeline.engine.has_features and request.dimensions not in (None, size):
            raise HTTPException(400, f"dimensions must be {size}, got {request.dimensions}: leave it out")
        results = await self.run("features", _several(request.input), truncate=None)
        tokens = sum(result.tokens for result in results)

        def answer() -> dict[str, Any]:
            rows = _rows(results, True)
            if request.encoding_format == "base64":
                rows = [b64encode(row.astype("<f4").tobytes()).decode() for row in rows]
            return {
                "object": "list",
                "data": [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)],
                "model": "torchmoji",
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }

        return await _json(answer, len(results))

    async def models(self) -> Response:
        """The one model."""
        model = {"id": "torchmoji", "object": "model", "created": 0, "owned_by": "torchmoji"}
        return await _json(lambda: {"object": "list", "data": [model]})

    async def embed(self, request: EmbedRequest) -> Response:
        """Embeddings, a list of numbers for each text."""
        results = await self.run("features", _several(request.inputs), truncate=request.truncate)
        return await _json(lambda: _rows(results, request.normalize), len(results))

    async def predict(self, request: PredictRequest) -> Response:
        """All classes with their scores, best first; for one text a list, for several a list of lists."""
        inputs = request.inputs
        if any(isinstance(part, list) and len(part) != 1 for part in inputs):
            raise HTTPException(422, "pairs of texts cannot be classified: give each text alone")
        texts = [part[0] if isinstance(part, list) else part for part in _several(inputs)]
        results = await self.run("classes", texts, request.balance, request.truncate)

        def scored(result: Result) -> list[dict[str, Any]]:
            scores = result.values
            if request.raw_scores:
                scores = np.log(np.maximum(scores, _SMALLEST))
                if self.pipeline.engine.multi_label:
                    scores = scores - np.log(np.maximum(1 - result.values, _SMALLEST))
            order = np.argsort(-scores, kind="stable")
            return [{"score": float(scores[n]), "label": self.pipeline.classes[n]} for n in order]

        return await _each(inputs, scored, results)

    async def emojize(self, request: EmojisRequest) -> Response:
        """Each text with its likeliest classes after it, and these with their probabilities."""
        texts = _several(request.inputs)
        results = await self.run("classes", texts, request.balance, request.truncate)

        def emojized(text: str, result: Result) -> dict[str, Any]:
            scores = self.readings.likeliest(result, request.top_k)
            written = " ".join([*([text] if text else []), *(shown(score["emoji"]) for score in scores)])
            return {"text": _whole(written), "emojis": scores}

        return await _each(request.inputs, emojized, texts, results)

    async def emotions(self, request: EmotionsRequest) -> Response:
        """Eight emotions of each text, from 0 to 1."""
        if self.reader is not None and not self.reader.has_emotions:
            raise HTTPException(422, "emotions are of the 64 emojis, and this model has other classes")
        results = await self.run("classes", _several(request.inputs), request.balance, request.truncate)
        return await _each(request.inputs, self.readings.emotions, results)

    async def attention(self, request: _Texts) -> Response:
        """The words of each text as tokenized, with their weight and their place, `text[start:end]`."""
        texts = list(map(_whole, _several(request.inputs)))
        results = await self.run("classes", texts, truncate=request.truncate)
        return await _each(request.inputs, self.readings.words, texts, results)

    async def read(self, request: ReadRequest) -> Response:
        """All that the page shows of a text, or of two and their similarity."""
        texts = [_whole(text) for text in request.inputs]
        classes = await self.run("classes", texts, request.balance)
        features: list[Any] = [None] * len(texts)
        if self.readings.needs_features:
            features = await self.run("features", texts)

        def answer() -> dict[str, Any]:
            readings = [
                self.readings.read(*found, request.top_k)
                for found in zip(texts, classes, features, strict=True)
            ]
            is_pair = len(texts) == 2 and self.readings.has_similarities
            return {"readings": readings, **(self.readings.similarity(classes, features) if is_pair else {})}

        return await _json(answer, sum(map(len, texts)) // _SHORT)

    async def info(self) -> Response:
        """The model and the limits."""
        pipeline, settings = self.pipeline, self.settings
        can_balance = pipeline.class_frequencies is not None and not pipeline.engine.multi_label
        return await _json(
            lambda: {
                "model_id": "torchmoji",
                "model_dtype": pipeline.engine.name.partition(", ")[2],
                "engine": pipeline.engine.name,
                "version": __version__,
                "dimensions": pipeline.engine.nb_features if pipeline.engine.has_features else None,
                "classes": pipeline.classes,
                "multi_label": pipeline.engine.multi_label,
                "has_emotions": self.reader is not None and self.reader.has_emotions,
                "balance": pipeline.balance if can_balance else None,
                "max_input_length": pipeline.limit,
                "max_client_batch_size": settings.max_texts,
                "max_characters": settings.max_characters,
                "max_file": settings.max_file,
                "max_rows": settings.max_rows,
            }
        )

    async def health(self) -> Response:
        """Whether the model can be asked."""
        if not self.queue.is_working:
            raise HTTPException(503, "the model has stopped: start the server again")
        return await _json(lambda: {"status": "ok"})

    async def metrics_text(self) -> Response:
        """Counts and times for Prometheus."""
        return Response(generate_latest(self.metrics.registry), media_type="text/plain; version=0.0.4")

    # --- files --------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _uploaded(
        self, request: Request, name: str, column: str | None = None, top_k: int = 0
    ) -> AsyncIterator[Upload]:
        """The body of a request as a file that has been read through."""
        if self.files >= self.settings.max_files:
            raise HTTPException(429, "other files are being worked on: come again", {"Retry-After": "10"})
        self.files += 1
        try:
            with tempfile.TemporaryDirectory(prefix="torchmoji-", ignore_cleanup_errors=True) as folder:
                path = make_private(folder, name)
                with path.open("wb") as file:
                    async for piece in request.stream():
                        await run_in_threadpool(file.write, piece)
                yield await _told(partial(Upload, path, name, self.settings, column, top_k))
        finally:
            self.files -= 1

    async def columns(self, request: Request, name: str) -> Response:
        """The columns of a file, which is the body, the likely one of its texts, and how many rows it has."""
        async with self._uploaded(request, name) as upload:
            columns = [] if upload.kind == ".txt" else upload.columns
            found = {"columns": columns, "column": likely_column(columns), "rows": upload.rows}
            return await _json(lambda: found)

    async def file(
        self,
        request: Request,
        name: str,
        column: str | None = None,
        top_k: Annotated[int, Query(ge=1)] = 3,
        balance: Annotated[float | None, Query(ge=0, le=1)] = None,
    ) -> Response:
        """The rows of a file, which is the body, with the likeliest classes of their texts in new columns."""
        if self.reader is None:
            raise HTTPException(422, "the model has no classes, it gives features alone")
        reader, top_k = self.reader, min(top_k, len(self.pipeline.classes))
        pipeline = self._balanced(balance)
        async with AsyncExitStack() as stack:
            upload = await stack.enter_async_context(self._uploaded(request, name, column, top_k))
            writer = await _told(upload.writer)
            opened = stack.pop_all()

        async def pieces() -> AsyncIterator[bytes]:
            async with opened:
                async for window in iterate_in_threadpool(upload.windows()):
                    results = await self._patiently([text for text, _ in window], pipeline)
                    scores = [reader.likeliest(result, top_k) for result in results]
                    rows = [(row, found) for (_, row), found in zip(window, scores, strict=True)]
                    yield await run_in_threadpool(writer.piece, rows)
                yield await run_in_threadpool(writer.end)

        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(upload.name_of_result)}",
            "X-Rows": str(upload.rows),
        }
        return StreamingResponse(pieces(), media_type="application/octet-stream", headers=headers)

    async def _patiently(self, texts: Sequence[str], pipeline: MojiPipeline) -> list[Result]:
        """Results of a part of a file, which has time where others do not."""
        while True:
            try:
                return await self.queue.run("classes", texts, pipeline)
            except QueueFull:
                await asyncio.sleep(0.1)


class _Metrics:
    """Counts and times, for Prometheus."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("torchmoji_requests", "Requests", ["path", "status"], registry=registry)
        self.seconds = Histogram(
            "torchmoji_request_seconds", "Time of a request", ["path"], registry=registry
        )
        sizes = (1, 2, 4, 8, 16, 32, 64, 128)
        self.texts = Histogram("torchmoji_batch_texts", "Texts of a batch", buckets=sizes, registry=registry)
        self.batch_seconds = Histogram("torchmoji_batch_seconds", "Time of a batch", registry=registry)
        self.waiting = Gauge("torchmoji_waiting_texts", "Texts that wait for the model", registry=registry)

    def observe_batch(self, texts: int, requests: int, seconds: float) -> None:
        """Count a batch."""
        self.texts.observe(texts)
        self.batch_seconds.observe(seconds)


def _several(inputs: str | list[Any]) -> list[Any]:
    return [inputs] if isinstance(inputs, str) else inputs


def _whole(text: str) -> str:
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _rows(results: Sequence[Result], normalize: bool) -> list[Any]:
    rows = np.stack([result.values for result in results])
    return list(np.ascontiguousarray(unit_rows(rows) if normalize else rows, dtype=np.float32))


async def _json(answer: Callable[[], Any], texts: int = 1) -> Response:
    """What a function gives, as JSON; of many texts it is made in another thread."""

    def written() -> bytes:
        return orjson.dumps(answer(), option=orjson.OPT_SERIALIZE_NUMPY)

    content = await run_in_threadpool(written) if texts > _FEW else written()
    return Response(content, media_type="application/json")


async def _each(inputs: Any, answer: Callable[..., Any], *columns: Sequence[Any]) -> Response:
    """An answer for each text; for a text that came alone, not in a list."""
    if isinstance(inputs, str):
        return await _json(lambda: answer(*(column[0] for column in columns)), len(inputs) // _SHORT)
    size = sum(map(len, inputs)) // _SHORT + len(inputs)
    return await _json(lambda: list(map(answer, *columns)), size)


async def _told(step: Callable[[], T]) -> T:
    """Do something with a file, in another thread; what is wrong with the file is told to its user."""
    try:
        return await run_in_threadpool(step)
    except (ValueError, ModuleNotFoundError) as error:
        raise HTTPException(422, str(error)) from None


async def _static(content: bytes, kind: str) -> Response:
    return Response(content, media_type=kind)
