"""Distances between pictures (B, 3, H, W) in [-1, 1] that objectives share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def negative_psnr(restored: Tensor, clean: Tensor, floor: float = 2e-3) -> Tensor:
    """Mean over the pictures of the logarithm of the squared error, in units of 10 dB.

    Its optimum is the posterior mean, where that of L1 is the median. ``floor`` (33 dB) keeps clean inputs and flat
    crops, whose error is near zero, from ruling the batch.
    """
    return (((restored - clean) ** 2).mean(dim=(1, 2, 3)) + floor).log10().mean()


def texture_distance(a: Tensor, b: Tensor, quantile: float = 0.5, octaves: int = 3, window: int = 9) -> Tensor:
    """How much the local contrast of ``a`` differs from that of ``b``: mean |std_a - std_b| over three octaves.

    The standard deviation of what a 3x3 average leaves, in windows of 9 pixels, then of the picture halved, and so
    on. Unlike a pixel loss it does not punish detail that is right in kind but not in place. ``quantile`` of the
    plausible contrasts is what a network learns from it (pinball loss): above 0.5, too smooth costs more than too
    rough.
    """
    total = a.new_zeros(())
    for _ in range(octaves):
        lacking = _contrast(b, window) - _contrast(a, window)
        total = total + 2 * torch.maximum(quantile * lacking, (quantile - 1) * lacking).mean()
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return total / octaves


def _contrast(x: Tensor, window: int) -> Tensor:
    high = (x - F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)).float()
    return (F.avg_pool2d(high**2, window, window // 2) + 1e-6).sqrt()


def grid_distance(a: Tensor, b: Tensor, cells: tuple[int, ...] = (4, 8), window: int = 5) -> Tensor:
    """How far the patterns that repeat every 4 or 8 pixels differ: 0 for equal pictures.

    A network that writes whole cells can answer a demand for detail with the same cell everywhere. Averaged over
    ``window`` x ``window`` cells, what remains of each place in the cell, relative to the cell's mean, is that pattern.
    """
    return torch.stack([F.l1_loss(_pattern(a, c, window), _pattern(b, c, window)) for c in cells]).mean()


def _pattern(x: Tensor, cell: int, window: int) -> Tensor:
    places = F.avg_pool2d(F.pixel_unshuffle(x.float(), cell), window, 1)
    places = places.reshape(len(x), x.shape[1], cell * cell, -1)
    return places - places.mean(dim=2, keepdim=True)


def feature_distance(features: nn.Module, restored: Tensor, clean: Tensor, *how: Tensor, last: float = 1.0) -> Tensor:
    """Distance of ``features`` (a frozen network giving a list) relative to the clean picture's, averaged over all.

    ``how``: more for the network, the same for both pictures. ``last``: the weight of the last of them, an embedding,
    where the others have 1.
    """
    with torch.no_grad():
        wanted = features(clean, *how)
    got = features(restored.float(), *how)
    distances = torch.stack([_relative(a, b) for a, b in zip(got, wanted, strict=True)])
    weights = torch.ones_like(distances)
    weights[-1] = last
    return (distances * weights).sum() / weights.sum()


def _relative(a: Tensor, b: Tensor) -> Tensor:
    a, b = a.float().flatten(1), b.float().flatten(1)
    distance: Tensor = (a - b).norm(dim=1) / b.norm(dim=1).clamp_min(1e-6)
    return distance.mean()


def gram(features: Tensor) -> Tensor:
    """(B, C, H, W) -> products of channels (B, C, C) divided by the number of the features; float32."""
    b, c, h, w = features.shape
    flat = features.float().reshape(b, c, h * w)
    with torch.autocast(features.device.type, enabled=False):
        return flat @ flat.transpose(1, 2) / (c * h * w)
