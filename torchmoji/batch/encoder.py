"""Batches of texts to the same batches with columns of results, as data engines call for it.

encoder = BatchEncoder(column="tweet", outputs=("emojis", "features"), dtype="float16")
dataset.map_batches(encoder)                        # Ray Data, Dask, Daft, a loop: batch in, batch out
"""

import reprlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from torchmoji.emojis import EMOTIONS, alias, emotion_scores, shown
from torchmoji.files.tables import DEFAULT_COLUMN, LONGEST_LINE, unused_name
from torchmoji.runtime.options import checked_count

if TYPE_CHECKING:
    from torchmoji.pipeline.pipeline import MojiPipeline

Array = npt.NDArray[Any]

OUTPUTS = ("emojis", "probabilities", "emotions", "features")
DTYPES = ("float32", "float16")
ENGINES = ("local", "ray")
"""What runs an encoder over files: see `torchmoji.batch.job`, which takes longer to import than this."""
_LOADING = Lock()


@dataclass(frozen=True)
class BatchEncoder:
    """Adds results to batches of texts: `encoder(batch)`.

    It holds settings alone, so that it is small to pickle; the model is loaded at the first call, once in
    each process, for all encoders that name it.

    Args:
        model: A name or a path for `MojiPipeline.from_pretrained`, which every machine finds.
        column: Of the texts.
        outputs: One or several of
            "emojis" (the `top_k` likeliest classes: `emoji_1`, `probability_1` and so on; `label_1`,
            `score_1` where classes are no emojis),
            "probabilities" (of all classes, a list of float32),
            "emotions" (eight columns, `anger` to `trust`, float32) and
            "features" (the encoding, a list of `dtype`). Features take a run of the model of their own.
        top_k: How many classes.
        dtype: Of the features: "float32" or "float16", half as large.
        strict: Raise for a row that has no text; else it gets no results, and the column `error` says why.
        vocabulary: A file; by default the model's.
        backend: See `MojiPipeline.from_pretrained`.
        device: The same.
        precision: The same.
        threads: The same.
        max_length: The same.
        windows: The same.
        balance: The same.
        batch_size: Texts computed at once, at most; by default what is fastest.

    Raises:
        ValueError: There is no such output or type.
    """

    model: str = "default"
    column: str = DEFAULT_COLUMN
    outputs: tuple[str, ...] = ("emojis",)
    top_k: int = 5
    dtype: str = "float32"
    strict: bool = False
    vocabulary: str | None = None
    backend: Literal["auto", "onnx", "torch"] = "auto"
    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    max_length: int | None = None
    windows: bool = False
    balance: float = 0.0
    batch_size: int | None = None

    def __post_init__(self) -> None:
        several = self.outputs if isinstance(self.outputs, list | tuple) else (self.outputs,)
        outputs = tuple(dict.fromkeys(several))
        object.__setattr__(self, "outputs", outputs)
        unknown = [str(name) for name in outputs if name not in OUTPUTS]
        if unknown or not outputs:
            raise ValueError(
                f"outputs must be some of {', '.join(OUTPUTS)}, got {', '.join(unknown) or 'none'}"
            )
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        checked_count("top_k", self.top_k)
        if self.batch_size is not None:
            checked_count("batch_size", self.batch_size)

    def pipeline(self) -> "MojiPipeline":
        """The model, loaded where this process does not have it."""
        with _LOADING:
            return _load(
                self.model,
                backend=self.backend,
                device=self.device,
                precision=self.precision,
                threads=self.threads,
                vocabulary=self.vocabulary,
                max_length=self.max_length,
                windows=self.windows,
                balance=self.balance,
                batch_size=self.batch_size,
            )

    def __call__(self, batch: Any) -> Any:
        """Give a batch with its columns and those of the results; a name that is taken gets an underscore.

        Args:
            batch: A pyarrow table or record batch, a pandas frame, or a dict of columns (lists or arrays).

        Returns:
            The same kind. Lists are fixed-size lists in Arrow, arrays in pandas, (n, C) or (n, F) in a dict;
            emojis and errors are of pandas' type "string".
            What a row does not have is null, or NaN in an array: all results of a row without a text, and
            those of a text without words but its features, which are zeros.

        Raises:
            TypeError: The batch is of another kind.
            ValueError: It has no such column, or with `strict` a row has no text.
        """
        if isinstance(batch, Mapping):
            self._check_column(list(batch))
            values = batch[self.column]
            values = values.to_pylist() if hasattr(values, "to_pylist") else self._listed(values)
            return {**batch, **self.results(values, batch)}
        kind = type(batch).__module__.partition(".")[0]
        if kind == "pyarrow" and hasattr(batch, "schema"):
            import pyarrow

            names = batch.schema.names
            self._check_column(names)
            columns = self.results(batch.column(self.column).to_pylist(), names)
            arrays = {name: to_arrow(column) for name, column in columns.items()}
            schema = batch.schema
            for name, array in arrays.items():
                schema = schema.append(pyarrow.field(name, array.type))
            return type(batch).from_arrays([*batch.columns, *arrays.values()], schema=schema)
        if kind == "pandas" and hasattr(batch, "columns"):
            names = list(batch.columns)
            self._check_column(names)
            series = batch[self.column]
            values = [
                None if no_value else value for value, no_value in zip(series, series.isna(), strict=True)
            ]
            columns = self.results(values, names)
            return batch.assign(**{name: _to_pandas(column, batch.index) for name, column in columns.items()})
        raise TypeError(
            f"a batch must be a pyarrow table or record batch, a pandas frame or a dict of columns, got "
            f"{type(batch).__name__}"
        )

    def _check_column(self, names: Sequence[str]) -> None:
        if (number := names.count(self.column)) > 1:
            raise ValueError(f"the batch has {number} columns {self.column!r}: rename all but one")
        if self.column not in names:
            raise ValueError(
                f"the batch has no column {self.column!r}, only "
                f"{', '.join(map(repr, names[:20])) or 'none'}: name the texts' as column="
            )

    def _listed(self, values: Any) -> list[Any]:
        if isinstance(values, np.ndarray) and values.ndim:
            return list(values.tolist())
        if isinstance(values, str | bytes | Mapping | np.ndarray) or not isinstance(values, Iterable):
            raise TypeError(
                f"the column {self.column!r} must be a list or an array of texts, got "
                f"{type(values).__name__}: give batches of rows, as map_batches and map(batched=True) do"
            )
        return list(values)

    def results(self, values: Sequence[Any], taken: Collection[str] = ()) -> dict[str, Array]:
        """Columns of results.

        Args:
            values: Of each row; of one that could not be read an exception.
            taken: Names of columns, which the results do not get.

        Returns:
            Name -> (n,) or (n, ...); at last `error`, which is None or why there are no results.

        Raises:
            ValueError: With `strict`, a row has no text.
        """
        errors = [_error(value) for value in values]
        if self.strict:
            for number, error in enumerate(errors):
                if error is not None:
                    raise ValueError(f"row {number} of the batch, column {self.column!r}, {error}")
        good = np.array([error is None for error in errors], dtype=bool)
        texts = [value for value, is_good in zip(values, good, strict=True) if is_good]
        columns: dict[str, Array] = {}
        names = set(taken)
        for name, column in self._columns(texts):
            missing = None if column.dtype == object else np.nan
            whole = np.full((len(values), *column.shape[1:]), missing, dtype=column.dtype)
            whole[good] = column
            columns[free := unused_name(name, names)] = whole
            names.add(free)
        return columns | {unused_name("error", names): np.array(errors, dtype=object)}

    def _columns(self, texts: list[str]) -> Iterator[tuple[str, Array]]:
        """Names and results of texts."""
        pipeline = self.pipeline()
        if set(self.outputs) != {"features"}:
            probabilities = pipeline.predict_proba(texts)
            probabilities[~pipeline.has_words(texts)] = np.nan
        for output in self.outputs:
            if output == "features":
                yield output, pipeline.encode(texts, show_progress_bar=False).astype(self.dtype, copy=False)
            elif output == "probabilities":
                yield output, probabilities
            elif output == "emotions":
                yield from zip(EMOTIONS, emotion_scores(probabilities, pipeline.classes).T, strict=True)
            else:
                yield from self._likeliest(pipeline, probabilities)

    def _likeliest(self, pipeline: "MojiPipeline", probabilities: Array) -> Iterator[tuple[str, Array]]:
        """The best classes, in the order of `MojiPipeline.predict`."""
        limits = -np.inf if pipeline.thresholds is None else np.asarray(pipeline.thresholds)
        scores = np.where(probabilities > limits, probabilities, -np.inf)  # of a text without words none
        best = np.argsort(-scores, axis=1, kind="stable")[:, : self.top_k]
        scores = np.take_along_axis(scores, best, axis=1)
        classes = np.array([*map(shown, pipeline.classes), None], dtype=object)
        name, number = names_of_classes(pipeline.classes)
        for place in range(best.shape[1]):
            is_none = np.isneginf(scores[:, place])
            yield f"{name}_{place + 1}", classes[np.where(is_none, -1, best[:, place])]
            yield f"{number}_{place + 1}", np.where(is_none, np.nan, scores[:, place]).astype(np.float32)


