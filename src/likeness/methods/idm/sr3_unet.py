"""The U-Net of SR3 (Saharia et al. 2021) with the names of its widely used open implementation.

Against Ho's it is told the noise level sqrt(gamma) instead of a step, and what follows from it is added after the first
convolution of each block without an activation; downsampling pads on both sides; eps of the norms is 1e-5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from likeness.nets.vq import Upsample, attend, conv3

GROUPS = 16  # of the norms in the configuration for 64 -> 512 pixels; shapes do not tell


@dataclass(frozen=True)
class SR3Config:
    """The sizes of the configuration for 64 -> 512 pixels.

    ``channel_mults``: width of each level as a multiple of ``inner_channel``, halving the size from one to the next;
    ``attention``: the levels whose blocks have attention (the middle always has it). ``norm_groups`` must divide
    ``inner_channel``.
    """

    inner_channel: int = 64
    channel_mults: tuple[int, ...] = (1, 2, 4, 8, 16)
    res_blocks: int = 1
    attention: tuple[int, ...] = ()
    in_channels: int = 6
    out_channels: int = 3
    norm_groups: int = GROUPS
    dropout: float = 0.0


def noise_level_features(level: Tensor, width: int) -> Tensor:
    """Noise level sqrt(gamma) in [0, 1], (...), -> (..., width): its sines, then its cosines, of falling frequency.

    The level is not scaled, hence the angles are at most 1. ``width`` is even.
    """
    count = width // 2
    k = torch.arange(count, dtype=torch.float32, device=level.device)
    angle = level.float()[..., None] * torch.exp(-math.log(1e4) * k / count)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class NoiseLevelFeatures(nn.Module):
    """``noise_level_features`` as the first of a sequence."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, level: Tensor) -> Tensor:
        return noise_level_features(level, self.width)


class Block(nn.Module):
    """Norm, swish, dropout, 3x3 convolution."""

    def __init__(self, inputs: int, outputs: int, groups: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.GroupNorm(groups, inputs), nn.SiLU(inplace=True), nn.Dropout(dropout), conv3(inputs, outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)  # type: ignore[no-any-return]


class NoiseFunction(nn.Module):
    """Adds what the noise level says to each channel."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.noise_func = nn.Sequential(nn.Linear(inputs, outputs))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return x + self.noise_func(noise).flatten(1)[:, :, None, None]  # type: ignore[no-any-return]


class ResBlock(nn.Module):
    """Two blocks, the noise level between them; plus the input."""

    def __init__(self, inputs: int, outputs: int, noise: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.noise_func = NoiseFunction(noise, outputs)
        self.block1 = Block(inputs, outputs, groups)
        self.block2 = Block(outputs, outputs, groups, dropout)
        self.res_conv: nn.Module = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        h = self.noise_func(self.block1(x), noise)
        return self.block2(h) + self.res_conv(x)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Self-attention with one head; query, key and value come from one 1x1 convolution. The input is added."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=1)
        return x + self.out(attend(q, k, v))  # type: ignore[no-any-return]


class ResBlockWithAttention(nn.Module):
    """A block, and attention after it where there is any."""

    def __init__(self, inputs: int, outputs: int, config: SR3Config, attention: bool) -> None:
        super().__init__()
        groups = config.norm_groups
        self.res_block = ResBlock(inputs, outputs, config.inner_channel, groups, config.dropout)
        self.attn = Attention(outputs, groups) if attention else None

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        x = self.res_block(x, noise)
        return x if self.attn is None else self.attn(x)


class Downsample(nn.Module):
    """Halves the size: a 3x3 convolution of stride 2, padded on both sides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


class SR3UNet(nn.Module):
    """``forward(x, level)``: x (B, in_channels, H, W), level (B,) or (B, 1) -> (B, out_channels, H, W).

    ``x`` is the condition and the noisy picture in [-1, 1], in this order; ``level`` is sqrt(gamma) in [0, 1]. H and W
    are multiples of ``factor``.
    """

    conditioning = "gamma"

    def __init__(self, config: SR3Config | None = None) -> None:
        super().__init__()
        self.config = config = config or SR3Config()
        self.factor = 1 << (len(config.channel_mults) - 1)
        inner = width = config.inner_channel
        self.noise_level_mlp = nn.Sequential(
            NoiseLevelFeatures(inner), nn.Linear(inner, 4 * inner), nn.SiLU(), nn.Linear(4 * inner, inner)
        )
        downs: list[nn.Module] = [conv3(config.in_channels, width)]
        skips = [width]
        for level, mult in enumerate(config.channel_mults):
            for _ in range(config.res_blocks):
                downs.append(ResBlockWithAttention(width, inner * mult, config, level in config.attention))
                width = inner * mult
                skips.append(width)
            if level < len(config.channel_mults) - 1:
                downs.append(Downsample(width))
                skips.append(width)
        self.downs = nn.ModuleList(downs)
        self.mid = nn.ModuleList(ResBlockWithAttention(width, width, config, attention) for attention in (True, False))
        ups: list[nn.Module] = []
        for level, mult in reversed(list(enumerate(config.channel_mults))):
            for _ in range(config.res_blocks + 1):
                ups.append(ResBlockWithAttention(width + skips.pop(), inner * mult, config, level in config.attention))
                width = inner * mult
            if level > 0:
                ups.append(Upsample(width))
        self.ups = nn.ModuleList(ups)
        self.final_conv = Block(width, config.out_channels, config.norm_groups)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        noise = self.noise_level_mlp(level)
        skips = []
        for layer in self.downs:
            x = layer(x, noise) if isinstance(layer, ResBlockWithAttention) else layer(x)
            skips.append(x)
        for layer in self.mid:
            x = layer(x, noise)
        for layer in self.ups:
            if isinstance(layer, ResBlockWithAttention):
                x = layer(torch.cat([x, skips.pop()], dim=1), noise)
            else:
                x = layer(x)
        return self.final_conv(x)  # type: ignore[no-any-return]


def read_sizes(tensors: Mapping[str, Tensor]) -> SR3Config | None:
    """The sizes of the network of these tensors; None when they are of another.

    Shapes do not tell ``norm_groups``: the largest number up to that of the configuration for 64 -> 512 is given.
    """
    first, last = tensors.get("downs.0.weight"), tensors.get("final_conv.block.3.weight")
    if first is None or last is None or first.ndim != 4 or "noise_level_mlp.3.weight" not in tensors:
        return None
    inner = first.shape[0]
    levels: list[list[tuple[int, bool]]] = [[]]  # width of each block, and whether it has attention
    for index in range(1, len({key.split(".")[1] for key in tensors if key.startswith("downs.")})):
        block = tensors.get(f"downs.{index}.res_block.block1.block.3.weight")
        if block is not None:
            levels[-1].append((block.shape[0], f"downs.{index}.attn.qkv.weight" in tensors))
        else:
            levels.append([])
    if not inner or inner % 2 or any(not level or level[0][0] % inner for level in levels):
        return None
    return SR3Config(
        inner_channel=inner,
        channel_mults=tuple(level[0][0] // inner for level in levels),
        res_blocks=len(levels[0]),
        attention=tuple(i for i, level in enumerate(levels) if level[0][1]),
        in_channels=first.shape[1],
        out_channels=last.shape[0],
        norm_groups=math.gcd(GROUPS, inner),
    )
