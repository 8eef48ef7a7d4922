"""Pictures of what torchMoji gives, with matplotlib (extra `plot`)."""

from typing import TYPE_CHECKING

from torchmoji.runtime.lazy import lazy_names

if TYPE_CHECKING:
    from torchmoji.plot.plot import (
        attention_heatmap,
        confusion_matrix,
        emoji_bars,
        encoding_map,
        learning_curve,
    )

__all__ = ["attention_heatmap", "confusion_matrix", "emoji_bars", "encoding_map", "learning_curve"]

__getattr__, __dir__ = lazy_names(__name__, dict.fromkeys(__all__, "plot"))
