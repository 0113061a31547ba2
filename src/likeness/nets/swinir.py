"""SwinIR as a posterior mean: a degraded face in, the mean of the faces it may be out (Liang et al. 2021).

The variant that DifFace trained (Yue and Loy, TPAMI 2024) and PMRF took over: the picture is folded into channels first
and unfolded by three doublings last, so that the transformer works at an eighth of the size. Names, and hence keys, are
those of the released checkpoint. Tokens are (B, H W, C), row by row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.vq import UpsampleConv, conv3

MEAN = (0.4488, 0.4371, 0.4040)  # of the pictures it was trained with, RGB in [0, 1]
OUTSIDE = -100.0  # added to the logits between places that are not neighbours in the picture


@dataclass(frozen=True)
class SwinIRConfig:
    """The released sizes. ``img_size``: tokens along a side for which the masks are stored; other sizes work as well.

    ``scale``: the factor of folding and of unfolding, a power of two; ``features``: channels while unfolding.
    """

    img_size: int = 64
    embed_dim: int = 180
    depths: tuple[int, ...] = (6,) * 8
    num_heads: tuple[int, ...] = (6,) * 8
    window: int = 8
    mlp_dim: int = 360
    scale: int = 8
    features: int = 64

    @property
    def shift(self) -> int:
        """By how many tokens the windows of every second block are moved; 0 where one window is the whole picture."""
        return self.window // 2 if self.img_size > self.window else 0

    @property
    def doublings(self) -> int:
        """How often the picture is doubled at the end."""
        return self.scale.bit_length() - 1


class SwinIR(nn.Module):
    """``forward(x)``: (B, 3, H, W) RGB in [0, 1] -> the same size, not clipped.

    H and W must be multiples of ``scale * window`` (64 pixels); raises ValueError.
    """

    def __init__(self, config: SwinIRConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SwinIRConfig()
        dim, features = config.embed_dim, config.features
        self.conv_first = nn.Sequential(nn.PixelUnshuffle(config.scale), conv3(3 * config.scale**2, dim))
        self.patch_embed = TokenNorm(dim)
        self.layers = nn.ModuleList(
            Group(config, depth, heads) for depth, heads in zip(config.depths, config.num_heads, strict=True)
        )
        self.norm = nn.LayerNorm(dim)
        self.conv_after_body = conv3(dim, dim)
        self.conv_before_upsample = nn.Sequential(conv3(dim, features), nn.LeakyReLU(inplace=True))
        for number in range(1, config.doublings + 1):
            self.add_module(f"conv_up{number}", UpsampleConv(features, features))
        self.conv_hr = conv3(features, features)
        self.conv_last = conv3(features, 3)

    def forward(self, x: Tensor) -> Tensor:
        unit = self.config.scale * self.config.window
        if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] % unit or x.shape[3] % unit or not x.numel():
            raise ValueError(f"expected (B, 3, H, W) with H and W multiples of {unit}, got {tuple(x.shape)}")
        mean = x.new_tensor(MEAN).view(1, 3, 1, 1)
        first = self.conv_first(x - mean)
        h = self.conv_after_body(self.body(first)) + first
        h = self.conv_before_upsample(h)
        for number in range(1, self.config.doublings + 1):
            h = F.leaky_relu(self.get_submodule(f"conv_up{number}")(h), 0.2, inplace=True)
        return self.conv_last(F.leaky_relu(self.conv_hr(h), 0.2, inplace=True)) + mean  # type: ignore[no-any-return]

    def body(self, x: Tensor) -> Tensor:
        """The transformer: (B, C, H, W) -> the same, all groups and norms."""
        height, width = x.shape[2:]
        other = (height, width) != (self.config.img_size,) * 2 and self.config.shift > 0
        mask = shift_mask(height, width, self.config.window, self.config.shift).to(x.device) if other else None
        tokens = self.patch_embed(x.flatten(2).transpose(1, 2))
        for group in self.layers:
            tokens = group(tokens, height, width, mask)
        return as_picture(self.norm(tokens), height, width)


class TokenNorm(nn.Module):
    """A LayerNorm under the name ``norm``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)  # type: ignore[no-any-return]


