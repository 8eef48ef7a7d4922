"""Adam for models with an embedding: sparse gradients in, the dense algorithm's result out.

A batch has hundreds of words, the embedding 50 000 rows. Its gradient is kept for the words that occur:
neither filled nor clipped are the rows of zeros. The update itself is Adam's own and so goes over all rows:
Adam moves a row on by its momentum when its word does not occur, and divides the pull of an L2 penalty by the
root of its square, so that rows without a gradient move by nearly the learning rate. Leaving them out, as
`torch.optim.SparseAdam` does, would be faster still and another algorithm. torch's fused kernel does the
update in one pass.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

_FUSED_DEVICES = ("cpu", "cuda")


class EmbeddingAdam(Adam):
    """`torch.optim.Adam` that also takes sparse gradients, with the same result as for dense ones.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate.
        options: Of `torch.optim.Adam`.
    """

    def __init__(self, params: Any, lr: float = 1e-3, **options: Any) -> None:
        given = list(params)
        if not all(isinstance(group, dict) for group in given):
            given = [{"params": given}]
        groups = [{**group, "params": list(group["params"])} for group in given]
        devices = {parameter.device.type for group in groups for parameter in group["params"]}
        if devices <= set(_FUSED_DEVICES) and not {"fused", "foreach", "differentiable"} & set(options):
            options["fused"] = True
        super().__init__(groups, lr=lr, **options)

    @property
    def _dense(self) -> dict[Tensor, Tensor]:
        """Zeros, for the parameters that get sparse gradients; no part of a copy or of the state."""
        return self.__dict__.setdefault("_dense_gradients", {})

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Update the parameters once; sparse gradients are there afterwards as before."""
        result = None
        if closure is not None:
            with torch.enable_grad():
                result = closure()
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
        super().step()
        for parameter, gradient in sparse:
            self._dense[parameter].index_fill_(0, gradient.indices()[0], 0)
            parameter.grad = gradient
        return result


@torch.no_grad()
def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale gradients, dense or sparse, down to a norm over all of them, as `clip_grad_norm_` does.

    Args:
        parameters: Those without a gradient are left out.
        max_norm: The highest norm allowed.

    Returns:
        The norm before, a scalar.
    """
    gradients = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            gradients.append(parameter.grad.values())
        else:
            gradients.append(parameter.grad)
    if not gradients:
        return torch.zeros(())
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale)
    return norm
