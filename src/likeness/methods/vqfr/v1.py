"""VQFR, first version (Gu et al., ECCV 2022). Names, and hence keys, are those of the released checkpoint.

An encoder without skip connections, a codebook, a texture decoder; beside it the main decoder, which starts from the
warped texture and takes in more of it at each size. Level 0 is the whole picture, the last level the coarsest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from likeness.methods.vqfr.warp import TextureWarp, enlarge_offset, level_name, resize
from likeness.nets.vq import Codebook, ResidualBlock, conv3, group_norm


@dataclass(frozen=True)
class V1Config:
    """The released sizes. ``widths``: channels from the full size down, halving at each step."""

    widths: tuple[int, ...] = (128, 128, 256, 256, 256, 512)
    encoder_blocks: int = 2
    decoder_blocks: int = 3
    codes: int = 1024
    code_dim: int = 256
    guide: int = 32
    groups: int = 4

    @property
    def last(self) -> int:
        return len(self.widths) - 1

    def finer(self) -> Iterator[tuple[int, int, int]]:
        """(level, channels of the next coarser level, channels) from the last but one level to the first."""
        for level in reversed(range(self.last)):
            yield level, self.widths[level + 1], self.widths[level]


class Shrink(nn.Module):
    """Bilinear to 1 / ``factor`` of the size, then a 3x3 convolution."""

    def __init__(self, inputs: int, outputs: int, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        self.conv = conv3(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(resize(x, 1 / self.factor))  # type: ignore[no-any-return]


class Grow(nn.Module):
    """A 3x3 convolution, then bilinear to twice the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = conv3(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return resize(self.conv(x), 2.0)


def _residual(inputs: int, outputs: int) -> ResidualBlock:
    return ResidualBlock(inputs, outputs, "shortcut_conv")


def _head(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(group_norm(inputs), nn.SiLU(inplace=True), conv3(inputs, outputs))


class Encoder(nn.Module):
    """(B, 3, H, W) -> (B, widths[-1], H / 32, W / 32)."""

    def __init__(self, config: V1Config) -> None:
        super().__init__()
        widths = config.widths
        self.conv_in = conv3(3, widths[0])
        self.pre_downsample_dict = nn.ModuleDict(
            {level_name(level): Shrink(widths[level - 1], widths[level]) for level in range(1, len(widths))}
        )
        self.encoder_dict = nn.ModuleDict(
            {level_name(i): nn.Sequential(*(_residual(w, w) for _ in range(config.encoder_blocks)))
             for i, w in enumerate(widths)}
        )  # fmt: skip
        self.enc_convout_dict = nn.ModuleDict({level_name(config.last): _head(widths[-1], widths[-1])})

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for name, blocks in self.encoder_dict.items():
            if name in self.pre_downsample_dict:
                x = self.pre_downsample_dict[name](x)
            x = blocks(x)
        (head,) = self.enc_convout_dict.values()
        return head(x)  # type: ignore[no-any-return]


class Quantiser(Codebook):
    """A codebook between two 1x1 convolutions, from and to ``width`` channels."""

    def __init__(self, width: int, codes: int, dim: int) -> None:
        super().__init__(codes, dim)
        self.quant_conv = nn.Conv2d(width, dim, 1)
        self.post_quant_conv = nn.Conv2d(dim, width, 1)


class TextureDecoder(nn.Module):
    """(B, widths[-1], h, w) -> the feature map of each level, coarsest first; ``conv_out`` paints the last."""

    def __init__(self, config: V1Config) -> None:
        super().__init__()
        self.pre_upsample_dict = nn.ModuleDict(
            {level_name(level): Grow(before, width) for level, before, width in config.finer()}
        )
        self.decoder_dict = nn.ModuleDict(
            {level_name(i): nn.Sequential(*(_residual(w, w) for _ in range(config.decoder_blocks)))
             for i, w in reversed(list(enumerate(config.widths)))}
        )  # fmt: skip
        self.conv_out = _head(config.widths[0], 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = {}
        for name, blocks in self.decoder_dict.items():
            if name in self.pre_upsample_dict:
                x = self.pre_upsample_dict[name](x)
            x = features[name] = blocks(x)
        return features


class AlignedWarp(TextureWarp):
    """``TextureWarp`` that brings the photograph's features from the full size to its own by itself."""

    def __init__(self, level: int, width: int, guide: int, coarser: int, groups: int) -> None:
        super().__init__(width, guide, coarser, groups)
        self.downsample = Shrink(guide, guide, 2**level) if level else nn.Identity()

    def forward(self, x: Tensor, photo: Tensor, previous: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return super().forward(x, self.downsample(photo), previous)


class MainDecoder(nn.Module):
    """Texture features by level, the photograph's features and the photograph -> the face (B, 3, H, W)."""

    def __init__(self, config: V1Config) -> None:
        super().__init__()
        last, width = config.last, config.widths[-1]
        warps = {level_name(last): AlignedWarp(last, width, config.guide, 0, config.groups)}
        grow, decode = {}, {}
        for level, before, width in config.finer():
            warps[level_name(level)] = AlignedWarp(level, width, config.guide, before, config.groups)
            grow[level_name(level)] = Grow(before, width)
            decode[level_name(level)] = _residual(2 * width, width)
        self.align_func_dict = nn.ModuleDict(warps)
        self.pre_upsample_dict = nn.ModuleDict(grow)
        self.decoder_dict = nn.ModuleDict(decode)
        self.conv_out_1 = nn.Sequential(group_norm(config.widths[0]), nn.SiLU(inplace=True))
        self.conv_out = nn.Sequential(conv3(config.widths[0] + 3, 3))

    def forward(self, features: Mapping[str, Tensor], photo: Tensor, lq: Tensor) -> Tensor:
        coarsest, *finer = self.align_func_dict
        x, offset = self.align_func_dict[coarsest](features[coarsest], photo)
        for name in finer:
            warped, offset = self.align_func_dict[name](features[name], photo, enlarge_offset(offset))
            x = self.decoder_dict[name](torch.cat([self.pre_upsample_dict[name](x), warped], dim=1))
        x = self.conv_out_1(x)
        return self.conv_out(torch.cat([x, lq.to(x)], dim=1))  # type: ignore[no-any-return]


class VQFRv1(nn.Module):
    """``forward(x)``: (B, 3, H, W) RGB in [-1, 1], H and W multiples of 32 -> the face restored, not clipped."""

    def __init__(self, config: V1Config | None = None) -> None:
        super().__init__()
        self.config = config = config or V1Config()
        self.encoder = Encoder(config)
        quantiser = Quantiser(config.widths[-1], config.codes, config.code_dim)
        self.quantizer = nn.ModuleDict({"quantize_dict": nn.ModuleDict({level_name(config.last): quantiser})})
        self.decoder = TextureDecoder(config)
        self.inpfeat_extraction = nn.Sequential(OrderedDict(conv=conv3(3, config.guide)))
        self.main_decoder = MainDecoder(config)

    @property
    def quantiser(self) -> Quantiser:
        (quantiser,) = self.quantizer["quantize_dict"].children()
        assert isinstance(quantiser, Quantiser)
        return quantiser

    def encode(self, x: Tensor) -> Tensor:
        """The picture -> the index of the code at each place (B, H / 32, W / 32)."""
        return self.quantiser.nearest(self.quantiser.quant_conv(self.encoder(x)))

    def texture(self, index: Tensor) -> dict[str, Tensor]:
        """The texture decoder's features of these codes, by level."""
        return self.decoder(self.quantiser.post_quant_conv(self.quantiser.look_up(index)))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        return self.main_decoder(self.texture(self.encode(x)), self.inpfeat_extraction(x), x)  # type: ignore[no-any-return]


def read_v1(tensors: Mapping[str, Tensor]) -> V1Config | None:
    """The sizes of the network of these tensors; None when they are of another."""
    marks = ("main_decoder.align_func_dict.Level_1.dcn.conv_offset.weight", "inpfeat_extraction.conv.weight")
    codebooks = [key for key in tensors if key.startswith("quantizer.") and key.endswith(".embedding.weight")]
    if any(key not in tensors for key in marks) or len(codebooks) != 1:
        return None
    codes, code_dim = tensors[codebooks[0]].shape
    widths: list[int] = []
    while (key := f"encoder.encoder_dict.{level_name(len(widths))}.0.conv1.weight") in tensors:
        widths.append(tensors[key].shape[0])
    return V1Config(
        widths=tuple(widths),
        encoder_blocks=_count(tensors, "encoder.encoder_dict.Level_1."),
        decoder_blocks=_count(tensors, "decoder.decoder_dict.Level_1."),
        codes=codes,
        code_dim=code_dim,
        guide=tensors[marks[1]].shape[0],
        groups=tensors[marks[0]].shape[0] // 27,
    )


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    return sum(key.startswith(prefix) and key.endswith(".conv1.weight") for key in tensors)
