"""The model as an ONNX file, and a call that runs such a file without torch."""

from torchmoji.onnx.model import OUTPUTS, OnnxModel, export, serialize

__all__ = ["OUTPUTS", "OnnxModel", "export", "serialize"]
