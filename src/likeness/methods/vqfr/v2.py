"""VQFR, second version (TencentARC, 2022). Names, and hence keys, are those of the released checkpoint.

The codes are predicted by a classifier rather than looked up; the texture decoder alone gives a face, and the main
branch, which follows the photograph, is added to it as much as the user wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from likeness.methods.vqfr.warp import TextureWarp, enlarge_offset, level_name, resize
from likeness.nets.vq import (
    AttentionBlock,
    Codebook,
    Downsample,
    ResidualBlock,
    Upsample,
    UpsampleConv,
    conv3,
    group_norm,
)


@dataclass(frozen=True)
class V2Config:
    """The released sizes. ``widths``: channels from the full size down, halving at each step."""

    widths: tuple[int, ...] = (64, 128, 128, 256, 256, 512)
    encoder_blocks: int = 2
    decoder_blocks: int = 2
    codes: int = 1024
    code_dim: int = 256
    guide: int = 32
    groups: int = 4


def _residual(inputs: int, outputs: int) -> ResidualBlock:
    return ResidualBlock(inputs, outputs, "residual_func")


def _level(resample: nn.Module | None, inputs: int, width: int, blocks: int, attention: bool) -> nn.Sequential:
    """A resampling unless it is None, then residual blocks, each followed by attention if asked."""
    layers: list[nn.Module] = [] if resample is None else [resample]
    for index in range(blocks):
        layers.append(_residual(width if index else inputs, width))
        if attention:
            layers.append(AttentionBlock(width))
    return nn.Sequential(*layers)


def _middle(width: int) -> nn.Sequential:
    return nn.Sequential(_residual(width, width), AttentionBlock(width), _residual(width, width))


def _head(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(group_norm(inputs), nn.SiLU(inplace=True), conv3(inputs, outputs))


class Encoder(nn.Module):
    """(B, 3, H, W) -> (B, code_dim, H / 32, W / 32)."""

    def __init__(self, config: V2Config) -> None:
        super().__init__()
        widths, blocks = config.widths, config.encoder_blocks
        self.conv_in = conv3(3, widths[0])
        levels = [_level(None, widths[0], widths[0], blocks, len(widths) == 1)]
        for index, (before, width) in enumerate(pairwise(widths), start=1):
            levels.append(_level(Downsample(before), before, width, blocks, index == len(widths) - 1))
        self.blocks = nn.Sequential(*levels)
        self.mid_blocks = _middle(widths[-1])
        self.conv_out = _head(widths[-1], config.code_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.mid_blocks(self.blocks(self.conv_in(x))))  # type: ignore[no-any-return]


class TextureDecoder(nn.Module):
    """(B, code_dim, h, w) -> the feature map of each level, coarsest first; ``conv_out`` paints the last."""

    def __init__(self, config: V2Config) -> None:
        super().__init__()
        widths, blocks = config.widths[::-1], config.decoder_blocks
        self.conv_in = conv3(config.code_dim, widths[0])
        self.mid_blocks = _middle(widths[0])
        levels = [_level(None, widths[0], widths[0], blocks, True)]
        levels += [_level(Upsample(before), before, width, blocks, False) for before, width in pairwise(widths)]
        self.blocks = nn.ModuleList(levels)
        self.conv_out = _head(widths[-1], 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.mid_blocks(self.conv_in(x))
        features = {}
        for level, block in zip(reversed(range(len(self.blocks))), self.blocks, strict=True):
            x = features[level_name(level)] = block(x)
        return features


class MainBranch(nn.Module):
    """Texture features by level and the photograph's features (B, guide, H, W) -> (B, widths[0], H, W)."""

    def __init__(self, config: V2Config) -> None:
        super().__init__()
        widths, last = config.widths, len(config.widths) - 1
        warps = {level_name(last): TextureWarp(widths[-1], config.guide, 0, config.groups)}
        grow, decode = {}, {}
        for level in reversed(range(last)):
            name, before, width = level_name(level), widths[level + 1], widths[level]
            warps[name] = TextureWarp(width, config.guide, before, config.groups)
            # the released first entry repeats the pixels and has no tensors: here the convolution does that
            grow[name] = nn.Sequential(nn.Identity(), UpsampleConv(before, width))
            decode[name] = _residual(2 * width, width)
        self.align_func_dict = nn.ModuleDict(warps)
        self.pre_upsample_dict = nn.ModuleDict(grow)
        self.decoder_dict = nn.ModuleDict(decode)

    def forward(self, features: Mapping[str, Tensor], photo: Tensor) -> Tensor:
        coarsest, *finer = self.align_func_dict

        def seen(name: str) -> Tensor:
            return resize(photo, features[name].shape[-1] / photo.shape[-1])

        x, offset = self.align_func_dict[coarsest](features[coarsest], seen(coarsest))
        for name in finer:
            warped, offset = self.align_func_dict[name](features[name], seen(name), enlarge_offset(offset))
            x = self.decoder_dict[name](torch.cat([self.pre_upsample_dict[name](x), warped], dim=1))
        return x  # type: ignore[no-any-return]


