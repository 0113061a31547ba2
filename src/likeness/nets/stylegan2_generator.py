"""The StyleGAN2 generator with skip connections to colours, as GPEN and pSp use it.

Karras et al., Analyzing and Improving the Image Quality of StyleGAN (CVPR 2020), figure 7. GPEN replaces the added
noise by concatenated features of its encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypedDict

import torch
from torch import Tensor, nn

from likeness.nets.stylegan2 import (
    ConstantInput,
    FusedLeakyReLU,
    ModulatedConv2d,
    ModulatedPointwise,
    StoredNoise,
    channels,
    length,
    mapping_network,
    resolutions,
)
from likeness.nets.upfirdn import Upsample


class NoiseStrength(nn.Module):
    """One number that scales the noise: (B, C, H, W) -> the same."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, noise: Tensor) -> Tensor:
        return self.weight * noise


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, activation.

    The noise (B or 1, C, H, W) is added, or with ``concat`` stacked behind the ``outputs`` channels: twice as many.
    """

    def __init__(self, inputs: int, outputs: int, style_dim: int, upsample: bool = False, concat: bool = False) -> None:
        super().__init__()
        self.concat = concat
        self.conv = ModulatedConv2d(inputs, outputs, style_dim, upsample, stored_kernel=True)
        self.noise = NoiseStrength()
        self.activate = FusedLeakyReLU(outputs * (1 + concat))

    def forward(self, x: Tensor, latent: Tensor, noise: Tensor) -> Tensor:
        y = self.conv(x, latent)
        scaled = self.noise(noise).to(y.dtype)
        return self.activate(torch.cat([y, scaled], dim=1) if self.concat else y.add_(scaled))  # type: ignore[no-any-return]


class ToRGB(nn.Module):
    """Colours of one resolution, added to the enlarged colours of the one before. (B, inputs, H, W) -> (B, 3, H, W)."""

    def __init__(self, inputs: int, style_dim: int, upsample: bool = True) -> None:
        super().__init__()
        self.conv = ModulatedPointwise(inputs, 3, style_dim)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.upsample = Upsample(stored=True) if upsample else None

    def forward(self, x: Tensor, latent: Tensor, skip: Tensor | None = None) -> Tensor:
        rgb = self.conv(x, latent) + self.bias
        return rgb if skip is None or self.upsample is None else rgb + self.upsample(skip)  # type: ignore[no-any-return]


class Generator(nn.Module):
    """``forward(latents, noises)``: latents (B, n, style_dim), n = 2 log2(size) - 2, and one noise per convolution
    (``self.noises.stored()`` where the weights hold it) -> (B, 3, size, size), nominally in [-1, 1], not clipped.

    ``style``: the mapping network, (B, style_dim) -> (B, style_dim). ``concat``: as in StyledConv; no noise is stored.
    """

    def __init__(
        self,
        size: int,
        style_dim: int = 512,
        mlp_layers: int = 8,
        multiplier: float = 2,
        narrow: float = 1.0,
        concat: bool = False,
    ) -> None:
        super().__init__()
        levels, factor = resolutions(size), 1 + concat
        widths = {s: channels(s, multiplier, narrow) for s in levels}
        self.style = mapping_network(style_dim, mlp_layers)
        self.input = ConstantInput(widths[4], "input")
        self.conv1 = StyledConv(widths[4], widths[4], style_dim, concat=concat)
        self.to_rgb1 = ToRGB(widths[4] * factor, style_dim, upsample=False)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for before, s in pairwise(levels):
            self.convs.append(StyledConv(widths[before] * factor, widths[s], style_dim, upsample=True, concat=concat))
            self.convs.append(StyledConv(widths[s] * factor, widths[s], style_dim, concat=concat))
            self.to_rgbs.append(ToRGB(widths[s] * factor, style_dim))
        if not concat:
            self.noises = StoredNoise(size, "noise_")

    def forward(self, latents: Tensor, noises: Sequence[Tensor]) -> Tensor:
        latent = latents.unbind(dim=1)
        x = self.conv1(self.input(len(latents)), latent[0], noises[0])
        rgb = self.to_rgb1(x, latent[1])
        for level, to_rgb in enumerate(self.to_rgbs):
            i = 2 * level + 1
            x = self.convs[i - 1](x, latent[i], noises[i])
            x = self.convs[i](x, latent[i + 1], noises[i + 1])
            rgb = to_rgb(x, latent[i + 2], rgb)  # this latent also steers the next level's first convolution
        return rgb  # type: ignore[no-any-return]


class Arguments(TypedDict):
    """What a Generator is made of, but for ``concat``."""

    size: int
    style_dim: int
    mlp_layers: int
    multiplier: float
    narrow: float


def generator_arguments(tensors: Mapping[str, Tensor], prefix: str) -> Arguments | None:
    """The arguments of the Generator whose keys and shapes under ``prefix`` these are; None for no known size."""
    size, mlp_layers = 4, 0
    while f"{prefix}convs.{2 * size.bit_length() - 6}.conv.weight" in tensors:
        size *= 2
    while f"{prefix}style.{mlp_layers + 1}.weight" in tensors:
        mlp_layers += 1
    narrow = length(tensors, f"{prefix}input.input", 1, 512) / 512
    return generator_shape(
        size,
        mlp_layers,
        narrow,
        at_64=length(tensors, f"{prefix}convs.6.conv.weight", 1, 512),
        style_dim=length(tensors, f"{prefix}conv1.conv.modulation.weight", 1, 512),
    )


def generator_shape(size: int, mlp_layers: int, narrow: float, at_64: int, style_dim: int) -> Arguments | None:
    """The arguments with the multiplier that gives the width ``at_64`` pixels, where it begins to count."""
    if not 8 <= size <= 2048:
        return None
    multiplier = at_64 / (256 * narrow) if size >= 64 else 2.0
    return Arguments(size=size, style_dim=style_dim, mlp_layers=mlp_layers, multiplier=multiplier, narrow=narrow)
