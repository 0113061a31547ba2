"""What the two parts of the built-in network are made of: a compact U-Net on pixel-unshuffled faces.

It must be fast on a CPU, so it works on 4x4 pixel-unshuffled pictures; each block is normalised once (without it,
training took twice as long to start); a descriptor of how the picture is degraded, pooled over the whole input,
modulates every block; and the place in the aligned frame is an input, so that crops train it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

UNSHUFFLE = 4
PIXELS = 3 * UNSHUFFLE**2  # channels of an unshuffled picture


@dataclass(frozen=True)
class TrunkConfig:
    """Widths and numbers of residual blocks for each level (1/4, 1/8, 1/16, 1/32 of the picture).

    ``rising`` are the numbers on the way up, of all levels but the last; as many as on the way down when it is None.
    """

    widths: tuple[int, ...] = (64, 128, 256, 384)
    depths: tuple[int, ...] = (1, 2, 2, 3)
    rising: tuple[int, ...] | None = None
    condition: int = 256


class Block(nn.Module):
    """Residual block of two 3x3 convolutions, scaled and shifted in between by the condition."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(condition, 2 * width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        zero(self.film)
        zero(self.conv2)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm(x))) * (1 + scale) + shift
        return x + self.conv2(F.silu(h))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Self-attention over the coarsest level, where a token sees the whole face."""

    def __init__(self, width: int, heads: int = 6) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(1, width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        zero(self.out)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w).transpose(-1, -2).unbind(1)
        y = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(y.transpose(-1, -2).reshape(b, c, h, w))  # type: ignore[no-any-return]


class DegradationEncoder(nn.Module):
    """How is this picture degraded? Local statistics, pooled over the picture: (B, 48, h, w) -> (B, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = [PIXELS, 64, 96, 128]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(channels))
        self.out = nn.Linear(channels[-1], width)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.relu(conv(x))
        return self.out(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


class Trunk(nn.Module):
    """The U-Net of ``inputs`` channels at 1/4 of the picture; fresh, its head draws nothing."""

    def __init__(self, config: TrunkConfig, inputs: int) -> None:
        super().__init__()
        self.config = config
        widths, depths, cond = config.widths, config.depths, config.condition
        self.degradation = DegradationEncoder(cond)
        self.stem = nn.Conv2d(inputs + 2, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(
            nn.ModuleList(Block(w, cond) for _ in range(d)) for w, d in zip(widths[:-1], depths[:-1], strict=True)
        )
        steps = list(pairwise(widths))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in steps)
        self.middle = nn.ModuleList(Block(widths[-1], cond) for _ in range(depths[-1]))
        self.attention = Attention(widths[-1])
        self.up = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in steps)
        self.decoder = nn.ModuleList(
            nn.ModuleList(Block(w, cond) for _ in range(d))
            for w, d in zip(widths[:-1], config.rising or depths[:-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], PIXELS, 3, padding=1)
        zero(self.head)

    def trunk(
        self, inputs: list[Tensor], place: Tensor | None, condition: Tensor, late: Tensor | None = None
    ) -> Tensor:
        """``inputs`` (B, c, h, w) each; ``late`` (B, widths[0], h, w) joins before the last blocks -> like ``late``."""
        first = inputs[0]
        if place is None:
            place = whole_frame(first.shape[2], first.shape[3]).to(first).expand(len(first), -1, -1, -1)
        h = self.stem(torch.cat([*inputs, place], dim=1))
        skips = []
        for blocks, down in zip(self.encoder, self.down, strict=True):
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, condition)
            skips.append(h)
            h = down(h)
        for block in self.middle[:-1]:
            h = block(h, condition)
        h = self.middle[-1](self.attention(h), condition)
        for blocks, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            h = F.pixel_shuffle(up(h), 2) + skips.pop()
            if late is not None and not skips:
                h = h + late
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, condition)
        return F.silu(h)

    def picture(self, h: Tensor) -> Tensor:
        """What the head makes of the trunk's features: (B, widths[0], h, w) -> (B, 3, 4h, 4w)."""
        return F.pixel_shuffle(self.head(h), UNSHUFFLE)


def zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def whole_frame(height: int, width: int) -> Tensor:
    """Places of the cells of a whole aligned picture: (1, 2, height, width), x then y, centres in [-1, 1]."""
    y = (torch.arange(height) + 0.5) / height * 2 - 1
    x = (torch.arange(width) + 0.5) / width * 2 - 1
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]
