"""BiSeNet for face parsing (19 classes), on a ResNet-18.

Yu et al., "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation", ECCV 2018, in the
configuration of the widely used face parsing weights (file parsing_bisenet.pth): the spatial path is the trunk's
own 1/8 level.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.resnet_trunk import resnet18


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class AttentionRefinement(nn.Module):
    """A unit whose channels are weighed by what they hold on average over the picture."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Unit(inputs, outputs)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x)
        return h * self.bn_atten(self.conv_atten(_mean(h))).sigmoid()  # type: ignore[no-any-return]


class ContextPath(nn.Module):
    """Trunk, global context and refinement -> the trunk's 1/8 level, and refined levels at 1/8 and 1/16."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = resnet18()
        self.arm16 = AttentionRefinement(256, 128)
        self.arm32 = AttentionRefinement(512, 128)
        self.conv_head32 = Unit(128, 128)
        self.conv_head16 = Unit(128, 128)
        self.conv_avg = Unit(512, 128, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        eighth, sixteenth, coarse = self.resnet(x)
        context = self.arm32(coarse) + self.conv_avg(_mean(coarse))
        context = F.interpolate(context, size=sixteenth.shape[-2:], mode="nearest")
        refined16 = self.conv_head32(context)
        context = F.interpolate(self.arm16(sixteenth) + refined16, size=eighth.shape[-2:], mode="nearest")
        return eighth, self.conv_head16(context), refined16


class FeatureFusion(nn.Module):
    """Two levels of one size, fused; channels weighed by what they hold on average."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convblk = Unit(inputs, outputs, 1)
        self.conv1 = nn.Conv2d(outputs, outputs // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs // 4, outputs, 1, bias=False)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        h = self.convblk(torch.cat([spatial, context], dim=1))
        weight = self.conv2(F.relu(self.conv1(_mean(h)))).sigmoid()
        return h * weight + h  # type: ignore[no-any-return]


class Output(nn.Module):
    """A unit, then class logits."""

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        self.conv = Unit(inputs, width)
        self.conv_out = nn.Conv2d(width, classes, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))  # type: ignore[no-any-return]


class BiSeNet(nn.Module):
    """``forward(x)``: (B, 3, H, W) RGB, minus ``MEAN`` and divided by ``STD`` -> three maps of logits (B, classes,
    H, W): the result, and the auxiliary ones of the levels 1/8 and 1/16.

    ``parse(x)`` computes the first alone.
    """

    MEAN = (0.485, 0.456, 0.406)
    STD = (0.229, 0.224, 0.225)

    def __init__(self, classes: int = 19) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusion(256, 256)
        self.conv_out = Output(256, 256, classes)
        self.conv_out16 = Output(128, 64, classes)
        self.conv_out32 = Output(128, 64, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        spatial, context8, context16 = self.cp(x)
        fused = self.ffm(spatial, context8)
        maps = (self.conv_out(fused), self.conv_out16(context8), self.conv_out32(context16))
        first, second, third = (_enlarge(m, x) for m in maps)
        return first, second, third

    def parse(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) as for ``forward`` -> class logits (B, classes, H, W)."""
        spatial, context, _ = self.cp(x)
        return _enlarge(self.conv_out(self.ffm(spatial, context)), x)


def _mean(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3), keepdim=True)


def _enlarge(logits: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(logits, size=like.shape[-2:], mode="bilinear", align_corners=True)
