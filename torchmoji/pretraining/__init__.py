"""Trains a model to predict the emojis that were taken out of texts, as DeepMoji was trained."""

from typing import TYPE_CHECKING

from torchmoji.runtime.lazy import lazy_names

if TYPE_CHECKING:
    from torchmoji.pretraining.loss import save_embedding_targets, save_soft_targets
    from torchmoji.pretraining.pretraining import Pretrained, Trained, adjust_to_prior, pretrain, train
    from torchmoji.pretraining.settings import Settings

__all__ = [
    "Pretrained",
    "Settings",
    "Trained",
    "adjust_to_prior",
    "pretrain",
    "save_embedding_targets",
    "save_soft_targets",
    "train",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Pretrained": "pretraining",
        "Trained": "pretraining",
        "adjust_to_prior": "pretraining",
        "pretrain": "pretraining",
        "train": "pretraining",
        "Settings": "settings",
        "save_embedding_targets": "loss",
        "save_soft_targets": "loss",
    },
)
