"""What computes for a pipeline: torch or ONNX Runtime, each giving probabilities, features and attention.

Neither is imported before an engine of its kind is made.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

    from torchmoji.model_def import TorchMoji

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

BACKENDS = ("torch", "onnx")


class Engine(Protocol):
    """A model behind a pipeline."""

    nb_classes: int | None
    nb_tokens: int
    nb_features: int

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
        output = 1 / (1 + np.exp(-output))
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
        from torchmoji.products import settle_threads

        settle_threads()
        self.model = model.eval()
        self.multi_label = multi_label
        self.nb_classes = None if model.feature_output else _number_of_classes(model.nb_classes, multi_label)
        self.nb_tokens = model.embed.num_embeddings
        self.nb_features = model.attention_size

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
    """A file of `torchmoji.onnx.model.export`.

    Args:
        file: Its path or its content. It needs what is asked of it: probabilities, features, attention.
    """

    def __init__(self, file: str | os.PathLike[str] | bytes) -> None:
        from torchmoji.onnx.model import OnnxModel

        self.model = OnnxModel(file)
        self.multi_label = self.model.multi_label
        self.nb_classes = _number_of_classes(self.model.nb_classes, self.multi_label)
        self.nb_tokens = self.model.nb_tokens
        self.nb_features = self.model.nb_features

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
    device: "str | torch.device | None",
    dtype: "str | torch.dtype | None",
    multi_label: bool = False,
) -> TorchEngine:
    """Load weights for torch.

    Args:
        weights: Safetensors, a torch file or, with the extra `keras`, HDF5.
        device: Such as "cuda"; the CPU by default.
        dtype: "float32", "bfloat16" or another floating type of torch, or its name.
        multi_label: Each output is a class on its own.

    Raises:
        ValueError: The dtype is no floating type of torch, there is no such device, or the weights are not
            this model's.
    """
    import torch

    from torchmoji.model_def import load_model
    from torchmoji.products import has_fast_bfloat16

    kind = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is not None and not (isinstance(kind, torch.dtype) and kind.is_floating_point):
        raise ValueError(f"unknown dtype {dtype!r}: use 'float32', 'bfloat16' or another floating type")
    model = load_model(weights)
    if multi_label and not model.feature_output:
        del model.output_layer[1:]
        model.output_logits = True
    try:
        model = model.to(device=device, dtype=kind)
    except (AssertionError, RuntimeError, NotImplementedError) as error:  # as torch says it of devices
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"cannot use device {str(device)!r} ({reason}): leave it out for the CPU, or install a torch "
            "that has it"
        ) from error
    used = model.embed.weight.device
    if kind == torch.bfloat16 and used.type in ("cpu", "cuda") and not has_fast_bfloat16(used):
        logger.warning("this machine has no instructions for bfloat16: float32, the default, is faster here")
    return TorchEngine(model, multi_label)


def onnx_engine(weights: str | os.PathLike[str], dtype: Any, multi_label: bool = False) -> OnnxEngine:
    """Load an ONNX file, or weights, which stay int8 where they are.

    Args:
        weights: An `.onnx` file, or weights.
        dtype: None for the weights' own, "int8" or "float32". An `.onnx` file is what it is.
        multi_label: Each output is a class on its own.

    Raises:
        ValueError: The dtype is another.
    """
    if dtype not in (None, "int8", "float32"):
        raise ValueError(f"the ONNX engine has no dtype {dtype!r}: use 'int8' or 'float32'")
    if Path(weights).suffix == ".onnx":
        return OnnxEngine(weights)
    from torchmoji.onnx.model import serialize
    from torchmoji.weights.layers import has_int8_rows

    is_int8 = dtype == "int8" or (dtype is None and has_int8_rows(weights))
    return OnnxEngine(serialize(weights, "int8" if is_int8 else None, multi_label=multi_label))
