"""What PULSE minimises: the difference from the reduced photo, and how far the latent vectors of the layers part."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from likeness.nets.upfirdn import bicubic_down


@dataclass(frozen=True)
class Weights:
    """Of the terms; ``eps`` is the difference below which a picture is not pulled nearer to the photo."""

    l1: float = 0.0
    l2: float = 100.0
    geocross: float = 0.05
    eps: float = 2e-3


@dataclass(frozen=True)
class Losses:
    """Of one picture, scalars: ``total`` is weighted; ``reached`` says whether ``l2`` is down to eps."""

    total: Tensor
    l2: Tensor
    geocross: Tensor
    reached: bool


def losses(image: Tensor, latents: Tensor, reference: Tensor, weights: Weights) -> Losses:
    """``image`` (1, 3, H, W) and ``reference`` (1, 3, h, w), nominally in [0, 1]; ``latents`` (1, layers, latent)."""
    difference = bicubic_down(image, image.shape[-1] // reference.shape[-1]) - reference
    l2 = difference.square().mean().clamp(min=weights.eps)
    l1 = 10 * difference.abs().mean().clamp(min=weights.eps)
    cross = geocross(latents)
    total = weights.l2 * l2 + weights.l1 * l1 + weights.geocross * cross
    return Losses(total, l2, cross, bool(l2 <= weights.eps))


def geocross(latents: Tensor) -> Tensor:
    """(B, layers, latent) -> the mean square of the angles between the layers' vectors, times 64, summed over B.

    Section 3.3's sphere is kept by the projection of the search; this keeps the layers near one another on it.
    """
    x, y = latents[:, None], latents[:, :, None]
    apart = ((x - y).square().sum(-1) + 1e-9).sqrt()
    opposite = ((x + y).square().sum(-1) + 1e-9).sqrt()
    angle = 2 * torch.atan2(apart, opposite)
    return ((angle.square() * 512).mean((1, 2)) / 8).sum()
