"""The network of RestoreFormer (Wang et al. 2022) and RestoreFormer++ (Wang et al. 2023).

A vector-quantised autoencoder whose decoder asks the encoder: in its attention blocks the query comes from the
degraded face, key and value from the face that the codebook gives. Names, and hence keys, are the released ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from likeness.nets.vq import (
    Codebook,
    Downsample,
    ResidualBlock,
    Upsample,
    attend,
    conv3,
    group_norm,
    norm_swish,
)


@dataclass(frozen=True)
class RestoreFormerConfig:
    """The released sizes of RestoreFormer; RestoreFormer++ has ``heads=4`` and ``asking=2``.

    ``widths``: channels from the full size down, halving at each step. ``blocks``: residual blocks per size in the
    encoder; the decoder has one more. ``asking``: at how many of the coarsest sizes the decoder attends.
    """

    widths: tuple[int, ...] = (64, 128, 128, 256, 256, 512)
    blocks: int = 2
    heads: int = 8
    asking: int = 1
    codes: int = 1024
    code_dim: int = 256


class MultiHeadAttentionBlock(nn.Module):
    """``forward(x, y)``: attention over the places of ``x``, asked by ``y`` (default: ``x``); ``x`` is added.

    ``norm2`` is of ``y``; blocks that only ever see one map have it too, since the released files do.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = group_norm(channels)
        self.norm2 = group_norm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.norm1(x)
        query = h if y is None else self.norm2(y)
        mixed = attend(self.q(query), self.k(h), self.v(h), self.heads)
        return x + self.proj_out(mixed)  # type: ignore[no-any-return]


class Level(nn.Module):
    """What happens at one size: residual blocks, each followed by attention where there is any, then a resampling.

    ``forward(x, y)`` gives the map before the resampling; the caller resamples.
    """

    def __init__(self, inputs: int, width: int, blocks: int, heads: int = 0) -> None:
        super().__init__()
        self.block = nn.ModuleList(_residual(inputs if i == 0 else width, width) for i in range(blocks))
        self.attn = nn.ModuleList(MultiHeadAttentionBlock(width, heads) for _ in range(blocks if heads else 0))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        for index, block in enumerate(self.block):
            x = block(x)
            if len(self.attn):
                x = self.attn[index](x, y)
        return x


class Middle(nn.Module):
    """The blocks at the coarsest size: residual, attention, residual. The caller runs them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.block_1 = _residual(width, width)
        self.attn_1 = MultiHeadAttentionBlock(width, heads)
        self.block_2 = _residual(width, width)


def _residual(inputs: int, outputs: int) -> ResidualBlock:
    return ResidualBlock(inputs, outputs, "nin_shortcut")


class Encoder(nn.Module):
    """(B, 3, H, W) -> (B, code_dim, H / 32, W / 32), and for each of the decoder's questions the map that asks."""

    def __init__(self, config: RestoreFormerConfig) -> None:
        super().__init__()
        widths, last = config.widths, config.widths[-1]
        self.asking = range(len(widths) - config.asking, len(widths))
        self.conv_in = conv3(3, widths[0])
        self.down = nn.ModuleList()
        before = widths[0]
        for index, width in enumerate(widths):
            coarsest = index == len(widths) - 1
            level = Level(before, width, config.blocks, config.heads if coarsest else 0)
            if not coarsest:
                level.add_module("downsample", Downsample(width))
            self.down.append(level)
            before = width
        self.mid = Middle(last, config.heads)
        self.norm_out = group_norm(last)
        self.conv_out = conv3(last, config.code_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[int | str, Tensor]]:
        asks: dict[int | str, Tensor] = {}
        x = self.conv_in(x)
        for index, level in enumerate(self.down):
            x = level(x)
            if index in self.asking:
                asks[index] = x
            if index < len(self.down) - 1:
                x = level.get_submodule("downsample")(x)
        x = self.mid.block_1(x)
        asks[len(self.down) - 1] = x  # the coarsest size asks with this, rather than with the map of its level
        x = asks["mid"] = self.mid.block_2(self.mid.attn_1(x))
        return self.conv_out(norm_swish(self.norm_out, x)), asks