@lru_cache(maxsize=4)
def _load(model: str, batch_size: int | None, **options: Any) -> "MojiPipeline":
    from torchmoji.pipeline.pipeline import MojiPipeline

    pipeline = MojiPipeline.from_pretrained(model, **options)
    pipeline.batch_size = batch_size
    return pipeline


def names_of_classes(classes: Sequence[str]) -> tuple[str, str]:
    """What columns of the likeliest classes and their probabilities are called: only emojis are called so."""
    are_emojis = all(alias(name) != name for name in classes)
    return ("emoji", "probability") if are_emojis else ("label", "score")


def _error(value: Any) -> str | None:
    """Why a value is no text to be encoded."""
    if isinstance(value, Exception):
        return str(value)
    if value is None:
        return "has no value: it must be a text"
    if not isinstance(value, str):
        return f"has {reprlib.repr(value)}, of the type {type(value).__name__}: it must be a text"
    if len(value) > LONGEST_LINE:
        return f"has {len(value)} characters, more than {LONGEST_LINE}: split the text"
    return None


def _to_pandas(column: Array, index: Any) -> Any:
    """A column of a frame: strings, which engines can tell from other objects, numbers, or arrays."""
    import pandas

    if column.dtype == object:
        return pandas.array(column, dtype="string")
    if column.ndim == 1:
        return column
    rows = [None if np.isnan(row[0]) else row for row in column]
    return pandas.Series(rows, index=index, dtype=object)


def to_arrow(column: Array) -> Any:
    """An Arrow array of a column of results: (n, C) becomes fixed-size lists, None and NaN become null."""
    import pyarrow

    if column.dtype == object:
        return pyarrow.array(column, type=pyarrow.string())
    if column.ndim == 1:
        return pyarrow.array(column, mask=np.isnan(column))
    flat = pyarrow.array(column.reshape(-1))
    mask = pyarrow.array(np.isnan(column[:, 0]))
    return pyarrow.FixedSizeListArray.from_arrays(flat, column.shape[1], mask=mask)
