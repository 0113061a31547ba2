"""GFPGAN 1.2, 1.3 and 1.4: plain convolutions, leaky ReLU without gain, bilinear resizing.

The authors' conversion of the paper's model to layers that need no compiled extension; ``original.py`` has those of
the paper.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.gfpgan.network import GFPGAN, Parts
from likeness.nets.stylegan2 import SLOPE, SQRT2, PixelNorm, modulated_conv, modulated_pointwise
from likeness.nets.upfirdn import full_precision


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU in place: every tensor it is given is fresh and used nowhere else."""
    return F.leaky_relu(x, SLOPE, inplace=True)


def halve(x: Tensor) -> Tensor:
    """Bilinear resizing by 0.5, which averages 2x2 pixels."""
    return F.avg_pool2d(x, 2)


def double(x: Tensor) -> Tensor:
    """Bilinear resizing by 2."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class _ResBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)


class ResDown(_ResBlock):
    """(B, inputs, H, W) -> (B, outputs, H/2, W/2)."""

    def forward(self, x: Tensor) -> Tensor:
        return leaky(self.conv2(halve(leaky(self.conv1(x))))) + self.skip(halve(x))  # type: ignore[no-any-return]


class ResUp(_ResBlock):
    """(B, inputs, H, W) -> (B, outputs, 2H, 2W). The 1x1 convolution commutes with the resizing: cheaper first."""

    def forward(self, x: Tensor) -> Tensor:
        return leaky(self.conv2(double(leaky(self.conv1(x))))) + double(self.skip(x))


class ModulatedConv(nn.Module):
    """Modulated convolution without equalised learning rate; with ``demodulate``, normalised and times sqrt(2)."""

    def __init__(self, inputs: int, outputs: int, size: int, style_dim: int, demodulate: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, size, size) / (inputs * size * size) ** 0.5)
        self.modulation = nn.Linear(style_dim, inputs)
        nn.init.ones_(self.modulation.bias)
        self.demodulate = demodulate

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        with full_precision(x):
            style = self.modulation(latent.to(self.weight.dtype))
        if self.demodulate:
            return modulated_conv(x, self.weight[0], style, gain=SQRT2)
        return modulated_pointwise(x, self.weight[0, :, :, 0, 0], style)


class StyleConv(nn.Module):
    """Modulated convolution times sqrt(2), noise, bias, activation. ``weight`` is the strength of the noise."""

    def __init__(self, inputs: int, outputs: int, style_dim: int, upsample: bool) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv(inputs, outputs, 3, style_dim, demodulate=True)
        self.weight = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))
        self.upsample = upsample

    def forward(self, x: Tensor, latent: Tensor, noise: Tensor) -> Tensor:
        y = self.modulated_conv(double(x) if self.upsample else x, latent)
        return leaky(y.add_((self.weight * noise).to(y.dtype)).add_(self.bias.to(y.dtype)))


class ToRGB(nn.Module):
    """Colours of one resolution, added to the enlarged colours of the one before. (B, inputs, H, W) -> (B, 3, H, W)."""

    def __init__(self, inputs: int, style_dim: int, upsample: bool) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv(inputs, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, latent: Tensor, skip: Tensor | None) -> Tensor:
        rgb = self.modulated_conv(x, latent) + self.bias
        return rgb if skip is None else rgb + double(skip)  # type: ignore[no-any-return]


def _condition(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1),
        nn.LeakyReLU(SLOPE, inplace=True),
        nn.Conv2d(inputs, outputs, 3, padding=1),
    )


def _mlp(style_dim: int, layers: int) -> nn.Sequential:
    pairs = [(nn.Linear(style_dim, style_dim), nn.LeakyReLU(SLOPE, inplace=True)) for _ in range(layers)]
    return nn.Sequential(PixelNorm(), *(layer for pair in pairs for layer in pair))


PARTS = Parts(
    first=lambda inputs, outputs: nn.Conv2d(inputs, outputs, 1),
    last=lambda inputs, outputs: nn.Conv2d(inputs, outputs, 3, padding=1),
    activate=leaky,
    down=ResDown,
    up=ResUp,
    linear=nn.Linear,
    condition=_condition,
    aux=lambda inputs, outputs: nn.Conv2d(inputs, outputs, 1),
    style_conv=StyleConv,
    rgb=ToRGB,
    mlp=_mlp,
)


class GFPGANClean(GFPGAN):
    """The network of GFPGANCleanv1-NoCE-C2 (1.2), GFPGANv1.3 and GFPGANv1.4."""

    def __init__(
        self, size: int = 512, style_dim: int = 512, multiplier: float = 2, narrow: float = 1, mlp_layers: int = 8
    ) -> None:
        super().__init__(PARTS, size, style_dim, multiplier, narrow, mlp_layers)
