"""The diffusion network: a U-Net of residual blocks that know the time, with attention at the coarse levels.

The network of improved diffusion (Nichol and Dhariwal 2021) with as many blocks per level as wanted. Names, and hence
keys, are those of DifFace's released checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.vq import Upsample, conv3

COARSEST = 8  # pixels along a side of the last level in every released network; keys do not tell the size


@dataclass(frozen=True)
class UNetConfig:
    """The sizes of the network for restoration. ``widths``, ``blocks``: channels and residual blocks of each level.

    ``channels``: those from which the time is embedded; ``attention``: the levels that have it, 0 being the finest;
    ``head_dim``: channels of an attention head, which shapes do not tell.
    """

    channels: int = 32
    widths: tuple[int, ...] = (32, 64, 128, 256, 256, 512, 512)
    blocks: tuple[int, ...] = (1, 2, 2, 2, 2, 3, 4)
    attention: tuple[int, ...] = (4, 5, 6)
    head_dim: int = 64

    @property
    def size(self) -> int:
        """Height and width of the pictures it was trained with."""
        return COARSEST << (len(self.widths) - 1)


RESTORATION = UNetConfig()
INPAINTING = UNetConfig(128, (128, 128, 256, 256, 512, 512), (2,) * 6, (4, 5))


class UNet(nn.Module):
    """``forward(x, times)``: (B, 3, H, W) in [-1, 1] and times (B,) in 0..999 -> (B, 6, H, W), noise and variance.

    The first three channels are the noise eps in x; the rest parameterises a variance that DDIM does not ask for.
    H and W must be multiples of 2^(levels - 1).
    """

    def __init__(self, config: UNetConfig = RESTORATION) -> None:
        super().__init__()
        self.config = config
        emb = 4 * config.channels
        self.time_embed = nn.Sequential(nn.Linear(config.channels, emb), nn.SiLU(), nn.Linear(emb, emb))

        def blocks(inputs: int, level: int) -> list[nn.Module]:
            width = config.widths[level]
            residual = ResBlock(inputs, width, emb)
            return [residual, AttentionBlock(width, config.head_dim)] if level in config.attention else [residual]

        last = len(config.widths) - 1
        width = config.widths[0]
        down, skips = [Stage([conv3(3, width)])], [width]
        for level, count in enumerate(config.blocks):
            for _ in range(count):
                down.append(Stage(blocks(width, level)))
                width = config.widths[level]
                skips.append(width)
            if level < last:
                down.append(Stage([Downsample(width)]))
                skips.append(width)
        self.input_blocks = nn.ModuleList(down)
        self.middle_block = Stage(
            [ResBlock(width, width, emb), AttentionBlock(width, config.head_dim), ResBlock(width, width, emb)]
        )
        up = []
        for level in range(last, -1, -1):
            for left in range(config.blocks[level], -1, -1):
                stage = blocks(width + skips.pop(), level)
                width = config.widths[level]
                up.append(Stage([*stage, Upsample(width)] if level and not left else stage))
        self.output_blocks = nn.ModuleList(up)
        self.out = nn.Sequential(GroupNorm(width), nn.SiLU(), conv3(width, 6))

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        emb = self.time_embed(embed_times(times, self.config.channels))
        skips = []
        for stage in self.input_blocks:
            x = stage(x, emb)
            skips.append(x)
        x = self.middle_block(x, emb)
        for stage in self.output_blocks:
            x = stage(torch.cat([x, skips.pop()], dim=1), emb)
        return self.out(x)  # type: ignore[no-any-return]


class Stage(nn.ModuleList):
    """Modules one after the other; residual blocks are told the time (``emb``)."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        for module in self:
            x = module(x, emb) if isinstance(module, ResBlock) else module(x)
        return x


class GroupNorm(nn.GroupNorm):
    """32 groups, in float32 under autocast too."""

    def __init__(self, channels: int) -> None:
        super().__init__(32, channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).to(x.dtype)


class ResBlock(nn.Module):
    """Twice norm, SiLU, 3x3 convolution; the time scales and shifts after the second norm; the input is added."""

    def __init__(self, inputs: int, outputs: int, emb: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(GroupNorm(inputs), nn.SiLU(inplace=True), conv3(inputs, outputs))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb, 2 * outputs))
        # the dropout of the training, of rate 0, holds its place among the keys
        self.out_layers = nn.Sequential(
            GroupNorm(outputs), nn.SiLU(inplace=True), nn.Identity(), conv3(outputs, outputs)
        )
        self.skip_connection = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        scale, shift = self.emb_layers(emb)[:, :, None, None].chunk(2, dim=1)
        norm, swish, _, conv = self.out_layers
        h = norm(self.in_layers(x)) * (1 + scale) + shift
        return self.skip_connection(x) + conv(swish(h))  # type: ignore[no-any-return]


class AttentionBlock(nn.Module):
    """Self-attention over all places; each head holds its queries, keys and values in sequence. The input is added."""

    def __init__(self, channels: int, head_dim: int) -> None:
        super().__init__()
        self.heads = max(1, channels // head_dim)
        self.norm = GroupNorm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2)
        qkv = self.qkv(self.norm(tokens)).unflatten(1, (self.heads, 3, -1)).transpose(-1, -2)
        mixed = F.scaled_dot_product_attention(*qkv.unbind(2))
        return x + self.proj_out(mixed.transpose(-1, -2).reshape(tokens.shape)).view(x.shape)  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """Halves the size by a 3x3 convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)  # type: ignore[no-any-return]


def embed_times(times: Tensor, channels: int) -> Tensor:
    """(B,) -> (B, channels): cosines, then sines, of the time at frequencies from 1 down to 1 / 10000."""
    half = channels // 2
    frequencies = torch.exp(torch.arange(half, device=times.device) * (-math.log(10000) / half))
    angles = times[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def read_unet_config(tensors: Mapping[str, Tensor]) -> UNetConfig | None:
    """The sizes of the network of these tensors; None when they are of another. The head's are the released ones."""
    time, stage = "time_embed.0.weight", "input_blocks.{}.{}"
    if time not in tensors or stage.format(0, "0.weight") not in tensors or "out.2.weight" not in tensors:
        return None
    widths, blocks, attention, index = [0], [0], set(), 1
    while True:
        convolution = tensors.get(stage.format(index, "0.in_layers.2.weight"))
        if convolution is not None:
            widths[-1], blocks[-1] = convolution.shape[0], blocks[-1] + 1
            if stage.format(index, "1.qkv.weight") in tensors:
                attention.add(len(widths) - 1)
        elif stage.format(index, "0.op.weight") in tensors:
            widths.append(0)
            blocks.append(0)
        else:
            break
        index += 1
    if not all(blocks):
        return None
    return UNetConfig(tensors[time].shape[1], tuple(widths), tuple(blocks), tuple(sorted(attention)))
