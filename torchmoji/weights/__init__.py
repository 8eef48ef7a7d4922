"""Weights and folders of models: read, written, converted, fetched. Part of it needs no torch."""

from typing import TYPE_CHECKING

from torchmoji.runtime.lazy import lazy_names

if TYPE_CHECKING:
    from torchmoji.weights.formats import FILE_ENDINGS, load_state_dict, save_quantized, save_state_dict
    from torchmoji.weights.layers import LAYERS, ModelSizes, model_sizes

__all__ = [
    "FILE_ENDINGS",
    "LAYERS",
    "ModelSizes",
    "load_state_dict",
    "model_sizes",
    "save_quantized",
    "save_state_dict",
]

__getattr__, __dir__ = lazy_names(__name__, dict.fromkeys(__all__, "formats"))
