"""The model as an ONNX file, and a call that runs such a file without torch.

    export(model, "model.onnx", quantize="int8", vocabulary=vocabulary)
    probabilities = OnnxModel("model.onnx")(ids)

The file is complete: its input is token ids as `SentenceTokenizer` gives them, padded anywhere and in any
order; vocabulary and classes travel in its metadata. Needs the extra `onnx`; its packages are imported where
they are used.

To time an engine at a batch size, give `OnnxModel` that size as `max_rows`.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from torchmoji.balancing import FACTS, checked_facts
from torchmoji.batching import run_by_length
from torchmoji.create_vocab import check_fits, split_spellings
from torchmoji.emojis import unnamed_classes
from torchmoji.files.atomic import atomic_path, writing
from torchmoji.onnx.session import HeldSession, check_content, default_threads, first_line, require_onnx
from torchmoji.weights.layers import Layer, is_safetensors, model_sizes, read_layers

if TYPE_CHECKING:
    from torchmoji.model_def import TorchMoji
    from torchmoji.onnx.graph import Content

Array = npt.NDArray[Any]

OUTPUTS = ("probabilities", "logits", "features", "attention")
"""What a file can give. `OnnxModel` takes the first that its file has."""

QUANTIZATIONS = ("none", "int8")
"""What the metadata say of the weights."""

MAX_ROWS = 32
"""Texts in a batch: the fastest of 8 to 256 on two cores, in float32 and in int8."""
MAX_TOKENS = 4096
"""Texts times tokens in a batch: texts of 512 tokens are fastest by eights."""


def export(
    model: "TorchMoji | str | os.PathLike[str]",
    path: str | os.PathLike[str],
    quantize: str | None = None,
    *,
    output: str | Sequence[str] | None = None,
    vocabulary: Mapping[str, int] | None = None,
    classes: Sequence[str] | None = None,
    multi_label: bool = False,
    class_frequencies: Sequence[float] | None = None,
    thresholds: Sequence[float] | None = None,
    temperature: float | None = None,
    max_length: int | None = None,
) -> None:
    """Write a model as an ONNX file, whole or not at all.

    Args:
        model: A model, or the path of a weights file; safetensors are read without torch.
        path: The new file.
        quantize: None for float32 and standard operators alone; "int8" for a file of a quarter of the size
            that runs on onnxruntime only (see `torchmoji.onnx.graph`). A file of `save_quantized` keeps its
            int8 values.
        output: One or several of `OUTPUTS`. By default all that the model has, logits in place of
            probabilities where it was made with `output_logits`.
        vocabulary: Word -> id, to go with the file.
        classes: The names of the classes; by default the emojis where there are 64 outputs.
        multi_label: Each output is a class on its own, whose probability does not depend on the others.
        class_frequencies: How frequent each class was in training, for the `balance` of `MojiPipeline`.
        thresholds: For `MojiPipeline` to go by; the graph's own outputs are without.
        temperature: The same.
        max_length: Tokens of a text, at most, in `MojiPipeline`, where the model was trained so.

    Raises:
        FileNotFoundError: There is no such weights file.
        TypeError: `model` is neither a model nor a path.
        ValueError: The weights are not those of this model, an option is unknown, an output needs the output
            layer that the model lacks, or vocabulary or classes do not fit it.
        ModuleNotFoundError: onnx is missing.
    """
    facts: dict[str, Any] = {"classes": classes, "multi_label": multi_label, "thresholds": thresholds}
    facts |= {"class_frequencies": class_frequencies, "temperature": temperature, "max_length": max_length}
    data = serialize(model, quantize, output=output, vocabulary=vocabulary, **facts)
    with atomic_path(path) as temporary, writing(temporary):
        temporary.write_bytes(data)


def serialize(
    model: "TorchMoji | str | os.PathLike[str]",
    quantize: str | None = None,
    *,
    output: str | Sequence[str] | None = None,
    vocabulary: Mapping[str, int] | None = None,
    **facts: Any,
) -> bytes:
    """Give the content of the file that `export` writes; arguments and errors are the same."""
    if unknown := set(facts) - set(FACTS):
        raise TypeError(f"unknown options {', '.join(sorted(unknown))}: use some of {', '.join(FACTS)}")
    if quantize not in (None, "int8"):
        raise ValueError(f"unknown quantize {quantize!r}: use None or 'int8'")
    require_onnx("onnx")
    from torchmoji.onnx.graph import build_graph

    classes, multi_label = facts.get("classes"), bool(facts.get("multi_label"))
    layers, nb_classes, gives_logits = _layers(model)
    sizes = model_sizes(layers)
    names = _output_names(output, sizes.nb_outputs is not None, gives_logits)
    if sizes.nb_outputs is None:
        nb_classes = None
    elif nb_classes is None:
        nb_classes = sizes.nb_outputs
        if nb_classes == 1 and classes and not multi_label:
            nb_classes = min(len(classes), 2)  # the one output is the probability of the second
    if classes is None and nb_classes is not None:
        classes = unnamed_classes(nb_classes)
    if classes is not None and not isinstance(classes, str):
        classes = list(map(str, classes))
    facts |= {"classes": classes, "multi_label": multi_label}
    about = {name: getattr(sizes, name) for name in ("nb_tokens", "embedding_dim", "hidden_size")}
    about |= {"multi_label": multi_label, "nb_classes": nb_classes, **checked_facts(facts, nb_classes or 0)}
    if vocabulary is not None:
        check_fits(vocabulary, sizes.nb_tokens)
        words, spellings = split_spellings({word: int(index) for word, index in vocabulary.items()})
        about |= {"vocabulary": words, "spellings": spellings}
    metadata = {name: json.dumps(value) for name, value in about.items() if value is not None}
    metadata = {"quantization": quantize or "none"} | metadata
    return build_graph(layers, names, quantize == "int8", metadata, multi_label).SerializeToString()


def _layers(model: Any) -> tuple[dict[str, Layer], int | None, bool]:
    """Layers, number of classes where the model says it, and whether it gives logits."""
    if isinstance(model, str | os.PathLike):
        if is_safetensors(model):
            return read_layers(model), None, False
        from torchmoji.weights.formats import load_state_dict  # other formats are torch's to read

        return {name: tensor.float().numpy() for name, tensor in load_state_dict(model).items()}, None, False
    from torchmoji.model_def import TorchMoji

    if not isinstance(model, TorchMoji):
        raise TypeError(
            f"model must be a TorchMoji or the path of a weights file, got {type(model).__name__}"
        )
    layers = {
        name: tensor.detach().cpu().float().numpy()
        for name, tensor in model.state_dict().items()
        if not (model.feature_output and name.startswith("output_layer."))
    }
    return dict(layers), model.nb_classes, model.output_logits


def _output_names(output: str | Sequence[str] | None, has_classes: bool, gives_logits: bool) -> list[str]:
    if output is None:
        of_classes = "logits" if gives_logits else "probabilities"
        return [*([of_classes] if has_classes else []), "features", "attention"]
    names = [output] if isinstance(output, str) else list(dict.fromkeys(output))
    if not names or not set(names) <= set(OUTPUTS):
        raise ValueError(f"unknown output {output!r}: use some of {', '.join(OUTPUTS)}")
    if not has_classes and not {"probabilities", "logits"}.isdisjoint(names):
        raise ValueError(
            f"the model has no output layer, so it cannot give {' and '.join(names)}: "
            "use features or attention"
        )
    return names


class OnnxModel:
    """A file of `export`, called like `TorchMoji` on NumPy arrays; torch is not needed.

    Texts are run in batches of similar length, identical ones once; results have the order of the input. With
    int8 a result depends a little on the texts in its batch, as they share the scales of activations: see the
    table of errors in the documentation.

    May be called from several threads. A pickle holds the whole file, so that it works elsewhere. The session
    is made anew after a fork, which its threads do not survive, and when the number of threads changes.

    A file is data: operators that onnxruntime does not have, and data outside the file, are refused.

    Args:
        file: A path, or the file's bytes.
        output: Which of the file's outputs a call gives; by default the first of `OUTPUTS` that it has.
        return_attention: Give a pair, output and attention.
        threads: Of one call. By default those of `torch.set_num_threads` where torch is imported, else as
            many as the process has CPUs. Waiting threads spin during a call, never between calls.
        max_rows: Texts in a batch, at most; by default what is fastest.
        max_tokens: Texts times the longest one's tokens in a batch, at most; one text is always taken.

    Attributes:
        vocabulary: Word -> id, or None where the file has none.
        classes: Names of the classes, or None.
        class_frequencies: How frequent each class was in training, or None.
        thresholds: What `export` was given, or None.
        temperature: The same.
        max_length: The same.
        outputs: The names of the file's outputs.
        quantization: "none" or "int8".
        nb_tokens: Size of the vocabulary.
        nb_classes: Number of classes, None without an output layer.
        nb_features: Numbers in the features of a text.

    Raises:
        FileNotFoundError: There is no such file.
        TypeError: `file` is neither a path nor bytes.
        ValueError: The file is damaged or none of `export`, or lacks the output.
        ModuleNotFoundError: onnx or onnxruntime is missing.
    """

    def __init__(
        self,
        file: str | os.PathLike[str] | bytes,
        output: str | None = None,
        return_attention: bool = False,
        *,
        threads: int | None = None,
        max_rows: int | None = None,
        max_tokens: int | None = None,
    ) -> None:
        for name, number in (("threads", threads), ("max_rows", max_rows), ("max_tokens", max_tokens)):
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        if isinstance(file, bytes):
            data, self._name = file, "the ONNX model"
        elif not isinstance(file, str | os.PathLike):
            raise TypeError(f"expected the path of an ONNX file or its bytes, got {type(file).__name__}")
        elif not os.path.isfile(file):
            raise FileNotFoundError(
                f"there is no ONNX file {file}: check the path, or write one with "
                "torchmoji.onnx.model.export or `torchmoji export`"
            )
        else:
            data, self._name = Path(file).read_bytes(), os.fspath(file)
        self._threads = threads
        content = check_content(data, self._name)
        self._session = HeldSession(data, self._name)
        session = self._session.get(self.threads)
        try:
            self._read(session)
            self._check_fits(content)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"{self._name} is not a file of torchmoji.onnx.export ({first_line(error):.300}): "
                "export the model again"
            ) from error
        first = next(name for name in OUTPUTS if name in self.outputs)
        self._choose(first if output is None else output, return_attention)
        self.max_rows = max_rows or MAX_ROWS
        self.max_tokens = max_tokens or MAX_TOKENS

    def _read(self, session: Any) -> None:
        """Take what the file says of itself."""
        inputs = [(value.name, value.type, len(value.shape)) for value in session.get_inputs()]
        self.outputs = tuple(value.name for value in session.get_outputs())
        if inputs != [("token_ids", "tensor(int64)", 2)] or not set(self.outputs) <= set(OUTPUTS):
            raise ValueError(f"it has inputs {inputs} and outputs {list(self.outputs)}")
        about = session.get_modelmeta().custom_metadata_map
        self.quantization: str = about["quantization"]
        if self.quantization not in QUANTIZATIONS:
            raise ValueError(f"unknown quantization {self.quantization!r}")
        self.nb_tokens = int(about["nb_tokens"])
        self.nb_classes = int(about["nb_classes"]) if "nb_classes" in about else None
        self._sizes = int(about["hidden_size"]), int(about["embedding_dim"])
        self.nb_features = 4 * self._sizes[0] + self._sizes[1]
        words, spellings = (json.loads(about.get(key, "null")) for key in ("vocabulary", "spellings"))
        for ids in (words, spellings):
            if ids is not None and (
                not isinstance(ids, dict) or any(type(index) is not int for index in ids.values())
            ):
                raise ValueError("its vocabulary is not an object of word -> id")
        self.vocabulary: dict[str, int] | None = words and {**(spellings or {}), **words}
        said = {name: json.loads(about.get(name, "null")) for name in FACTS}
        facts = checked_facts(said, self.nb_classes or 0)
        self.classes: tuple[str, ...] | None = facts["classes"]
        self.multi_label: bool = facts["multi_label"]
        self.class_frequencies: tuple[float, ...] | None = facts["class_frequencies"]
        self.thresholds: tuple[float, ...] | None = facts["thresholds"]
        self.temperature: float | None = facts["temperature"]
        self.max_length: int | None = facts["max_length"]

    def _check_fits(self, content: "Content") -> None:
        """Refuse metadata of another graph."""
        hidden_size, embedding_dim = self._sizes
        outputs, _ = content.shapes.get("output_weight", (None, None))
        classes = (1, 2) if outputs == 1 and not self.multi_label else (outputs,)
        fits = {
            "nb_tokens, embedding_dim": content.shapes["embedding"] == (self.nb_tokens, embedding_dim),
            "hidden_size": content.hidden_size == hidden_size,
            "quantization": content.int8 == (self.quantization == "int8"),
            "nb_classes": outputs is None or self.nb_classes in classes,
        }
        wrong = [name for name, is_right in fits.items() if not is_right]
        if wrong:
            raise ValueError(f"its graph has other {' and '.join(wrong)} than its metadata say")
        if self.vocabulary is not None:
            check_fits(self.vocabulary, self.nb_tokens)

    def giving(self, output: str, return_attention: bool = False, max_rows: int | None = None) -> "OnnxModel":
        """The same model for another of its outputs, with the same session.

        Args:
            output: One of `outputs`.
            return_attention: Give a pair, output and attention.
            max_rows: Texts in a batch, at most; None for this model's.

        Raises:
            ValueError: The file lacks an output.
        """
        other = OnnxModel.__new__(OnnxModel)
        other.__dict__ |= self.__dict__
        other._choose(output, return_attention)
        other.max_rows = max_rows or self.max_rows
        return other

    def _choose(self, output: str, return_attention: bool) -> None:
        self.output, self.return_attention = output, return_attention
        for name in (output, *(["attention"] if return_attention else [])):
            if name not in self.outputs:
                raise ValueError(
                    f"{self._name} does not give {name!r}, only {', '.join(self.outputs)}: "
                    "export the model with that output"
                )

    def __repr__(self) -> str:
        return f"<OnnxModel {self._name}: {self.output}, quantization {self.quantization}>"

    @property
    def threads(self) -> int:
        """How many threads a call uses."""
        return self._threads or default_threads()

    def __call__(self, ids: Array) -> Any:
        """Compute classes or features of texts.

        Args:
            ids: Token ids (n, time), integers; id 0 is padding wherever it stands.

        Returns:
            float32: probabilities or logits (n, C), (n, 1) where C <= 2, features (n, F) or attention
            (n, time). With `return_attention` a pair of that and the attention.

        Raises:
            TypeError: `ids` is not a NumPy array of integers.
            ValueError: It is not two-dimensional, or an id is outside the vocabulary.
        """
        output, attention = run_by_length(self._checked(ids), self._run, self.max_rows, self.max_tokens)
        if self.output == "attention":
            output = attention
        return (output, attention) if self.return_attention else output

    def _checked(self, ids: Any) -> Array:
        if not isinstance(ids, np.ndarray):
            raise TypeError(
                f"token ids must be a NumPy array, got {type(ids).__name__}; "
                "SentenceTokenizer makes them from texts"
            )
        if not np.issubdtype(ids.dtype, np.integer):
            raise TypeError(f"token ids must be integers, got an array of {ids.dtype}")
        if ids.ndim != 2:
            raise ValueError(f"token ids must have two dimensions (batch, time), got {ids.shape}")
        for extreme in (int(ids.min()), int(ids.max())) if ids.size else ():
            if not 0 <= extreme < self.nb_tokens:
                raise ValueError(
                    f"token id {extreme} is outside the model's vocabulary of {self.nb_tokens} "
                    f"(0 to {self.nb_tokens - 1}): use the vocabulary that belongs to the weights"
                )
        return ids

    def _run(self, batch: Array) -> tuple[Array, Array]:
        """Output and attention of a batch (n, time); the attention is zero where it is not asked for."""
        rows, columns = batch.shape
        ids = batch.astype(np.int64)
        if not batch.size:  # onnxruntime's LSTM ends the process where there are no texts
            ids = np.zeros((max(1, rows), max(1, columns)), np.int64)
        has_attention = self.return_attention or self.output == "attention"
        names = list(dict.fromkeys([self.output, *(["attention"] if has_attention else [])]))
        try:
            results = self._session.get(self.threads).run(names, {"token_ids": ids})
        except Exception as error:  # onnxruntime's exceptions have no base but this
            raise ValueError(f"{self._name} cannot be run ({first_line(error)})") from error
        output = results[0][:rows]
        attention = results[-1][:rows, :columns] if has_attention else np.zeros(batch.shape, np.float32)
        if self.output == "attention":
            output = np.zeros((rows, 0), np.float32)
        return output, attention
