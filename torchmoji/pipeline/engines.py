"""What computes for a pipeline: torch or ONNX Runtime, each giving probabilities, features and attention.

Neither is imported before an engine of its kind is made.
"""

import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from torchmoji.balancing import FACTS

if TYPE_CHECKING:
    import torch

    from torchmoji.model_def import TorchMoji

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

Backend = Literal["auto", "onnx", "torch"]
"""An engine of `ENGINES`, or "auto": see `chosen_backend`."""


class Engine(Protocol):
    """A model behind a pipeline."""

    multi_label: bool  # each class is judged on its own
    has_features: bool  # an ONNX file need not give them
    nb_classes: int | None
    nb_tokens: int
    nb_features: int
    about: dict[str, Any]  # what a file says that a pipeline needs: `vocabulary`, `classes` and the like

    @property
    def name(self) -> str:
        """Its backend and precision, such as "onnx, float32"."""

    def to(self, device: "str | torch.device") -> None:
        """Compute on another device from now on; ValueError where it is missing or cannot be used."""

    def probabilities(self, ids: Array, max_rows: int | None = None) -> tuple[Floats, Floats]:
        """Token ids (n, time) to probabilities (n, C) and attention (n, time)."""

    def features(self, ids: Array, max_rows: int | None = None) -> Floats:
        """Token ids (n, time) to features (n, F)."""


def _number_of_classes(outputs: int | None, multi_label: bool) -> int | None:
    """One output is the probability of the second of two classes, unless it is judged on its own."""
    return 2 if outputs == 1 and not multi_label else outputs


def _probabilities(output: Array, engine: "TorchEngine | OnnxEngine", are_logits: bool) -> Floats:
    """Probabilities (n, C), also where a model of two classes gives one number."""
    if are_logits and (output.shape[1] == 1 or engine.multi_label):
        output = np.exp(-np.logaddexp(0, -output))  # the sigmoid, without overflow
    elif are_logits:
        exponentials = np.exp(output - output.max(axis=1, keepdims=True))
        output = exponentials / exponentials.sum(axis=1, keepdims=True)
    output = output.astype(np.float32, copy=False)
    if engine.nb_classes == 2 and output.shape[1] == 1:
        return np.concatenate([1 - output, output], axis=1)
    return output


class TorchEngine:
    """A `TorchMoji`.

    Args:
        model: It is set to evaluation; an output layer is needed for probabilities.
        multi_label: Each output is the probability of a class on its own; the model gives logits.
    """

    def __init__(self, model: "TorchMoji", multi_label: bool = False) -> None:
        from torchmoji.runtime.products import settle_threads

        settle_threads()
        self.model = model.eval()
        self.multi_label, self.has_features = multi_label, True
        self.about: dict[str, Any] = {}
        self.nb_classes = None if model.feature_output else _number_of_classes(model.nb_classes, multi_label)
        self.nb_tokens = model.embed.num_embeddings
        self.nb_features = model.attention_size

    @property
    def name(self) -> str:
        """See `Engine`."""
        return f"torch, {str(self.model.embed.weight.dtype).removeprefix('torch.')}"

    def to(self, device: "str | torch.device") -> None:
        """See `Engine`."""
        from torchmoji.runtime.products import checked_device

        self.model.to(checked_device(device))

    def probabilities(self, ids: Array, max_rows: int | None = None) -> tuple[Floats, Floats]:
        """See `Engine`."""
        output, attention = self.model.run_ids(ids, max_rows=max_rows)
        probabilities = _probabilities(output, self, self.model.output_logits)
        return probabilities, attention.astype(np.float32, copy=False)

    def features(self, ids: Array, max_rows: int | None = None) -> Floats:
        """See `Engine`."""
        features, _ = self.model.run_ids(ids, features=True, max_rows=max_rows)
        return features.astype(np.float32, copy=False)


class OnnxEngine:
    """A file of `torchmoji.onnx.model.export`, by its path or its content.

    It needs what is asked of it: probabilities, features, attention. For `threads` see `OnnxModel`.
    """

    def __init__(self, file: str | os.PathLike[str] | bytes, threads: int | None = None) -> None:
        from torchmoji.onnx.model import OnnxModel

        self.model = OnnxModel(file, threads=threads)
        self.multi_label, self.has_features = self.model.multi_label, "features" in self.model.outputs
        self.nb_classes = _number_of_classes(self.model.nb_classes, self.multi_label)
        self.nb_tokens = self.model.nb_tokens
        self.nb_features = self.model.nb_features
        self.name = f"onnx, {'int8' if self.model.quantization == 'int8' else 'float32'}"
        self.about = {name: getattr(self.model, name) for name in ("vocabulary", *FACTS)}

    def to(self, device: "str | torch.device") -> None:
        """See `Engine`."""
        if not _is_cpu(device):
            raise ValueError(
                f"the ONNX engine runs on the CPU, not on {str(device)!r}: leave the device out, or load the "
                "model with backend='torch'"
            )

    def probabilities(self, ids: Array, max_rows: int | None = None) -> tuple[Floats, Floats]:
        """See `Engine`."""
        kind = "probabilities" if "probabilities" in self.model.outputs else "logits"
        output, attention = self.model.giving(kind, True, max_rows)(ids)
        return _probabilities(output, self, kind == "logits"), attention

    def features(self, ids: Array, max_rows: int | None = None) -> Floats:
        """See `Engine`."""
        features: Floats = self.model.giving("features", False, max_rows)(ids)
        return features


