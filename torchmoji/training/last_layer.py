"""The output layer on its own, over features that are computed once.

The method `last` of fine-tuning, and the first stage of `chain-thaw`, leave everything below the output layer
as it is, so a text has the same features in every epoch, but for dropout of embedding channels. Where a model
has none (`torchmoji_transfer(..., embed_dropout_rate=0)`) each text is encoded once, when it is first wanted;
where it has some, once for all evaluation.
"""

from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate

from torchmoji.batching import unique_rows
from torchmoji.model_def import TorchMoji
from torchmoji.training.sampling import Batches, DeepMojiDataset, Part

MAX_CACHED_BYTES = 2 << 30
"""Features beyond that are computed anew each time: about 230 000 texts with the original's sizes."""


class LastLayer(nn.Module):
    """A model's output layer, called with numbers of texts, whose token ids are (n, time).

    The layers are the model's own, so what they learn it has learned.
    """

    def __init__(self, model: TorchMoji, token_ids: npt.NDArray[Any]) -> None:
        super().__init__()
        self._body = [model]  # in a list: neither its weights nor its mode are this module's
        self._ids = token_ids.astype(np.int64)
        self._features: Tensor | None = None  # (n, F)
        self._is_known = torch.zeros(len(token_ids), dtype=torch.bool)
        self.final_dropout = model.final_dropout
        self.output_layer = model.output_layer

    def _features_of(self, numbers: Tensor) -> Tensor:
        """Features (batch, F) without dropout, computed where they are not known yet."""
        wanted = numbers.cpu()
        missing = wanted[~self._is_known[wanted]].unique()
        if len(missing):
            found = self._body[0].eval().encode_ids(self._ids[missing.numpy()])
            self.train(self.training)  # the output layer is in both
            if self._features is None:
                self._features = found.new_zeros(len(self._ids), found.shape[1])
            self._features[missing.to(found.device)] = found
            self._is_known[missing] = True
        assert self._features is not None
        return self._features[numbers]

    def forward(self, numbers: Tensor) -> Tensor:
        """What the model gives for the texts of these numbers (batch,)."""
        (model,) = self._body
        if self.training and model.embed_dropout.p > 0:
            model.train()
            with torch.no_grad():
                rows = torch.from_numpy(self._ids[numbers.cpu().numpy()])
                features = model.features_of(rows.to(numbers.device))
        else:
            features = self._features_of(numbers)
        return self.output_layer(self.final_dropout(features))


def on_features(model: nn.Module, parts: Sequence[Part]) -> tuple[nn.Module, list[Part]]:
    """Put the output layer and numbers of texts in place of a model and its texts, where that is the same.

    It is for a `TorchMoji` itself, not for a subclass, which may compute something else, nor with hooks,
    which want to be called; and for features of up to `MAX_CACHED_BYTES`. Returns a `LastLayer` with, for
    each part, numbers (n,) and labels; or what was given.
    """
    if type(model) is not TorchMoji or any(
        module._forward_hooks or module._forward_pre_hooks for module in model.modules()
    ):
        return model, list(parts)
    texts = [x.astype(np.int64) for x, _ in parts]
    columns = max(x.shape[1] for x in texts)
    token_ids = np.concatenate([np.pad(x, ((0, 0), (0, columns - x.shape[1]))) for x in texts])
    first, place = unique_rows(token_ids)
    if len(first) * model.attention_size * model.embed.weight.element_size() > MAX_CACHED_BYTES:
        return model, list(parts)
    numbers = np.split(place, np.cumsum([len(x) for x in texts])[:-1])
    return LastLayer(model, token_ids[first]), [(n, y) for n, (_, y) in zip(numbers, parts, strict=True)]


def batches_on_features(model: nn.Module, batches: Sequence[Batches]) -> tuple[nn.Module, list[Batches]]:
    """`on_features` for loaders of a `DeepMojiDataset`; other batches come back as they are.

    The loaders of numbers share the samplers and generators of those given and so take the samples that these
    would have taken.
    """
    loaders = [loader for loader in batches if _is_plain(loader)]
    if len(loaders) < len(batches):
        return model, list(batches)
    data: list[Any] = [loader.dataset for loader in loaders]
    tuned, parts = on_features(model, [(part.X_in.numpy(), part.y_in.numpy()) for part in data])
    if tuned is model:
        return model, list(batches)
    return tuned, [
        DataLoader(DeepMojiDataset(*part), batch_sampler=loader.batch_sampler, generator=loader.generator)
        for part, loader in zip(parts, loaders, strict=True)
    ]


def _is_plain(batches: Batches) -> TypeGuard["DataLoader[Any]"]:
    """Whether these are batches of a `DeepMojiDataset` itself, made in no way of somebody's own."""
    return (
        type(batches) is DataLoader
        and type(batches.dataset) is DeepMojiDataset
        and batches.batch_sampler is not None
        and batches.collate_fn is default_collate
    )
