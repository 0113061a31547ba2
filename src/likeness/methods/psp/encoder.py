"""pSp's encoder: an IR-SE-50 trunk, a feature pyramid of three maps, and one small head per latent vector.

Richardson et al., Encoding in Style: a StyleGAN Encoder for Image-to-Image Translation (CVPR 2021), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.stylegan2 import EqualLinear

INPUT = 256  # pixels; the heads reduce maps of 16, 32 and 64 to one
COARSE, MIDDLE = 3, 7  # heads before COARSE read the 16-pixel map, before MIDDLE that of 32, the others that of 64


class SqueezeExcitation(nn.Module):
    """Scales the channels by a function of their means."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, width // 16, 1, bias=False)
        self.fc2 = nn.Conv2d(width // 16, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True))))
        return x * torch.sigmoid(scale)


class Unit(nn.Module):
    """Residual unit: (B, inputs, H, W) -> (B, outputs, H/stride, W/stride), without activation after the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            SqueezeExcitation(outputs),
        )
        self.shortcut_layer: nn.Sequential | None = None
        if inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut_layer = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x[..., :: self.stride, :: self.stride] if self.shortcut_layer is None else self.shortcut_layer(x)
        return self.res_layer(x) + shortcut  # type: ignore[no-any-return]


class StyleHead(nn.Module):
    """One latent vector from a square map of 2**halvings pixels: (B, width, s, s) -> (B, width)."""

    def __init__(self, width: int, halvings: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(halvings):
            layers += [nn.Conv2d(width, width, 3, 2, padding=1), nn.LeakyReLU(0.01, inplace=True)]
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.convs(x).flatten(1))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """``forward(x)``: (B, 3, 256, 256) RGB in [-1, 1] -> (B, styles, style_dim), offsets from the average latent.

    ``widths`` and ``units`` are those of the trunk's four stages, each of which halves the size at its start.
    """

    def __init__(
        self,
        styles: int,
        style_dim: int = 512,
        widths: Sequence[int] = (64, 128, 256, 512),
        units: Sequence[int] = (3, 4, 14, 3),
    ) -> None:
        super().__init__()
        width = widths[0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.PReLU(width)
        )
        self.body, self.taps = nn.ModuleList(), []
        for stage, count in zip(widths, units, strict=True):
            for index in range(count):
                self.body.append(Unit(width, stage, 1 if index else 2))
                width = stage
            self.taps.append(len(self.body))
        self.latlayer1 = nn.Conv2d(widths[2], style_dim, 1)
        self.latlayer2 = nn.Conv2d(widths[1], style_dim, 1)
        self.styles = nn.ModuleList(
            StyleHead(style_dim, 4 if index < COARSE else 5 if index < MIDDLE else 6) for index in range(styles)
        )

    def forward(self, x: Tensor) -> Tensor:
        h, taps = self.input_layer(x), []
        for index, unit in enumerate(self.body, start=1):
            h = unit(h)
            if index in self.taps:
                taps.append(h)
        _, c1, c2, c3 = taps
        p2 = _add_enlarged(c3, self.latlayer1(c2))
        p1 = _add_enlarged(p2, self.latlayer2(c1))
        maps = [c3] * COARSE + [p2] * (MIDDLE - COARSE) + [p1] * (len(self.styles) - MIDDLE)
        return torch.stack([head(m) for head, m in zip(self.styles, maps, strict=False)], dim=1)


def _add_enlarged(coarse: Tensor, fine: Tensor) -> Tensor:
    return F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=True) + fine
