"""What fine-tuning and pretraining share: data sets, batches, the loop, scores."""

from typing import TYPE_CHECKING

from torchmoji.runtime.lazy import lazy_names

if TYPE_CHECKING:
    from torchmoji.training.datasets import LabelledTexts, read_labelled_texts
    from torchmoji.training.sampling import Batches

__all__ = ["Batches", "LabelledTexts", "read_labelled_texts"]

__getattr__, __dir__ = lazy_names(
    __name__, {"LabelledTexts": "datasets", "read_labelled_texts": "datasets", "Batches": "sampling"}
)