class Group(nn.Module):
    """Blocks, a 3x3 convolution, and the input added. ``mask``: see ``Block``."""

    def __init__(self, config: SwinIRConfig, depth: int, heads: int) -> None:
        super().__init__()
        blocks = (Block(config, heads, config.shift if index % 2 else 0) for index in range(depth))
        self.residual_group = nn.ModuleDict({"blocks": nn.ModuleList(blocks)})
        self.conv = conv3(config.embed_dim, config.embed_dim)

    def forward(self, x: Tensor, height: int, width: int, mask: Tensor | None) -> Tensor:
        h = x
        for block in self.residual_group.get_submodule("blocks").children():
            h = block(h, height, width, mask)
        return x + self.conv(as_picture(h, height, width)).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention within windows, then two linear layers; each behind a LayerNorm, each with its input added.

    With a ``shift`` the windows lie across those of the block before. ``mask`` stands in for the stored one where the
    picture has another size.
    """

    attn_mask: Tensor | None

    def __init__(self, config: SwinIRConfig, heads: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = config.window, shift
        self.norm1 = nn.LayerNorm(config.embed_dim)
        self.attn = WindowAttention(config.embed_dim, heads, config.window)
        self.norm2 = nn.LayerNorm(config.embed_dim)
        linear = {
            "fc1": nn.Linear(config.embed_dim, config.mlp_dim),
            "fc2": nn.Linear(config.mlp_dim, config.embed_dim),
        }
        self.mlp = nn.ModuleDict(linear)
        stored = shift_mask(config.img_size, config.img_size, config.window, shift) if shift else None
        self.register_buffer("attn_mask", stored)

    def forward(self, x: Tensor, height: int, width: int, mask: Tensor | None) -> Tensor:
        x = x + self.attend(self.norm1(x), height, width, mask if self.shift and mask is not None else self.attn_mask)
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))  # type: ignore[no-any-return]

    def attend(self, x: Tensor, height: int, width: int, mask: Tensor | None) -> Tensor:
        """Attention between the tokens of each window, in the picture rolled by the shift."""
        grid = x.view(x.shape[0], height, width, -1)
        if self.shift:
            grid = grid.roll((-self.shift, -self.shift), dims=(1, 2))
        grid = join(self.attn(split(grid, self.window), mask), self.window, height, width)
        if self.shift:
            grid = grid.roll((self.shift, self.shift), dims=(1, 2))
        return grid.reshape(x.shape)


class WindowAttention(nn.Module):
    """Self-attention in windows (B N, window^2, C), with a learned bias for each offset between two places.

    ``mask`` (N, window^2, window^2) is added to the logits of the N windows of each picture.
    """

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", offsets(window))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        windows, places, channels = x.shape
        q, k, v = self.qkv(x).view(windows, places, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        if mask is not None:  # windows to the heads, so that a picture's bias serves the whole batch
            bias = (bias + mask[:, None]).flatten(0, 1)
            q, k, v = (t.reshape(-1, len(bias), places, channels // self.heads) for t in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, bias[None].to(q.dtype))
        mixed = mixed.reshape(windows, self.heads, places, -1).transpose(1, 2).reshape(x.shape)
        return self.proj(mixed)  # type: ignore[no-any-return]


def offsets(window: int) -> Tensor:
    """(window^2, window^2) int64: the row of the bias table for query (rows) and key (columns)."""
    place = torch.arange(window**2)
    row, column = place // window, place % window
    dy, dx = row[:, None] - row[None], column[:, None] - column[None]
    return (dy + window - 1) * (2 * window - 1) + dx + window - 1


def shift_mask(height: int, width: int, window: int, shift: int) -> Tensor:
    """(windows, window^2, window^2): 0, or ``OUTSIDE`` between places that the roll by ``shift`` has brought together.

    ``height``, ``width`` in tokens.
    """
    rows, columns = ((torch.arange(n) >= n - window).int() + (torch.arange(n) >= n - shift) for n in (height, width))
    region = split((3 * rows[:, None] + columns[None])[None, :, :, None], window).squeeze(-1)
    return torch.where(region[:, :, None] == region[:, None, :], 0.0, OUTSIDE)


def split(grid: Tensor, window: int) -> Tensor:
    """(B, H, W, C) -> its windows (B H W / window^2, window^2, C), row by row."""
    b, height, width, channels = grid.shape
    parts = grid.view(b, height // window, window, width // window, window, channels)
    return parts.transpose(2, 3).reshape(-1, window**2, channels)


def join(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """The reverse of ``split``: (B, height, width, C)."""
    parts = windows.view(-1, height // window, width // window, window, window, windows.shape[-1])
    return parts.transpose(2, 3).reshape(-1, height, width, windows.shape[-1])


def as_picture(tokens: Tensor, height: int, width: int) -> Tensor:
    """(B, H W, C) -> (B, C, H, W)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, height, width)


def read_swinir_config(tensors: Mapping[str, Tensor]) -> SwinIRConfig | None:
    """The sizes of the network of these tensors; None when they are of another."""
    block = "layers.0.residual_group.blocks.{}."
    first, last, index, hidden = (
        "conv_first.1.weight",
        "conv_last.weight",
        "attn.relative_position_index",
        "mlp.fc1.weight",
    )
    needed = (first, last, block.format(0) + index, block.format(0) + hidden)
    if any(key not in tensors for key in needed):
        return None
    heads: dict[int, dict[int, int]] = {}
    for key in tensors:
        if found := re.fullmatch(
            r"layers\.(\d+)\.residual_group\.blocks\.(\d+)\.attn\.relative_position_bias_table", key
        ):
            heads.setdefault(int(found[1]), {})[int(found[2])] = tensors[key].shape[-1]
    if 0 not in heads:
        return None
    window = round(tensors[needed[2]].shape[0] ** 0.5)
    mask = tensors.get(block.format(1) + "attn_mask")
    return SwinIRConfig(
        img_size=window if mask is None else round(mask.shape[0] ** 0.5) * window,
        embed_dim=tensors[first].shape[0],
        depths=tuple(len(heads[group]) for group in sorted(heads)),
        num_heads=tuple(next(iter(heads[group].values())) for group in sorted(heads)),
        window=window,
        mlp_dim=tensors[needed[3]].shape[0],
        scale=round((tensors[first].shape[1] / 3) ** 0.5),
        features=tensors[last].shape[1],
    )
