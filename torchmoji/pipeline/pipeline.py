"""Texts in, emojis, encodings, attention or emotions out.

    pipeline = MojiPipeline.from_pretrained()
    pipeline.emojize("I love mom's cooking")
    pipeline(["I love mom's cooking", "not again.."], top_k=3)       # as `predict`
    pipeline.encode(texts)                          # float32 (n, 2304)

A string gives one result, a list (or tuple, array, series) as many, an iterator or an open file an iterator
that reads a window ahead, in flat memory. Results are in the order of the texts, also of empty ones.
"""

import copy
import os
import reprlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, overload

import numpy as np
import numpy.typing as npt

from torchmoji.balancing import Balance, checked_temperature, checked_thresholds, with_temperature
from torchmoji.batching import (
    WINDOW,
    Floats,
    TextWindows,
    TruncationCounter,
    check_are_texts,
    checked_windows,
    merge_attention,
    merge_rows,
    split_texts,
    unit_rows,
)
from torchmoji.create_vocab import check_fits
from torchmoji.emojis import alias, emotion_scores, shown, unnamed_classes
from torchmoji.emoticons import fold_signs
from torchmoji.global_variables import default_weights_file
from torchmoji.pipeline.engines import ENGINES, Backend, Engine, TorchEngine, chosen_backend, torch_engine
from torchmoji.pipeline.results import (
    EmojiScore,
    Explanation,
    Prediction,
    Predictions,
    Result,
    WordAttention,
    WordEffect,
    word_attention,
)
from torchmoji.runtime.machine import check_threads
from torchmoji.runtime.options import checked_count
from torchmoji.sentence_tokenizer import SentenceTokenizer
from torchmoji.shipped import note_pair, note_weights
from torchmoji.weights import folder as pretrained

if TYPE_CHECKING:
    import torch
    from typing_extensions import Unpack  # of typing from Python 3.11 on

T = TypeVar("T")

LONGEST = 512
"""Tokens of a text, at most, unless `max_length` says otherwise."""
_BAR_FROM = 4 * WINDOW  # texts from which a progress bar is shown on a terminal


class _Run(TypedDict, total=False):
    """Where and how texts are run, in the signatures of type checkers."""

    device: "str | torch.device | None"
    workers: int | None


