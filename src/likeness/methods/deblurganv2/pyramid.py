"""What the two networks of DeblurGAN-v2 share: the feature pyramid over a backbone, and the heads that read it.

Kupyn et al., DeblurGAN-v2: Deblurring (Orders-of-Magnitude) Faster and Better (ICCV 2019). The official script runs
them in training mode, so every norm uses the statistics of the picture itself: see ``PictureNorm``. For the same
reason a part of a picture, or a picture with another border, does not give the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.picture_norm import PictureNorm

NO_BORDER = (0, 0, 0, 0)


def conv_norm(inputs: int, outputs: int) -> nn.Sequential:
    """3x3 convolution, norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), PictureNorm(outputs, affine=False), nn.ReLU(inplace=True)
    )


class Pyramid(nn.Module):
    """Maps of a backbone at 1/2, 1/4, ..., 1/32 of the picture, each enriched by the coarser ones.

    ``stages``: the five parts of the backbone; ``channels``: what they give; ``borders``: by how much (left, right,
    top, bottom) their maps fall short of these sizes, to be reflected.
    """

    def __init__(
        self,
        stages: Sequence[nn.Module],
        channels: Sequence[int],
        width: int,
        borders: Sequence[tuple[int, int, int, int]] = (NO_BORDER,) * 5,
    ) -> None:
        super().__init__()
        self.borders = tuple(borders)
        for k, (stage, inputs) in enumerate(zip(stages, channels, strict=True)):
            self.add_module(f"enc{k}", stage)
            self.add_module(f"lateral{k}", nn.Conv2d(inputs, width if k else width // 2, 1, bias=False))
        for k in (1, 2, 3):
            self.add_module(f"td{k}", conv_norm(width, width))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> the maps at 1/2 (half the channels), 1/4, 1/8, 1/16 and 1/32."""
        laterals = []
        for k, border in enumerate(self.borders):
            x = self.get_submodule(f"enc{k}")(x)
            lateral = self.get_submodule(f"lateral{k}")(x)
            laterals.append(lateral if border == NO_BORDER else F.pad(lateral, border, mode="reflect"))
        maps = [laterals.pop()]
        for k in (1, 2, 3):
            maps.append(self.get_submodule(f"td{k}")(laterals.pop() + enlarge(maps[-1], 2)))
        return [*laterals, *reversed(maps)]


class Head(nn.Module):
    """Two convolutions on one map of the pyramid."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.block0 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.block1 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.block1(F.relu(self.block0(x))))


class Deblurrer(nn.Module):
    """``forward(x)``: (B, 3, H, W) RGB in [-1, 1], H and W multiples of 32 -> the same, sharper, in [-1, 1]."""

    def __init__(self, fpn: Pyramid, pyramid: int, width: int) -> None:
        super().__init__()
        self.fpn = fpn
        for k in (1, 2, 3, 4):
            self.add_module(f"head{k}", Head(pyramid, width))
        self.smooth = conv_norm(4 * width, width)
        self.smooth2 = conv_norm(width, width // 2)
        self.final = nn.Conv2d(width // 2, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        half, *coarser = self.fpn(x)
        heads = [enlarge(self.get_submodule(f"head{k}")(m), 2 ** (k - 1)) for k, m in enumerate(coarser, 1)]
        h = self.smooth(torch.cat(heads[::-1], dim=1))
        h = self.smooth2(enlarge(h, 2) + half)
        change = self.final(enlarge(h, 2)).tanh()
        return (x + change).clamp(-1, 1)  # type: ignore[no-any-return]


def enlarge(x: Tensor, factor: int) -> Tensor:
    """Nearest neighbour."""
    return F.interpolate(x, scale_factor=factor) if factor > 1 else x