class VQFRv2(nn.Module):
    """``forward(x, fidelity)``: (B, 3, H, W) RGB in [-1, 1], H and W multiples of 32 -> the face, not clipped.

    ``fidelity`` 0 is the texture decoder alone, which is all that then runs; 1 adds the whole main branch.
    """

    def __init__(self, config: V2Config | None = None) -> None:
        super().__init__()
        self.config = config = config or V2Config()
        self.encoder = Encoder(config)
        self.feat2index = nn.Sequential(nn.LayerNorm(config.code_dim), nn.Linear(config.code_dim, config.codes))
        self.quantizer = Codebook(config.codes, config.code_dim)
        self.decoder = TextureDecoder(config)
        self.inpfeat_extraction = conv3(3, config.guide)
        self.main_branch = MainBranch(config)

    def encode(self, x: Tensor) -> Tensor:
        """The picture -> the index of the code at each place (B, H / 32, W / 32).

        Classified in float32 under autocast too, since half precision would choose other codes.
        """
        z = self.encoder(x)
        with torch.autocast(z.device.type, enabled=False):
            return self.feat2index(z.float().permute(0, 2, 3, 1)).argmax(-1)  # type: ignore[no-any-return]

    def forward(self, x: Tensor, fidelity: float = 1.0) -> Tensor:
        features = self.decoder(self.quantizer.look_up(self.encode(x)))
        feature = features[level_name(0)]
        if fidelity > 0:
            feature = feature + fidelity * self.main_branch(features, self.inpfeat_extraction(x))
        return self.decoder.conv_out(feature)  # type: ignore[no-any-return]


def read_v2(tensors: Mapping[str, Tensor]) -> V2Config | None:
    """The sizes of the network of these tensors; None when they are of another."""
    offsets, guide = "main_branch.align_func_dict.Level_1.dcn.conv_offset.weight", "inpfeat_extraction.weight"
    if any(key not in tensors for key in (offsets, guide, "quantizer.embedding.weight")):
        return None
    widths: list[int] = []
    while (key := f"main_branch.align_func_dict.{level_name(len(widths))}.dcn.weight") in tensors:
        widths.append(tensors[key].shape[0])
    codes, code_dim = tensors["quantizer.embedding.weight"].shape
    return V2Config(
        widths=tuple(widths),
        encoder_blocks=_count(tensors, "encoder.blocks.0."),
        decoder_blocks=_count(tensors, "decoder.blocks.0."),
        codes=codes,
        code_dim=code_dim,
        guide=tensors[guide].shape[0],
        groups=tensors[offsets].shape[0] // 27,
    )


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    return sum(key.startswith(prefix) and key.endswith(".conv1.weight") for key in tensors)
