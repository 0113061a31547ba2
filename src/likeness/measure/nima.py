"""NIMA: the rating that people would give a picture, and how far they would disagree, without a truth."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.nets.nima import NIMA

SIDE = 224


class Ratings(NamedTuple):
    """(B,) each: ``score`` in [1, 10], higher_is_better: yes; ``spread`` in [0, 4.5], of which neither is better."""

    score: Tensor
    spread: Tensor


def nima_ratings(net: NIMA, pictures: Tensor) -> Ratings:
    """(B, 3, H, W) RGB in [0, 1] -> mean and standard deviation of the ratings that ``net`` expects, 1 to 10.

    The pictures are brought to 224 x 224, bilinear and antialiased. The authors released no weights: a score belongs to
    the weights it was computed with, and published ones cannot be compared with it. Raises ValueError for another shape
    and for a network in training mode. Source: Talebi, Milanfar: NIMA: Neural Image Assessment, IEEE TIP 2018, section
    II; the backbone is VGG16 with global average pooling.
    """
    if net.training:
        raise ValueError("NIMA is defined in evaluation mode: call net.eval()")
    if pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ValueError(f"pictures must be (B, 3, H, W), got {tuple(pictures.shape)}")
    small = F.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    return summarise(net(small))


def summarise(shares: Tensor) -> Ratings:
    """Shares (B, N) of the ratings 1 to N, each row's sum 1 -> their mean and standard deviation, (B,) each.

    Raises ValueError for another shape, negative shares and other sums.
    """
    if shares.ndim != 2 or not bool((shares >= 0).all()) or bool(((shares.sum(dim=1) - 1).abs() > 1e-3).any()):
        raise ValueError(f"shares must be (B, N), not negative, with sums of 1, got {tuple(shares.shape)}")
    ratings = torch.arange(1, shares.shape[1] + 1, dtype=shares.dtype, device=shares.device)
    score = shares @ ratings
    spread = (shares * (ratings - score[:, None]).square()).sum(dim=1).sqrt()
    return Ratings(score, spread)
