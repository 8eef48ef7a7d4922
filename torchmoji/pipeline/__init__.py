"""Texts in; emojis, encodings, attention and emotions out."""

from torchmoji.pipeline.engines import Engine, OnnxEngine, TorchEngine
from torchmoji.pipeline.pipeline import MojiPipeline

__all__ = ["Engine", "MojiPipeline", "OnnxEngine", "TorchEngine"]
