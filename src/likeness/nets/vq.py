"""Blocks of the vector-quantised autoencoders that restore faces (VQGAN: Esser et al. 2021; without its losses).

CodeFormer, RestoreFormer and VQFR are built of them. Tensors are (B, C, H, W) unless a docstring says otherwise.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 32


def group_norm(channels: int) -> nn.GroupNorm:
    """The normalisation of the whole family: 32 groups, eps 1e-6. ``channels`` is a multiple of 32."""
    return nn.GroupNorm(GROUPS, channels, eps=1e-6)


def conv3(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def norm_swish(norm: nn.Module, x: Tensor) -> Tensor:
    """Normalise, then x * sigmoid(x), the latter in place: at 512 pixels a copy costs as much as the norm."""
    return F.silu(norm(x), inplace=True)


class ResidualBlock(nn.Module):
    """Twice norm, swish, 3x3 convolution; plus the input, through a 1x1 convolution when the channels change.

    ``shortcut`` is what the authors call that 1x1 convolution, the only thing in which the published blocks differ.
    """

    def __init__(self, inputs: int, outputs: int, shortcut: str) -> None:
        super().__init__()
        self.norm1 = group_norm(inputs)
        self.conv1 = conv3(inputs, outputs)
        self.norm2 = group_norm(outputs)
        self.conv2 = conv3(outputs, outputs)
        self.shortcut = shortcut if inputs != outputs else None
        if self.shortcut is not None:
            self.add_module(self.shortcut, nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(norm_swish(self.norm1, x))
        h = self.conv2(norm_swish(self.norm2, h))
        return h + (x if self.shortcut is None else self.get_submodule(self.shortcut)(x))  # type: ignore[no-any-return]


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int = 1) -> Tensor:
    """Attention between the places of feature maps (B, C, H, W); channels are split into heads, head by head."""
    b, c, h, w = q.shape
    q, k, v = (t.reshape(b, heads, c // heads, -1).transpose(-1, -2) for t in (q, k, v))
    mixed = F.scaled_dot_product_attention(q, k, v)
    return mixed.transpose(-1, -2).reshape(b, c, h, w)


class AttentionBlock(nn.Module):
    """Self-attention with one head over all places; 1x1 convolutions; the input is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        return x + self.proj_out(attend(self.q(h), self.k(h), self.v(h)))  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """Halves the size: one row and column of zeros at the bottom and right, then a 3x3 convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))  # type: ignore[no-any-return]


class UpsampleConv(nn.Conv2d):
    """Repeats each pixel twice in both directions, then a 3x3 convolution: (B, C, H, W) -> (B, outputs, 2 H, 2 W).

    The repeated picture is not made. In it the three taps of a row fall on two pixels only, hence each of the four
    new pixels is a 2x2 convolution of the old ones: the same sum with 16 products for 36 (a third faster on a CPU).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        kernels = _pairs(_pairs(self.weight, 2), 4).flatten(0, 2)  # odd or even column, odd or even row, output
        bias = None if self.bias is None else self.bias.repeat(4)
        quarters = F.conv2d(x, kernels, bias, padding=1).view(b, 2, 2, self.out_channels, h + 1, w + 1)
        out = quarters.new_empty(b, self.out_channels, 2 * h, 2 * w)
        for row in range(2):
            for column in range(2):
                out[:, :, row::2, column::2] = quarters[:, column, row, :, row : row + h, column : column + w]
        return out


def _pairs(kernel: Tensor, dim: int) -> Tensor:
    """The three taps along ``dim`` as two, for even and for odd places: a new first dimension of 2, ``dim`` of 2."""
    first, second, third = kernel.unbind(dim)
    even, odd = torch.stack([first, second + third], dim), torch.stack([first + second, third], dim)
    return torch.stack([even, odd])


class Upsample(nn.Module):
    """Doubles the size: each pixel is repeated, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = UpsampleConv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


class Codebook(nn.Module):
    """The learned vectors, ``embedding.weight`` (codes, dim)."""

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, dim)

    def nearest(self, z: Tensor) -> Tensor:
        """For each place of ``z`` (B, dim, H, W) the index (B, H, W) of the nearest vector in squared distance.

        Always in float32: distances of trained codebooks differ by less than half precision resolves.
        """
        with torch.autocast(z.device.type, enabled=False):
            wide = torch.promote_types(z.dtype, torch.float32)
            points, codes = z.to(wide).permute(0, 2, 3, 1).flatten(0, 2), self.embedding.weight.to(wide)
            # |z|^2 is the same for all codes and is left out
            distance = torch.addmm(codes.square().sum(1), points, codes.T, alpha=-2)
            return distance.argmin(1).view(z.shape[0], *z.shape[2:])

    def look_up(self, index: Tensor) -> Tensor:
        """The vectors of ``index`` (B, H, W) as a feature map (B, dim, H, W)."""
        return self.embedding(index).permute(0, 3, 1, 2).contiguous()  # type: ignore[no-any-return]
