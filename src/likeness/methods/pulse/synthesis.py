"""StyleGAN's generator (Karras et al., CVPR 2019) as PULSE uses it, and its mapping network.

Names, and hence keys, are those of the files that PULSE released. Weights are stored as N(0, 1) and scaled when they
are used: ``gain / sqrt(fan_in)``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.progressive import PyramidSizes
from likeness.nets.stylegan2 import SLOPE, SQRT2, EqualLinear, PixelNorm

FUSED_FROM = 128  # pixels; from this size on enlarging and convolving are one, with the kernel turned


class SynthesisConfig(PyramidSizes):
    """StyleGAN's sizes: ``layers`` is how many latent vectors, and noise maps, a picture takes."""

    def noise_side(self, layer: int) -> int:
        """Height and width of the noise map of ``layer``."""
        return int(4 << (layer // 2))


class Conv(nn.Module):
    """A 3x3 or 1x1 convolution with equalised learning rate that keeps the size."""

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = SQRT2) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / (inputs * kernel**2) ** 0.5

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.weight.shape[-1] // 2)


class Blur(nn.Module):
    """Smoothing with [1, 2, 1] / 4 along both axes; the kernel belongs to the state dict."""

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0])
        self.register_buffer("kernel", (torch.outer(line, line) / 16)[None, None])
        self.kernel: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel.expand(x.shape[1], 1, 3, 3).to(x.dtype), padding=1, groups=x.shape[1])


class UpConv(Conv):
    """Twice the size, convolved, blurred: (B, C, H, W) -> (B, outputs, 2 H, 2 W).

    Small pictures repeat each pixel and are then convolved. Large ones (``fused``) are spread by a transposed
    convolution with the 3x3 kernel widened to 4x4. The former is the latter with the kernel turned by half a circle,
    at 16 products for 36, hence both are computed so.
    """

    def __init__(self, inputs: int, outputs: int, fused: bool) -> None:
        super().__init__(inputs, outputs, 3)
        self.fused = fused
        self.intermediate = Blur()

    def forward(self, x: Tensor) -> Tensor:
        weight = F.pad((self.weight if self.fused else self.weight.flip(2, 3)) * self.scale, (1, 1, 1, 1))
        rows = weight[:, :, 1:] + weight[:, :, :-1]
        kernel = rows[..., 1:] + rows[..., :-1]
        enlarged = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2, padding=1)
        return self.intermediate(enlarged) + self.bias[:, None, None]  # type: ignore[no-any-return]


class Noise(nn.Module):
    """How strongly each channel takes the noise."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return x + self.weight[:, None, None] * noise


class StyleMod(nn.Module):
    """Scale and shift of each channel, from a latent vector (B, latent)."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.lin = EqualLinear(latent, 2 * width)

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        scale, shift = self.lin(latent).unflatten(1, (2, -1))[..., None, None].unbind(1)
        return x * (scale + 1) + shift  # type: ignore[no-any-return]


class Epilogue(nn.Module):
    """What follows each convolution: noise, activation, instance normalisation, style."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.noise = Noise(width)
        self.style_mod = StyleMod(width, latent)

    def forward(self, x: Tensor, latent: Tensor, noise: Tensor) -> Tensor:
        x = F.leaky_relu(self.noise(x, noise), SLOPE)
        return self.style_mod(F.instance_norm(x), latent)  # type: ignore[no-any-return]


class FirstBlock(nn.Module):
    """The learned constant at 4x4 pixels and its two layers."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.const = nn.Parameter(torch.ones(1, width, 4, 4))
        self.bias = nn.Parameter(torch.zeros(width))
        self.epi1 = Epilogue(width, latent)
        self.conv = Conv(width, width, 3)
        self.epi2 = Epilogue(width, latent)

    def forward(self, x: None, latents: Tensor, noises: Sequence[Tensor]) -> Tensor:
        start = (self.const + self.bias[:, None, None]).expand(len(latents), -1, -1, -1)
        return self.epi2(self.conv(self.epi1(start, latents[:, 0], noises[0])), latents[:, 1], noises[1])  # type: ignore[no-any-return]


class Block(nn.Module):
    """Twice the size, and two layers."""

    def __init__(self, inputs: int, width: int, latent: int, fused: bool) -> None:
        super().__init__()
        self.conv0_up = UpConv(inputs, width, fused)
        self.epi1 = Epilogue(width, latent)
        self.conv1 = Conv(width, width, 3)
        self.epi2 = Epilogue(width, latent)

    def forward(self, x: Tensor, latents: Tensor, noises: Sequence[Tensor]) -> Tensor:
        x = self.epi1(self.conv0_up(x), latents[:, 0], noises[0])
        return self.epi2(self.conv1(x), latents[:, 1], noises[1])  # type: ignore[no-any-return]


class Synthesis(nn.Module):
    """``forward(latents, noises)``: (B, layers, latent) and a map (B, 1, side, side) per layer -> (B, 3, size, size).

    The picture is nominally in [-1, 1], not clipped.
    """

    def __init__(self, config: SynthesisConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SynthesisConfig()
        self.blocks = nn.ModuleDict({"4x4": FirstBlock(config.widths[0], config.latent)})
        for level, (before, width) in enumerate(pairwise(config.widths), 3):
            size = 2**level
            self.blocks[f"{size}x{size}"] = Block(before, width, config.latent, size >= FUSED_FROM)
        self.torgb = Conv(config.widths[-1], 3, 1, gain=1.0)

    def forward(self, latents: Tensor, noises: Sequence[Tensor]) -> Tensor:
        x = None
        for level, block in enumerate(self.blocks.values()):
            x = block(x, latents[:, 2 * level : 2 * level + 2], noises[2 * level : 2 * level + 2])
        return self.torgb(x)  # type: ignore[no-any-return]


class Dense(EqualLinear):
    """A layer of the mapping network; gain sqrt(2), and learning rate 0.01 of the others'."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, lr_mul=0.01)
        self.scale *= SQRT2

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(super().forward(x), SLOPE)


class Mapping(nn.Sequential):
    """z (B, width), N(0, 1) -> the latent vectors (B, width) that the generator was trained with."""

    def __init__(self, width: int = 512, depth: int = 8) -> None:
        super().__init__(OrderedDict((f"dense{i}", Dense(width)) for i in range(depth)))

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(PixelNorm()(z))  # type: ignore[no-any-return, no-untyped-call]