class MojiPipeline:
    """A model with its vocabulary and classes. `from_pretrained` makes it from files.

    It may be used from several threads, pickled, and used after a fork, where torch computes with one thread.

    Attributes:
        batch_size: Texts in a batch, at most; None for what is fastest.

    Args:
        engine: What computes.
        vocabulary: Word -> id.
        classes: Names of the classes; by default the 64 emojis where there are as many, else numbers.
        max_length: Tokens of a text, at most; None for up to `LONGEST`. Longer texts are cut, with a warning
            in the log that counts them.
        windows: Run longer texts in windows of that many tokens that overlap by half, and average, in place
            of cutting them.
        balance: From 0 to 1, how much of their head start to take off common classes, see
            `torchmoji.balancing`. 0 gives the model's own probabilities, 1 those for classes alike.
        class_frequencies: How frequent each class was in training, for `balance`.
        thresholds: For each class the probability above which `predict` gives it, (C,); None for no limit.
        temperature: Divides the outputs before they become probabilities, see `torchmoji.balancing`; 1 gives
            the model's own.

    Attributes:
        thresholds: As given, or None; they may be set.
        temperature: As given; it may be set.

    Raises:
        ValueError: Classes, vocabulary or thresholds do not fit the model, `max_length` is below 1, `balance`
            or `temperature` is out of range, or the model has no `class_frequencies` for `balance`.
    """

    def __init__(
        self,
        engine: Engine,
        vocabulary: Mapping[str, int],
        classes: Sequence[str] | None = None,
        max_length: int | None = None,
        windows: bool = False,
        balance: float = 0.0,
        class_frequencies: Sequence[float] | None = None,
        *,
        thresholds: Sequence[float] | None = None,
        temperature: float = 1.0,
    ) -> None:
        if max_length is not None:
            max_length = checked_count("max_length", max_length)
        check_fits(vocabulary, engine.nb_tokens)
        if classes is None and engine.nb_classes is not None:
            numbers = [str(index) for index in range(engine.nb_classes)]
            classes = unnamed_classes(engine.nb_classes) or numbers
        if classes is not None and len(classes) != engine.nb_classes:
            raise ValueError(
                f"classes are {len(classes)} names, but the model has {engine.nb_classes or 'no'} classes"
            )
        self.engine = engine
        self.thresholds, self.temperature = thresholds, temperature
        self._set_balance(balance, class_frequencies)
        self._weights: Path | None = None
        self.classes: tuple[str, ...] = tuple(classes or ())
        self.max_length = max_length
        self.windows = windows
        self.batch_size: int | None = None
        self._threads: int | None = None
        self._tokenizer = SentenceTokenizer(vocabulary, fixed_length=max_length or LONGEST)

    def _set_balance(self, balance: float, class_frequencies: Sequence[float] | None) -> None:
        if balance and self.engine.multi_label:
            raise ValueError("each of this model's classes is judged on its own: leave balance out")
        self._balance = Balance(balance, class_frequencies, self.engine.nb_classes)
        self.class_frequencies = self._balance.frequencies

    @property
    def balance(self) -> float:
        """As given; it may be set, and `with_balance` gives another pipeline."""
        return self._balance.strength

    @balance.setter
    def balance(self, balance: float) -> None:
        self._set_balance(balance, self.class_frequencies)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "thresholds" and value is not None:
            value = checked_thresholds(value, self.engine.nb_classes)
        super().__setattr__(name, checked_temperature(value) if name == "temperature" else value)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str] | pretrained.Files = "default",
        backend: Backend = "auto",
        device: "str | torch.device | None" = None,
        dtype: "str | torch.dtype | None" = None,
        *,
        precision: "str | torch.dtype | None" = None,
        threads: int | None = None,
        vocabulary: Mapping[str, int] | str | os.PathLike[str] | None = None,
        classes: Sequence[str] | None = None,
        max_length: int | None = None,
        windows: bool = False,
        balance: float = 0.0,
        class_frequencies: Sequence[float] | None = None,
        thresholds: Sequence[float] | None = None,
        temperature: float | None = None,
    ) -> "MojiPipeline":
        """Load a model.

        Args:
            name_or_path: "default" (comes with the package), "deepmoji" (the original weights, fetched at
                first use), a folder of `save_pretrained`, a hub id, a weights file with `vocabulary`, or a
                file of `torchmoji.onnx.model.export`; or what `torchmoji.weights.folder.find` found of one,
                with its vocabulary.
            backend: "onnx" (extra `onnx`; the fastest on a CPU, and needs no torch) or "torch". "auto" is
                ONNX where it is installed, else torch, and what `device`, `precision` and the file need.
                In float32 both give the same to 1e-5.
            device: For torch, such as "cuda"; the CPU by default.
            dtype: Another name of `precision`.
            precision: "float32", the default; "int8", for ONNX; "bfloat16" or another floating type of
                torch, or its name, for torch.
            threads: How many threads compute: for ONNX in a call, for torch in the whole process.
            vocabulary: Word -> id, or a file; by default that of the model.
            classes: Names of the classes; by default those of the model.
            max_length: See the class.
            windows: See the class.
            balance: See the class.
            class_frequencies: See the class; by default those of the model.
            thresholds: See the class; by default those of the model.
            temperature: See the class; by default that of the model.

        Raises:
            FileNotFoundError: There is no such model.
            OSError: Files could not be fetched.
            ValueError: A file is damaged, or an option is unknown or does not fit.
            ModuleNotFoundError: An extra is missing.
        """
        if precision is not None and dtype is not None:
            raise ValueError("precision and dtype are the same: give one of them")
        precision = dtype if precision is None else precision
        check_threads(threads)
        chosen_backend(backend, "", device, precision)  # complains before a download
        files = name_or_path
        if not isinstance(files, pretrained.Files):
            files = pretrained.find(files, vocabulary)
        note_weights(files.weights)
        load = ENGINES[chosen_backend(backend, files.weights, device, precision)]
        engine = load(files.weights, device, precision, bool(files.config.get("multi_label")), threads)
        given: dict[str, Any] = {
            "classes": classes,
            "max_length": max_length,
            "class_frequencies": class_frequencies,
            "thresholds": thresholds,
            "temperature": temperature,
        }
        config: dict[str, Any] = {"vocabulary": files.vocabulary}
        for source in (engine.about, files.config, given):  # what comes later counts more
            config |= {name: value for name, value in source.items() if value is not None}
        if config["vocabulary"] is None:
            raise ValueError(f"{files.weights} has no vocabulary: give it as vocabulary=")
        if vocabulary is not None or files.weights != default_weights_file():
            note_pair(files.weights, config["vocabulary"])
        options = {name: config[name] for name in given if name in config}
        pipeline = cls(engine, config["vocabulary"], windows=windows, balance=balance, **options)
        pipeline._weights, pipeline._threads = files.weights, threads
        return pipeline

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write a folder for `from_pretrained`: safetensors, vocabulary, configuration, model card.

        Args:
            folder: A new folder appears when it is whole; in an old one the files are replaced.

        Raises:
            ValueError: The pipeline runs on an ONNX file, which has no weights to save.
            OSError: The folder cannot be written.
        """
        self._save(folder)

    def _save(self, folder: str | os.PathLike[str], extra: Mapping[str, str] | None = None) -> None:
        """`save_pretrained` with more files, name -> text."""
        engine = self.engine
        if not isinstance(engine, TorchEngine):  # whose weights are rounded or elsewhere: those of the file
            if self._weights is None or self._weights.suffix == ".onnx":
                raise ValueError("an ONNX file has no weights to save: load the model's folder or weights")
            engine = torch_engine(self._weights, multi_label=engine.multi_label)
        model = engine.model
        config: dict[str, Any] = {
            "nb_tokens": engine.nb_tokens,
            "embedding_dim": model.embedding_dim,
            "hidden_size": model.hidden_size,
            "nb_classes": engine.nb_classes,
            "classes": list(self.classes) or None,
            "class_frequencies": self.class_frequencies and list(self.class_frequencies),
            "multi_label": engine.multi_label,
            "max_length": self.max_length,
            "temperature": self.temperature,
            "thresholds": self.thresholds and list(self.thresholds),
        }
        state = {name: tensor.float() for name, tensor in model.state_dict().items()}
        pretrained.save(folder, state, self.vocabulary, config, self._card(config), extra=extra)

    def push_to_hub(
        self, repo_id: str, *, private: bool | None = None, token: str | None = None, message: str = ""
    ) -> str:
        """Put the model, with its card, into a repository of the Hugging Face hub, made where it is missing.

        A card that is there stays.

        Args:
            repo_id: Such as "user/my-model", which `from_pretrained` then takes.
            private: Of a new repository; by default as the account has it.
            token: By default that of `hf auth login`, or of HF_TOKEN.
            message: Of the commit.

        Returns:
            The address of the commit.

        Raises:
            OSError: The hub cannot be reached, or refuses; the message says why.
            ValueError: The name is no repository's, or the pipeline runs on an ONNX file.
        """
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "model"
            self.save_pretrained(folder)
            return pretrained.push(folder, repo_id, private, token, message or "Upload a torchMoji model")

    def _card(self, config: Mapping[str, Any]) -> str:
        shown = {
            name: value
            for name, value in config.items()
            if name not in ("classes", "class_frequencies", "thresholds")
        }
        shown["classes"] = " ".join(self.classes) or "none, features only"
        listed = "\n".join(f"- {name}: {value}" for name, value in shown.items())
        return (
            "---\nlibrary_name: torchmoji\npipeline_tag: text-classification\n---\n\n"
            "# A torchMoji model\n\nA bi-LSTM with attention for short texts, in DeepMoji's form.\n\n"
            f"{listed}\n\n"
            "Say here what it learned from, how it was measured, and what it must not be used for.\n"
        )

    @property
    def vocabulary(self) -> dict[str, int]:
        """Word -> id."""
        return self._tokenizer.vocabulary

    @property
    def limit(self) -> int:
        """Tokens of a text that are read at once, at most."""
        return self.max_length or LONGEST

    def with_balance(self, balance: float) -> "MojiPipeline":
        """A pipeline on the same model with another balance.

        Raises:
            ValueError: As for the class.
        """
        other = copy.copy(self)
        other._set_balance(balance, self.class_frequencies)
        return other

    def has_words(self, texts: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Which of several texts have a word (n,)."""
        self._check_several(texts)
        return np.array([len(self._ids(text)) > 0 for text in texts], dtype=bool)

    def results(self, texts: Sequence[str], features: bool = False) -> list[Result]:
        """Give all that a run of the model says of texts, for servers, which share runs between requests.

        Args:
            texts: Several.
            features: Of the features in place of the classes.
        """
        self._check_several(texts)
        ids = [self._ids(text) for text in texts]
        rows = split_texts(ids, self.windows, TruncationCounter(self.limit))
        if features:
            values, attention = self._features_of(rows, len(texts)), [np.zeros(0, np.float32)] * len(texts)
        else:
            values, attention = self._probabilities_of(rows, len(texts))
        return [Result(*found) for found in zip(values, attention, map(len, ids), strict=True)]

    def __repr__(self) -> str:
        return (
            f"<MojiPipeline: {self.engine.name}, {len(self.classes)} classes, {len(self.vocabulary)} words>"
        )

    # --- classes ------------------------------------------------------------------------------------------

    @overload
    def predict(  # type: ignore[overload-overlap]
        self, texts: str, top_k: int = 5, **run: "Unpack[_Run]"
    ) -> Prediction: ...
    @overload
    def predict(  # type: ignore[overload-overlap]
        self, texts: Iterator[str], top_k: int = 5, **run: "Unpack[_Run]"
    ) -> Iterator[Prediction]: ...
    @overload
    def predict(self, texts: Iterable[str], top_k: int = 5, **run: "Unpack[_Run]") -> Predictions: ...
    def predict(
        self,
        texts: Any,
        top_k: int = 5,
        *,
        device: "str | torch.device | None" = None,
        workers: int | None = None,
    ) -> Any:
        """Give the likeliest classes; `pipeline(texts)` does the same.

        Args:
            texts: One, several, or an iterator of them.
            top_k: How many for a text, at most all.
            device: Move the model there first, where it stays; by default where it is.
            workers: Compute in so many processes, each with the model, see `encode`.

        Returns:
            For each text a list of `(emoji, alias, index, probability)`, best first; equal ones in the order
            of the classes. Of a text without words the list is empty, and of a model with `thresholds` it has
            only classes above theirs. The lists also have `text` and `words`, with the attention of
            each.

        Raises:
            TypeError: A text is not a string; the message names its position.
            ValueError: `top_k` or `workers` is below 1, the model has no classes, or there is no such device.
        """
        checked_count("top_k", top_k)
        self._check_classes()
        self._move(device)
        self._check_workers(workers)

        def run(window: Sequence[str], cut: TruncationCounter) -> list[Prediction]:
            probabilities, attention = self._probabilities(window, cut)
            return [
                Prediction(
                    self._scores(row, self.best_classes(row)[:top_k] if len(weights) else ()), text, weights
                )
                for text, row, weights in zip(window, probabilities, attention, strict=True)
            ]

        found = self._in_shape(texts, run, workers)
        return Predictions(found) if type(found) is list else found

    __call__ = predict

    def predict_stream(self, texts: Iterable[str], top_k: int = 5) -> Iterator[Prediction]:
        """`predict` for any number of texts, a window at a time, in order."""
        return self.predict(iter([texts] if isinstance(texts, str) else texts), top_k)

    def best_classes(self, row: Floats) -> npt.NDArray[np.intp]:
        """Give the numbers of the classes above their thresholds, best first, by probabilities (C,)."""
        order = np.argsort(-row, kind="stable")
        if self.thresholds is None:
            return order
        return order[row[order] > np.asarray(self.thresholds)[order]]

    def _move(self, device: "str | torch.device | None") -> None:
        if device is not None:
            self.engine.to(device)

    def _scores(self, row: Floats, order: Iterable[Any]) -> list[EmojiScore]:
        names = self.classes
        return [EmojiScore(names[i], alias(names[i]), int(i), float(row[i])) for i in order]

    @overload
    def predict_proba(  # type: ignore[overload-overlap]
        self, texts: Iterator[str], **run: "Unpack[_Run]"
    ) -> Iterator[Floats]: ...
    @overload
    def predict_proba(self, texts: str | Iterable[str], **run: "Unpack[_Run]") -> Floats: ...
    def predict_proba(
        self, texts: Any, *, device: "str | torch.device | None" = None, workers: int | None = None
    ) -> Any:
        """Probabilities of the classes: float32 (n, C), (C,) for one string, an iterator for an iterator.

        Also of texts without words, for which they are what the output layer's bias says. `device` and
        `workers` are as in `encode`.
        """
        self._check_classes()
        self._move(device)
        self._check_workers(workers)

        def run(window: Sequence[str], cut: TruncationCounter) -> Floats:
            return self._probabilities(window, cut)[0]

        return self._array(texts, run, len(self.classes), workers=workers)

    @overload
    def emotions(  # type: ignore[overload-overlap]
        self, texts: Iterator[str], *, workers: int | None = None
    ) -> Iterator[Floats]: ...
    @overload
    def emotions(self, texts: str | Iterable[str], *, workers: int | None = None) -> Floats: ...
    def emotions(self, texts: Any, *, workers: int | None = None) -> Any:
        """Anger, anticipation, disgust, fear, joy, sadness, surprise and trust, 0 to 1: float32 (n, 8).

        The emojis' probabilities weighted by human scores: see `torchmoji.emojis`. `workers` is as in
        `encode`.

        Raises:
            ValueError: The model predicts something else than the 64 emojis.
        """
        nothing = np.zeros((0, len(self.classes)), np.float32)
        emotion_scores(nothing, self.classes)  # complains before the work
        probabilities = self.predict_proba(texts, workers=workers)
        if isinstance(texts, Iterator):
            return (emotion_scores(row[np.newaxis], self.classes)[0] for row in probabilities)
        scores = emotion_scores(np.atleast_2d(probabilities), self.classes)
        return scores if probabilities.ndim == 2 else scores[0]

    @overload
    def emojize(  # type: ignore[overload-overlap]
        self, text: str, top_k: int = 1, *, workers: int | None = None
    ) -> str: ...
    @overload
    def emojize(  # type: ignore[overload-overlap]
        self, text: Iterator[str], top_k: int = 1, *, workers: int | None = None
    ) -> Iterator[str]: ...
    @overload
    def emojize(self, text: Iterable[str], top_k: int = 1, *, workers: int | None = None) -> list[str]: ...
    def emojize(self, text: Any, top_k: int = 1, *, workers: int | None = None) -> Any:
        """Give the text with its likeliest emojis after it; a text without words stays as it is.

        `workers` is as in `encode`.
        """

        def written(prediction: Prediction) -> str:
            text = prediction.text.rstrip("\r\n")  # lines of a file have their ends
            words = [*([text] if text else []), *(shown(score.emoji) for score in prediction)]
            return " ".join(words) + prediction.text[len(text) :]

        found: Any = self.predict(text, top_k, workers=workers)
        if isinstance(text, str):
            return written(found)
        return map(written, found) if isinstance(text, Iterator) else list(map(written, found))

    # --- features -----------------------------------------------------------------------------------------

    @overload
    def encode(  # type: ignore[overload-overlap]
        self,
        texts: Iterator[str],
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        normalize_embeddings: bool = False,
        convert_to_tensor: Literal[False] = False,
        **run: "Unpack[_Run]",
    ) -> Iterator[Floats]: ...
    @overload
    def encode(
        self,
        texts: str | Iterable[str],
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        normalize_embeddings: bool = False,
        convert_to_tensor: Literal[False] = False,
        **run: "Unpack[_Run]",
    ) -> Floats: ...
    @overload
    def encode(
        self,
        texts: str | Iterable[str],
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        normalize_embeddings: bool = False,
        *,
        convert_to_tensor: Literal[True],
        **run: "Unpack[_Run]",
    ) -> "torch.Tensor": ...
    def encode(
        self,
        texts: Any,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        normalize_embeddings: bool = False,
        convert_to_tensor: bool = False,
        *,
        device: "str | torch.device | None" = None,
        workers: int | None = None,
    ) -> Any:
        """Give the features of texts.

        Args:
            texts: One, several, or an iterator of them.
            batch_size: Texts in a batch, at most; by default what is fastest.
            show_progress_bar: On standard error; by default on a terminal where there are many texts.
            normalize_embeddings: Scale each row to the length 1; rows of texts without words stay zero.
            convert_to_tensor: Give torch tensors, on the model's device.
            device: Move the model there first, where it stays; by default where it is.
            workers: Compute in so many processes, which end with the call: for many texts, since each takes
                seconds to start and loads the model. Each has its share of the cores, or `threads` where the
                pipeline was loaded with them. Fewer than `WINDOW` texts are computed in this process. Results
                are those of one process with as many threads, bit for bit.

        Returns:
            float32 (n, F), (F,) for one string, an iterator of (F,) for an iterator.

        Raises:
            TypeError: A text is not a string; the message names its position.
            ValueError: `batch_size` or `workers` is below 1, or `workers` are given for a GPU.
            ChildProcessError: Worker processes died, several times over the same texts.
        """
        if batch_size is not None:
            checked_count("batch_size", batch_size)
        self._move(device)
        self._check_workers(workers)

        def run(window: Sequence[str], cut: TruncationCounter) -> Floats:
            tokens = self._tokens(window, cut)
            rows = self._features_of(tokens, len(window), batch_size)
            return np.asarray(unit_rows(rows), dtype=np.float32) if normalize_embeddings else rows

        def converted(array: Floats) -> Any:
            if not convert_to_tensor:
                return array
            import torch

            device = self.engine.model.embed.weight.device if isinstance(self.engine, TorchEngine) else "cpu"
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        found = self._array(texts, run, self.engine.nb_features, show_progress_bar, workers)
        return map(converted, found) if isinstance(texts, Iterator) else converted(found)

    def encode_stream(self, texts: Iterable[str], batch_size: int | None = None) -> Iterator[Floats]:
        """`encode` for any number of texts, a window at a time, in order: float32 (F,) each."""
        return self.encode(iter([texts] if isinstance(texts, str) else texts), batch_size)

    @overload
    def similarity(  # type: ignore[overload-overlap]
        self, a: str, b: str, by: Literal["classes", "encoding"] | None = None
    ) -> float: ...
    @overload
    def similarity(
        self, a: str | Iterable[str], b: str | Iterable[str], by: Literal["classes", "encoding"] | None = None
    ) -> Floats: ...
    def similarity(self, a: Any, b: Any, by: Literal["classes", "encoding"] | None = None) -> Any:
        """Say how alike texts feel: float32 (n, m), without the dimension of a single string.

        Args:
            a: A text, or n.
            b: A text, or m.
            by: "classes" is the overlap of the probabilities p and q, the sum of sqrt(p q), from 0 to 1
                (the Bhattacharyya coefficient); "encoding" the cosine of the encodings, from -1 to 1, which
                is more about words and topics. By default the former, for a model of features alone, or of
                classes that are each judged on their own, the latter.

        Returns:
            A text without words has the similarity 0 to all.

        Raises:
            ValueError: The model has no probabilities that overlap, or `by` is another word.
        """
        if by not in (None, "classes", "encoding"):
            raise ValueError(f"by must be 'classes' or 'encoding', got {by!r}")
        has_overlap = bool(self.classes) and not self.engine.multi_label
        if by == "classes" and not has_overlap:
            raise ValueError("this model has no probabilities that sum up to 1: use by='encoding'")
        both = [list(texts) if isinstance(texts, Iterator) else texts for texts in (a, b)]
        if by == "encoding" or not has_overlap:
            rows = [self.encode(texts, normalize_embeddings=True) for texts in both]
        else:
            rows = [self._roots(texts) for texts in both]
        product = rows[0] @ rows[1].T
        return float(product) if np.ndim(product) == 0 else product

    def _roots(self, texts: str | Iterable[str]) -> Floats:
        """Square roots of probabilities, rows of length 1; zeros for a text without words."""
        roots: Floats = np.sqrt(self.predict_proba(texts))
        if isinstance(texts, str):
            return roots * self.has_words([texts])
        return roots * self.has_words(texts)[:, np.newaxis]

    # --- words --------------------------------------------------------------------------------------------

    @overload
    def attention(self, texts: str) -> list[WordAttention]: ...  # type: ignore[overload-overlap]
    @overload
    def attention(self, texts: Iterator[str]) -> Iterator[list[WordAttention]]: ...  # type: ignore[overload-overlap]
    @overload
    def attention(self, texts: Iterable[str]) -> list[list[WordAttention]]: ...
    def attention(self, texts: Any) -> Any:
        """Give the words of texts with their weight and place.

        Returns:
            For each text a list of `(word, weight, start, end)`, words as tokenized; `text[start:end]` is
            where the word comes from. The weights of a text sum up to 1. Words that were cut are left out.
        """
        self._check_classes()

        def run(window: Sequence[str], cut: TruncationCounter) -> list[list[WordAttention]]:
            _, weights = self._probabilities(window, cut)
            return [word_attention(text, row) for text, row in zip(window, weights, strict=True)]

        return self._in_shape(texts, run)

    def explain(self, text: str) -> Explanation:
        """Say what each word does to the likeliest class of a text.

        Returns:
            The class, and for each word `(word, change, start, end)`: the probability of that class without
            the word, less that with it; negative where the word speaks for the class.
        """
        if not isinstance(text, str):
            raise TypeError(f"explain takes one text, got {type(text).__name__}: call it for each of several")
        self._check_classes()
        ids = self._ids(text)
        with TruncationCounter(self.limit) as cut:
            split_texts([ids], self.windows, cut)  # warns
        ids = ids if self.windows else ids[: self.limit]
        without_each = (ids[:place] + ids[place + 1 :] for place in range(len(ids)))
        tokens = split_texts([ids, *without_each], self.windows, TruncationCounter(self.limit))
        probabilities, attention = self._probabilities_of(tokens, len(ids) + 1)  # (1 + words, C)
        best = int(np.argmax(probabilities[0]))
        placed = word_attention(text, attention[0])
        effects = [
            WordEffect(word.word, float(without - probabilities[0, best]), word.start, word.end)
            for word, without in zip(placed, probabilities[1:, best], strict=True)
        ]
        return Explanation(self._scores(probabilities[0], [best])[0], effects)

    # --- texts to rows and back ---------------------------------------------------------------------------

    @staticmethod
    def _check_several(texts: Iterable[str]) -> None:
        check_are_texts(texts)
        if isinstance(texts, str):
            raise TypeError(f"expected several texts, got one, {reprlib.repr(texts)}: give a list")

    def _check_classes(self) -> None:
        if not self.classes:
            raise ValueError("the model has no output layer, so it gives features alone: use encode")

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.find_tokens(self._tokenizer.wordgen.get_words(fold_signs(text)))

    def _tokens(self, texts: Sequence[str], cut: TruncationCounter) -> TextWindows:
        return split_texts([self._ids(text) for text in texts], self.windows, cut)

    def _probabilities(self, texts: Sequence[str], cut: TruncationCounter) -> tuple[Floats, list[Floats]]:
        """Probabilities (texts, C), and for each text the attention of its words."""
        return self._probabilities_of(self._tokens(texts, cut), len(texts))

    def _probabilities_of(self, tokens: TextWindows, count: int) -> tuple[Floats, list[Floats]]:
        """The same of so many texts that are tokenized."""
        probabilities, attention = self.engine.probabilities(tokens.ids, self.batch_size)
        return (
            merge_rows(self._adjusted(probabilities), tokens.texts, count),
            merge_attention(attention, tokens, count),
        )

    def _features_of(self, tokens: TextWindows, count: int, batch_size: int | None = None) -> Floats:
        """Features (texts, F)."""
        rows = self.engine.features(tokens.ids, batch_size or self.batch_size)
        return merge_rows(rows, tokens.texts, count)

    def _adjusted(self, probabilities: Floats) -> Floats:
        """The model's probabilities (n, C) with temperature and balance."""
        return self._balance(with_temperature(probabilities, self.temperature, self.engine.multi_label))

    def _check_workers(self, workers: int | None) -> None:
        if workers is None:
            return
        checked_count("workers", workers)
        if isinstance(self.engine, TorchEngine) and not self.engine.model.embed.weight.is_cpu:
            device = self.engine.model.embed.weight.device
            raise ValueError(f"workers= is for the CPU, and the model is on {device}: leave it out")

    def _windows(
        self,
        texts: Iterable[str],
        run: Callable[[Sequence[str], TruncationCounter], T],
        workers: int | None = None,
    ) -> Iterator[T]:
        """The results of each window of texts."""
        limit = self.limit
        with TruncationCounter(limit) as cut:
            windows = checked_windows(texts)
            first = next(windows, [])
            if first:
                windows = chain([first], windows)
            if workers is None or len(first) < WINDOW:  # there is no other window
                for window in windows:
                    yield run(window, cut)
                return
            from torchmoji.runtime.workers import Workers

            def load() -> Callable[[Sequence[str]], tuple[T, int, int]]:
                def counted(window: Sequence[str]) -> tuple[T, int, int]:
                    own = TruncationCounter(limit)
                    return run(window, own), own.texts, own.truncated

                return counted

            with Workers(load, workers, self._threads) as pool:
                for result, texts_of_window, truncated in pool.map(windows):
                    cut.texts += texts_of_window
                    cut.truncated += truncated
                    yield result

    def _in_shape(
        self,
        texts: Any,
        run: Callable[[Sequence[str], TruncationCounter], Iterable[Any]],
        workers: int | None = None,
    ) -> Any:
        """A result for a string, an iterator of them for an iterator, a list for several texts."""
        if isinstance(texts, str):
            with TruncationCounter(self.limit) as cut:
                return next(iter(run([texts], cut)))
        results = chain.from_iterable(self._windows(texts, run, workers))
        return results if isinstance(texts, Iterator) else list(results)

    def _array(
        self,
        texts: Any,
        run: Callable[[Sequence[str], TruncationCounter], Floats],
        columns: int,
        show_progress_bar: bool | None = False,
        workers: int | None = None,
    ) -> Any:
        """Rows in one array (n, columns), or (columns,) for a string, an iterator for an iterator."""
        if isinstance(texts, str | Iterator):
            return self._in_shape(texts, run, workers)
        check_are_texts(texts)
        size = len(texts) if hasattr(texts, "__len__") else None
        if show_progress_bar is None:
            show_progress_bar = bool(size and size >= _BAR_FROM and sys.stderr.isatty())
        from tqdm import tqdm

        parts = []
        with tqdm(total=size, unit=" texts", disable=not show_progress_bar) as bar:
            for part in self._windows(texts, run, workers):
                parts.append(part)
                bar.update(len(part))
        return np.concatenate(parts) if parts else np.zeros((0, columns), np.float32)
