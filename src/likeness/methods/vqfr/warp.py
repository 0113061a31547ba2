"""VQFR's texture warping: features of the codebook are moved to where the photograph has them (Gu et al. 2022)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.deform_conv import ModulatedDeformConv
from likeness.nets.vq import conv3, group_norm


def level_name(level: int) -> str:
    """The released name of a size: "Level_1" is the whole picture, "Level_32" one of 32 times fewer rows."""
    return f"Level_{2**level}"


def resize(x: Tensor, factor: float) -> Tensor:
    """Bilinear, pixel centres aligned as areas, no antialiasing (so does the authors' training)."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class TextureWarp(nn.Module):
    """``forward(x, photo, previous)`` -> the feature map ``x`` (B, C, h, w) warped, and the offset feature.

    ``photo`` (B, guide, h, w) is what the degraded picture shows here; ``previous`` (B, coarser, h, w) is the offset
    feature of the next coarser size, brought to this one by ``enlarge_offset``.
    """

    def __init__(self, width: int, guide: int, coarser: int, groups: int) -> None:
        super().__init__()
        self.offset_conv1 = nn.Sequential(
            nn.Conv2d(guide + width, width, 1),
            group_norm(width),
            nn.SiLU(inplace=True),
            nn.Conv2d(width, width, 7, padding=3, groups=width),
            group_norm(width),
            nn.SiLU(inplace=True),
            nn.Conv2d(width, width, 1),
        )
        self.offset_conv2 = nn.Sequential(conv3(width + coarser, width), group_norm(width), nn.SiLU(inplace=True))
        self.dcn = ModulatedDeformConv(width, width, groups)

    def forward(self, x: Tensor, photo: Tensor, previous: Tensor | None = None) -> tuple[Tensor, Tensor]:
        offset = self.offset_conv1(torch.cat([photo, x], dim=1))
        if previous is not None:
            offset = torch.cat([offset, previous], dim=1)
        offset = self.offset_conv2(offset)
        return self.dcn(x, offset), offset


def enlarge_offset(offset: Tensor) -> Tensor:
    """An offset feature for the next finer size: twice the pixels, and twice the distance in pixels."""
    return resize(offset, 2.0) * 2