def torch_engine(
    weights: str | os.PathLike[str],
    device: "str | torch.device | None" = None,
    precision: "str | torch.dtype | None" = None,
    multi_label: bool = False,
    threads: int | None = None,
) -> TorchEngine:
    """Load weights for torch: safetensors, a torch file or, with the extra `keras`, HDF5.

    The device is such as "cuda", by default the CPU; the precision "float32", "bfloat16" or another floating
    type of torch, or its name. With `multi_label` each output is a class on its own. `threads` are those of
    the process, from now on: torch has one number for all. ValueError where the precision is no floating type
    of torch, there is no such device, or the weights are not this model's.
    """
    import torch

    from torchmoji.model_def import load_model
    from torchmoji.runtime.products import checked_device, has_fast_bfloat16

    dtype = getattr(torch, precision, None) if isinstance(precision, str) else precision
    if precision is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ValueError(
            f"unknown precision {precision!r} for torch: use 'float32' or 'bfloat16'; "
            "backend='onnx' also has 'int8'"
        )
    if threads is not None:
        torch.set_num_threads(threads)
    model = load_model(weights)
    if multi_label and not model.feature_output:
        del model.output_layer[1:]
        model.output_logits = True
    model.to(device=checked_device(device), dtype=dtype)
    used = model.embed.weight.device
    if dtype == torch.bfloat16 and used.type in ("cpu", "cuda") and not has_fast_bfloat16(used):
        logger.warning("this machine has no instructions for bfloat16: float32, the default, is faster here")
    return TorchEngine(model, multi_label)


def onnx_engine(
    weights: str | os.PathLike[str],
    device: "str | torch.device | None" = None,
    precision: "str | torch.dtype | None" = None,
    multi_label: bool = False,
    threads: int | None = None,
) -> OnnxEngine:
    """Load an `.onnx` file, which has its precision, or weights of any format.

    The device is the CPU, the precision "float32", the default, or "int8". With `multi_label` each output is
    a class on its own. `threads` are those of one call, by default those of torch where it is imported, else
    all CPUs. ValueError where the precision or the device is another, or the file has another precision.
    """
    if not _is_cpu(device):
        raise ValueError(f"the ONNX engine runs on the CPU: leave out device={str(device)!r}, or use torch")
    kind = _precision_name(precision)
    if kind not in (None, "int8", "float32"):
        raise ValueError(
            f"the ONNX engine has no precision {kind!r}: use 'float32' or 'int8', or backend='torch'"
        )
    if Path(weights).suffix == ".onnx":
        engine = OnnxEngine(weights, threads)
        if kind is not None and not engine.name.endswith(kind):
            raise ValueError(
                f"{os.fspath(weights)} is {engine.name.partition(', ')[2]}, not {kind}: leave precision out, "
                "or export the model so"
            )
        return engine
    from torchmoji.onnx.model import serialize

    data = serialize(weights, "int8" if kind == "int8" else None, multi_label=multi_label)
    return OnnxEngine(data, threads)


ENGINES: dict[str, Callable[..., Engine]] = {"onnx": onnx_engine, "torch": torch_engine}
"""Backend -> what loads it, with the arguments of `torch_engine`."""


def chosen_backend(
    backend: str,
    weights: str | os.PathLike[str],
    device: "str | torch.device | None" = None,
    precision: "str | torch.dtype | None" = None,
) -> str:
    """Say which engine of `ENGINES` computes.

    Of itself, "auto" is ONNX where the extra is installed, else torch. What only one of them can do decides:
    ONNX runs `.onnx` files and int8, torch other devices than the CPU and other precisions. ValueError where
    there is no such backend, or it cannot run an `.onnx` file.
    """
    if backend not in ("auto", *ENGINES):
        known = ", ".join(map(repr, ["auto", *ENGINES]))
        raise ValueError(f"unknown backend {backend!r}: use one of {known}")
    is_file = Path(weights).suffix == ".onnx"
    if is_file and backend == "torch":
        raise ValueError(f"torch cannot run {os.fspath(weights)}: use backend='onnx'")
    if backend != "auto":
        return backend
    kind = _precision_name(precision)
    if is_file or kind == "int8":
        return "onnx"
    if not _is_cpu(device) or kind not in (None, "float32"):
        return "torch"
    return "onnx" if all(find_spec(package) for package in ("onnx", "onnxruntime")) else "torch"


def _precision_name(precision: "str | torch.dtype | None") -> str | None:
    return None if precision is None else str(precision).removeprefix("torch.")


def _is_cpu(device: "str | torch.device | None") -> bool:
    return device is None or str(device).partition(":")[0] == "cpu"
