"""PSFRGAN's generator: a constant grows into a face, styled at every scale by the photo and its parse map.

Chen et al., Progressive Semantic-Aware Style Transformation for Blind Face Restoration (CVPR 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.spectral import spectral_conv

WIDTHS = (1024, 512, 256, 128, 64, 32)  # channels at 16, 32, ..., 512 pixels
CLASSES = 19  # of the parse map


class SemanticNorm(nn.Module):
    """Instance norm whose scale and shift are computed from the guide (SPADE, without the usual "1 +")."""

    def __init__(self, width: int, guide: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(spectral_conv(guide, 64, 3), nn.LeakyReLU(0.2))
        self.gamma_conv = spectral_conv(64, width, 3)
        self.beta_conv = spectral_conv(64, width, 3)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        style = self.conv1(guide)
        return torch.addcmul(self.beta_conv(style), F.instance_norm(x, eps=1e-5), self.gamma_conv(style))


class SemanticBlock(nn.Module):
    """Residual block of two convolutions, each after a norm that follows the guide."""

    def __init__(self, width: int, guide: int) -> None:
        super().__init__()
        self.norm_0 = SemanticNorm(width, guide)
        self.conv_0 = spectral_conv(width, width, 3)
        self.norm_1 = SemanticNorm(width, guide)
        self.conv_1 = spectral_conv(width, width, 3)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """``guide`` (B, G, h, w) has the size of ``x`` (B, C, h, w)."""
        h = self.conv_0(F.leaky_relu(self.norm_0(x, guide), 0.2))
        h = self.conv_1(F.leaky_relu(self.norm_1(h, guide), 0.2))
        return x + h  # type: ignore[no-any-return]


class Stage(nn.ModuleList):
    """Layers in a row, of which the last is guided; the guide (B, G, S, S) is resized to its input."""

    def forward(self, h: Tensor, guide: Tensor) -> Tensor:
        *layers, block = self
        for layer in layers:
            h = layer(h)
        if guide.shape[-1] != h.shape[-1]:
            guide = F.interpolate(guide, size=h.shape[2:], mode="bicubic", align_corners=False)
        return block(h, guide)  # type: ignore[no-any-return]


class PSFRGenerator(nn.Module):
    """``forward(x, parse)``: (B, 3, S, S) RGB in [-1, 1] and (B, 19, S, S) one-hot -> (B, 3, S, S) RGB, not bounded.

    ``widths``: channels at each size, from ``start`` pixels on, doubling; so S = start * 2 ** (len(widths) - 1).
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, start: int = 16, classes: int = CLASSES) -> None:
        super().__init__()
        guide = 3 + classes
        self.const_input = nn.Parameter(torch.zeros(1, widths[0], start, start))
        self.head = Stage([spectral_conv(widths[0], widths[0], 3), SemanticBlock(widths[0], guide)])
        self.body = nn.ModuleList(
            Stage([nn.Upsample(scale_factor=2), spectral_conv(a, b, 3), SemanticBlock(b, guide)])
            for a, b in pairwise(widths)
        )
        self.img_out = spectral_conv(widths[-1], 3, 3)

    def forward(self, x: Tensor, parse: Tensor) -> Tensor:
        guide = torch.cat([x, parse], dim=1)
        h = self.head(self.const_input.expand(len(x), -1, -1, -1), guide)
        for stage in self.body:
            h = stage(h, guide)
        return self.img_out(h)  # type: ignore[no-any-return]
