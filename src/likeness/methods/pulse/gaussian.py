"""The Gaussian that PULSE takes the latent vectors for, once the mapping network's last activation is undone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.stylegan2 import SLOPE

DRAWS = 1_000_000
CHUNK = 10_000


@dataclass(frozen=True)
class GaussianFit:
    """Mean and deviation of each number of a latent vector before the activation, both (latent,)."""

    mean: Tensor
    std: Tensor

    def to(self, device: torch.device, dtype: torch.dtype = torch.float32) -> GaussianFit:
        """The same on ``device``, as ``dtype``."""
        return GaussianFit(self.mean.to(device, dtype), self.std.to(device, dtype))

    def latents(self, x: Tensor) -> Tensor:
        """Standard normal ``x`` (..., latent) -> latent vectors."""
        return F.leaky_relu(x * self.std + self.mean, SLOPE)


def read_fit(held: Mapping[str, Any]) -> GaussianFit | None:
    """That of the released file, {"mean": (latent,), "std": (latent,)}; None when this is another file."""
    mean, std = held.get("mean"), held.get("std")
    if not isinstance(mean, Tensor) or not isinstance(std, Tensor) or mean.ndim != 1 or mean.shape != std.shape:
        return None
    return GaussianFit(mean, std)


def fit_gaussian(mapping: Callable[[Tensor], Tensor], z: Iterable[Tensor]) -> GaussianFit:
    """Fitted to ``mapping`` of the batches ``z`` (each (B, width)); the deviation is the unbiased one."""
    moments = torch.zeros(3, 1, dtype=torch.float64)
    for batch in z:
        x = F.leaky_relu(mapping(batch), 1 / SLOPE).double()  # the inverse of the last activation
        moments = moments + torch.stack([torch.ones_like(x[0]) * len(x), x.sum(0), x.square().sum(0)])
    count, total, squares = moments
    mean = total / count
    return GaussianFit(mean, ((squares - total * mean) / (count - 1)).clamp(min=0).sqrt())


def official_draws(width: int) -> Iterable[Tensor]:
    """The million vectors of the authors' script (with the numbers of torch's CPU generator, seed 0)."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(DRAWS // CHUNK):
        yield torch.randn(CHUNK, width, generator=generator)


@torch.no_grad()
def computed_fit(mapping: nn.Module, width: int) -> GaussianFit:
    """What the authors' script computes when the released fit is absent: a minute or two on two CPU cores."""
    return fit_gaussian(mapping, official_draws(width))
