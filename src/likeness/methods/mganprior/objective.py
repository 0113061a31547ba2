"""What mGANprior minimises for super-resolution: the difference from the photo once both are reduced."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.nets.vgg import VGGFeatures

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as VGG expects
PERCEPTUAL = 0.001


@dataclass(frozen=True)
class Weights:
    """Of the three terms, and the shape of the third: see the card."""

    l1: float = 0.0
    l2: float = 1.0
    perceptual: float = 1.0
    perceptual_l2: bool = False
    perceptual_layer: int = 16
    perceptual_size: int = 256


@dataclass(frozen=True)
class Terms:
    """The terms before they are weighted, and their weighted sum; scalars."""

    l1: Tensor
    l2: Tensor
    perceptual: Tensor
    total: Tensor


def reduce(x: Tensor, factor: int) -> Tensor:
    """(B, 3, H, W) -> (B, 3, H // factor, W // factor): bilinear without antialiasing, as released."""
    return F.interpolate(x, scale_factor=1 / factor, mode="bilinear", align_corners=False)


def perceptual_features(vgg: VGGFeatures, x: Tensor, weights: Weights) -> Tensor:
    """Features of ``x`` (B, 3, H, W) in [-1, 1], after the ReLU of VGG16's seventh convolution by default."""
    mean, deviation = (x.new_tensor(numbers).view(1, 3, 1, 1) for numbers in (MEAN, DEVIATION))
    x = ((x * 0.5 + 0.5) - mean) / deviation
    x = F.interpolate(x, size=(weights.perceptual_size,) * 2, mode="nearest")
    return vgg(x, [weights.perceptual_layer - 1])[0]  # type: ignore[no-any-return]


class Objective:
    """The terms for one photo, whose part is computed once."""

    def __init__(
        self,
        target: Tensor,
        factor: int,
        weights: Weights,
        vgg: VGGFeatures | None,
        autocast: torch.dtype = torch.float32,
    ) -> None:
        """``target`` (1, 3, size, size) in [-1, 1], of the generator's size; ``vgg`` may be None without its term."""
        self.factor, self.weights, self.autocast = factor, weights, autocast
        self.vgg = vgg if weights.perceptual else None
        with torch.no_grad():
            self.target = reduce(target, factor)
            self.features = self._features(self.target)

    def terms(self, image: Tensor) -> Terms:
        """Of an estimate (1, 3, size, size), nominally in [-1, 1]."""
        small, w = reduce(image, self.factor), self.weights
        difference = small - self.target
        l1, l2 = difference.abs().mean(), difference.square().mean()
        perceptual = l2.new_zeros(())
        features = self._features(small)
        if features is not None and self.features is not None:
            apart = features - self.features
            perceptual = PERCEPTUAL * (apart.square() if w.perceptual_l2 else apart.abs()).mean()
        return Terms(l1, l2, perceptual, w.l1 * l1 + w.l2 * l2 + w.perceptual * perceptual)

    def _features(self, x: Tensor) -> Tensor | None:
        if self.vgg is None:
            return None
        with torch.autocast(x.device.type, self.autocast, enabled=self.autocast != torch.float32):
            return perceptual_features(self.vgg, x, self.weights).float()
