"""The built-in network: a compact conditional denoiser on pixel-unshuffled faces.

After papers/001 (IDM): the degraded image is concatenated to the noisy one, the clean image x0 is predicted, the
noise level gamma is a continuous condition (eq. 5-7). What is ours, because it must be fast on a CPU: it works on
4x4 pixel-unshuffled images and adds what it predicts to the degraded image; each block is normalised once (without
it, training took twice as long to start); a descriptor of how the picture is degraded, pooled over the whole input,
modulates every block; and the place in the aligned frame is an input, so that crops train it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.embedding import NoiseLevelEmbedding

UNSHUFFLE = 4


@dataclass(frozen=True)
class NetworkConfig:
    """Widths and numbers of residual blocks for each level (1/4, 1/8, 1/16, 1/32 of the picture)."""

    widths: tuple[int, ...] = (64, 128, 256, 384)
    depths: tuple[int, ...] = (1, 2, 2, 3)
    condition: int = 256


class Block(nn.Module):
    """Residual block of two 3x3 convolutions, scaled and shifted in between by the condition."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(condition, 2 * width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        _zero(self.film)
        _zero(self.conv2)

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
        _zero(self.out)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w).transpose(-1, -2).unbind(1)
        y = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(y.transpose(-1, -2).reshape(b, c, h, w))  # type: ignore[no-any-return]


class DegradationEncoder(nn.Module):
    """How is this picture degraded? Local statistics, pooled over the picture: (B, 48, h, w) -> (B, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = [3 * UNSHUFFLE**2, 64, 96, 128]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(channels))
        self.out = nn.Linear(channels[-1], width)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.relu(conv(x))
        return self.out(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


class LikenessNet(nn.Module):
    """The denoiser f(x_d, sqrt(gamma) x_t, gamma) -> x0.

    ``forward(degraded, state, gamma, place=None)``: ``degraded`` and ``state`` (B, 3, H, W) in [-1, 1] with H, W
    multiples of 32; ``state`` is sqrt(gamma) * x_t, the linear estimate of x0 from x_t, hence zero when gamma is
    zero (nothing known yet: the output is the posterior mean); ``gamma`` (B,) in [0, 1]; ``place`` (B, 2, H/4,
    W/4) is where each cell lies in the aligned frame, x and y in [-1, 1] (default: the picture is the whole
    frame). Returns x0 (B, 3, H, W), not clipped.
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        widths, depths, cond = self.config.widths, self.config.depths, self.config.condition
        pixels = 3 * UNSHUFFLE**2
        self.noise_level = NoiseLevelEmbedding(cond)
        self.degradation = DegradationEncoder(cond)
        self.stem = nn.Conv2d(2 * pixels + 2, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(
            nn.ModuleList(Block(w, cond) for _ in range(d)) for w, d in zip(widths[:-1], depths[:-1], strict=True)
        )
        steps = list(pairwise(widths))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in steps)
        self.middle = nn.ModuleList(Block(widths[-1], cond) for _ in range(depths[-1]))
        self.attention = Attention(widths[-1])
        self.up = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in steps)
        self.decoder = nn.ModuleList(
            nn.ModuleList(Block(w, cond) for _ in range(d)) for w, d in zip(widths[:-1], depths[:-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], pixels, 3, padding=1)
        _zero(self.head)

    def forward(self, degraded: Tensor, state: Tensor, gamma: Tensor, place: Tensor | None = None) -> Tensor:
        d = F.pixel_unshuffle(degraded, UNSHUFFLE)
        if place is None:
            place = whole_frame(d.shape[2], d.shape[3]).to(d).expand(len(d), -1, -1, -1)
        condition = F.silu(self.noise_level(gamma) + self.degradation(d))
        h = self.stem(torch.cat([d, F.pixel_unshuffle(state, UNSHUFFLE), place], dim=1))
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
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, condition)
        return degraded + F.pixel_shuffle(self.head(F.silu(h)), UNSHUFFLE).to(degraded)


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def whole_frame(height: int, width: int) -> Tensor:
    """Places of the cells of a whole aligned picture: (1, 2, height, width), x then y, centres in [-1, 1]."""
    y = (torch.arange(height) + 0.5) / height * 2 - 1
    x = (torch.arange(width) + 0.5) / width * 2 - 1
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]
