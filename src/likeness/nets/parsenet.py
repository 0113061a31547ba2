"""ParseNet: which part of the face each pixel of an aligned crop belongs to (19 classes).

The network that the face restoration field parses with before it pastes a face back (file parsing_parsenet.pth);
introduced with PSFR-GAN: Chen et al., "Progressive Semantic-Aware Style Transformation for Blind Face
Restoration", CVPR 2021.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Scale = Literal["none", "up", "down"]


class _Norm(nn.Module):
    """Batch norm, one level deeper in the keys than usual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)  # type: ignore[no-any-return]


class ConvLayer(nn.Module):
    """Nearest x2 if "up"; 3x3 convolution on a mirrored border, of stride 2 if "down"; batch norm; leaky ReLU.

    A convolution that is normalised has no bias.
    """

    def __init__(
        self, inputs: int, outputs: int, scale: Scale = "none", *, norm: bool = False, activated: bool = False
    ) -> None:
        super().__init__()
        self.up, self.activated = scale == "up", activated
        self.conv2d = nn.Conv2d(inputs, outputs, 3, 2 if scale == "down" else 1, bias=not norm)
        self.norm = _Norm(outputs) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if self.up:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = self.norm(self.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect")))
        return F.leaky_relu(x, 0.2, inplace=True) if self.activated else x


class ResidualBlock(nn.Module):
    """Two layers around a shortcut, which is a convolution where size or width change."""

    def __init__(self, inputs: int, outputs: int, scale: Scale = "none") -> None:
        super().__init__()
        first: Scale = "up" if scale == "up" else "none"
        second: Scale = "down" if scale == "down" else "none"
        changes = scale != "none" or inputs != outputs
        self.shortcut_func = ConvLayer(inputs, outputs, scale) if changes else nn.Identity()
        self.conv1 = ConvLayer(inputs, outputs, first, norm=True, activated=True)
        self.conv2 = ConvLayer(outputs, outputs, second, norm=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut_func(x) + self.conv2(self.conv1(x))  # type: ignore[no-any-return]


class ParseNet(nn.Module):
    """``forward(x)``: (B, 3, H, W) RGB in [-1, 1] -> class logits (B, classes, H, W) and a picture (B, 3, H, W).

    H and W are multiples of 16; ``size`` (that of training) only says how often the picture is halved: down to
    ``smallest``.
    """

    def __init__(
        self,
        size: int = 512,
        smallest: int = 32,
        base: int = 64,
        classes: int = 19,
        depth: int = 10,
        limits: tuple[int, int] = (32, 256),
    ) -> None:
        super().__init__()
        steps = (size // smallest).bit_length() - 1

        def width(level: int) -> int:
            return min(max(base << level, limits[0]), limits[1])

        encoder: list[nn.Module] = [ConvLayer(3, base)]
        encoder += [ResidualBlock(width(i), width(i + 1), "down") for i in range(steps)]
        self.encoder = nn.Sequential(*encoder)
        self.body = nn.Sequential(*(ResidualBlock(width(steps), width(steps)) for _ in range(depth)))
        self.decoder = nn.Sequential(*(ResidualBlock(width(i), width(i - 1), "up") for i in range(steps, 0, -1)))
        self.out_img_conv = ConvLayer(width(0), 3)
        self.out_mask_conv = ConvLayer(width(0), classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.encoder(x)
        h = self.decoder(h + self.body(h))
        return self.out_mask_conv(h), self.out_img_conv(h)
