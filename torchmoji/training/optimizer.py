"""What trains and how fast: layers frozen and thawed, and Adam for models with an embedding.

A batch has hundreds of words, the embedding 50 000 rows. Its gradient is kept for the words that occur:
neither filled nor clipped are the rows of zeros. The update itself is Adam's own and so goes over all rows:
Adam moves a row on by its momentum when its word does not occur, and divides the pull of an L2 penalty by the
root of its square, so that rows without a gradient move by nearly the learning rate. Leaving them out, as
`torch.optim.SparseAdam` does, would be faster still and another algorithm. torch's fused kernel does the
update in one pass.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from torchmoji.training.metrics import device_of

logger = logging.getLogger(__name__)

LEARNING_RATE = 1e-3
"""For weights that are not pretrained."""
PRETRAINED_LEARNING_RATE = 1e-4
EMBED_L2 = 1e-6
"""L2 regularisation of the embedding."""


# --- what trains ------------------------------------------------------------------------------------------


def change_trainable(module: nn.Module, trainable: bool, verbose: bool = False) -> None:
    """Freeze or thaw all parameters of a module, in place; `verbose` logs it."""
    module.requires_grad_(trainable)
    if verbose:
        logger.info("%s: %s", "thawed" if trainable else "frozen", module)


def freeze_layers(
    model: nn.Module, unfrozen_types: Sequence[str] = (), unfrozen_keyword: str | None = None
) -> nn.Module:
    """Freeze all layers but those named.

    Args:
        model: Changed in place.
        unfrozen_types: A layer trains where one of these occurs in its printed form, such as `Embedding`.
        unfrozen_keyword: A layer trains where its name contains this, such as `output_layer`.

    Returns:
        The model.
    """
    for name, layer in model.named_children():
        of_type = any(kind in str(layer) for kind in unfrozen_types)
        by_name = unfrozen_keyword is not None and unfrozen_keyword.lower() in name.lower()
        change_trainable(layer, of_type or by_name)
    return model


def make_optimizer(
    model: nn.Module, learning_rate: float, embed_l2: float, output_learning_rate: float | None = None
) -> "EmbeddingAdam":
    """Make Adam for the parameters that are not frozen; the output layer may have a rate of its own."""
    groups: dict[str, dict[str, Any]] = {
        "embed": {"params": [], "weight_decay": embed_l2},
        "output_layer": {"params": [], "lr": output_learning_rate or learning_rate},
        "others": {"params": []},
    }
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.get(name.split(".")[0], groups["others"])["params"].append(parameter)
    fused = device_of(model).type in ("cpu", "cuda") or None
    return EmbeddingAdam([group for group in groups.values() if group["params"]], learning_rate, fused=fused)


def method_optimizer(
    model: nn.Module, method: str, embed_l2: float, pretrained_lr: float = PRETRAINED_LEARNING_RATE
) -> "EmbeddingAdam":
    """Freeze what the method `last`, `full` or `new` does not train and make the optimizer for the rest."""
    change_trainable(model, method != "last")
    if method == "last":
        freeze_layers(model, unfrozen_keyword="output_layer")
    if method == "full":
        return make_optimizer(model, pretrained_lr, embed_l2, output_learning_rate=LEARNING_RATE)
    return make_optimizer(model, LEARNING_RATE, embed_l2)


# --- how --------------------------------------------------------------------------------------------------


class EmbeddingAdam(Adam):
    """`torch.optim.Adam` that also takes sparse gradients, with the same result as for dense ones."""

    @property
    def _dense(self) -> dict[Tensor, Tensor]:
        """Zeros, for the parameters that get sparse gradients; no part of a copy or of the state."""
        return self.__dict__.setdefault("_dense_gradients", {})

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the parameters once; sparse gradients are there afterwards as before."""
        sparse = [
            (parameter, parameter.grad.coalesce())
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None and parameter.grad.is_sparse
        ]
        for parameter, gradient in sparse:
            if parameter not in self._dense:
                self._dense[parameter] = torch.zeros_like(parameter)
            parameter.grad = self._dense[parameter].index_copy_(0, gradient.indices()[0], gradient.values())
        super().step(closure)
        for parameter, gradient in sparse:
            self._dense[parameter].index_fill_(0, gradient.indices()[0], 0)
            parameter.grad = gradient


@torch.no_grad()
def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale gradients, dense or sparse, down to a norm over all of them, as torch's `clip_grad_norm_` does.

    Returns the norm before, a scalar.
    """
    holders = []  # torch clips the `.grad` of what it is given: for sparse gradients their values
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
        gradient = parameter.grad.values() if parameter.grad.is_sparse else parameter.grad
        holders.append(gradient.detach())
        holders[-1].grad = gradient
    return nn.utils.clip_grad_norm_(holders, max_norm)