class Decoder(nn.Module):
    """(B, code_dim, h, w) and the encoder's maps -> (B, 3, 32 h, 32 w)."""

    def __init__(self, config: RestoreFormerConfig) -> None:
        super().__init__()
        widths, last = config.widths, config.widths[-1]
        self.conv_in = conv3(config.code_dim, last)
        self.mid = Middle(last, config.heads)
        levels = []
        for index, width in enumerate(widths):
            before = widths[min(index + 1, len(widths) - 1)]
            asks = index >= len(widths) - config.asking
            level = Level(before, width, config.blocks + 1, config.heads if asks else 0)
            if index:
                level.add_module("upsample", Upsample(width))
            levels.append(level)
        self.up = nn.ModuleList(levels)
        self.norm_out = group_norm(widths[0])
        self.conv_out = conv3(widths[0], 3)

    def forward(self, x: Tensor, asks: Mapping[int | str, Tensor]) -> Tensor:
        x = self.mid.block_1(self.conv_in(x))
        x = self.mid.block_2(self.mid.attn_1(x, asks["mid"]))
        for index in reversed(range(len(self.up))):
            level = self.up[index]
            x = level(x, asks.get(index))
            if index:
                x = level.get_submodule("upsample")(x)
        return self.conv_out(norm_swish(self.norm_out, x))  # type: ignore[no-any-return]


class RestoreFormerNet(nn.Module):
    """``forward(x)``: (B, 3, H, W) RGB in [-1, 1], H and W multiples of 32 -> the face restored, not clipped."""

    def __init__(self, config: RestoreFormerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RestoreFormerConfig()
        self.encoder = Encoder(config)
        self.quant_conv = nn.Conv2d(config.code_dim, config.code_dim, 1)
        self.quantize = Codebook(config.codes, config.code_dim)
        self.post_quant_conv = nn.Conv2d(config.code_dim, config.code_dim, 1)
        self.decoder = Decoder(config)

    def encode(self, x: Tensor) -> tuple[Tensor, dict[int | str, Tensor]]:
        """The picture -> the index of the code at each place (B, H / 32, W / 32), and the maps that will ask."""
        z, asks = self.encoder(x)
        return self.quantize.nearest(self.quant_conv(z)), asks

    def decode(self, index: Tensor, asks: Mapping[int | str, Tensor]) -> Tensor:
        """The picture that the codes and the encoder's maps make."""
        return self.decoder(self.post_quant_conv(self.quantize.look_up(index)), asks)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(*self.encode(x))


def released_tensors(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The network's tensors out of a released file.

    The authors' files are checkpoints of a training run: "state_dict", in it the network under "vqvae." beside
    losses and discriminators. The copy that GFPGAN releases holds it plainly under "params_ema" or "params".
    """
    names = ("state_dict", "params_ema", "params")
    held = next((checkpoint[name] for name in names if isinstance(checkpoint.get(name), Mapping)), checkpoint)
    tensors = {key: value for key, value in held.items() if isinstance(value, Tensor)}
    prefix = "vqvae."
    inner = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
    return inner or tensors


def read_config(tensors: Mapping[str, Tensor], heads: int) -> RestoreFormerConfig | None:
    """The sizes of the network of these tensors; None when they are not of this family. ``heads`` cannot be read."""
    needed = ("encoder.down.0.block.0.conv1.weight", "decoder.mid.attn_1.norm2.weight", "quantize.embedding.weight")
    if any(key not in tensors for key in needed):
        return None

    def first(pattern: str) -> list[int]:
        """Sizes of the first axis of the tensors ``pattern`` with 0, 1, 2 ... in it."""
        sizes: list[int] = []
        while (key := pattern.format(len(sizes))) in tensors:
            sizes.append(tensors[key].shape[0])
        return sizes

    widths = first("encoder.down.{}.block.0.conv1.weight")
    codes, code_dim = tensors["quantize.embedding.weight"].shape
    return RestoreFormerConfig(
        widths=tuple(widths),
        blocks=len(first("encoder.down.0.block.{}.conv1.weight")),
        heads=heads,
        asking=sum(f"decoder.up.{level}.attn.0.q.weight" in tensors for level in range(len(widths))),
        codes=codes,
        code_dim=code_dim,
    )
