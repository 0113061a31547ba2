"""Several training processes: gradients and statistics are exchanged here, explicitly.

Nothing is wrapped: an objective calls its networks, their parts and its discriminators as often as it likes, which
the usual wrapper allows for one call of the whole network only.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, distributed


def world() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def summed(tensor: Tensor) -> Tensor:
    """The sum over all processes; the tensor itself when there is one."""
    if world() == 1:
        return tensor
    total = tensor.detach().clone()
    distributed.all_reduce(total)
    return total


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Give every process the mean of the processes' gradients."""
    if world() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return
    flat = summed(torch.cat([g.flatten() for g in gradients])) / world()
    means = torch.split(flat, [g.numel() for g in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))
