"""RetinaFace with a ResNet-50: for each anchor a face score, a box and five landmarks.

Deng et al., "RetinaFace: Single-Shot Multi-Level Face Localisation in the Wild", CVPR 2020, in the configuration
that the face restoration field uses (file detection_Resnet50_Final.pth). Anchors, decoding and suppression are in
``likeness.faces.retinaface``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.resnet_trunk import resnet50

ANCHORS = 2  # for each cell of each level


def _unit(inputs: int, outputs: int, size: int, activated: bool = True) -> nn.Sequential:
    """Convolution, batch norm and, if ``activated``, ReLU."""
    layers = [nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if activated else nn.Sequential(*layers)


class FeaturePyramid(nn.Module):
    """Three levels brought to one width, each coarser one added to the next finer one."""

    def __init__(self, inputs: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (_unit(channels, width, 1) for channels in inputs)
        self.merge1 = _unit(width, width, 3)
        self.merge2 = _unit(width, width, 3)

    def forward(self, levels: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        fine, middle, coarse = self.output1(levels[0]), self.output2(levels[1]), self.output3(levels[2])
        middle = self.merge2(middle + F.interpolate(coarse, size=middle.shape[-2:], mode="nearest"))
        fine = self.merge1(fine + F.interpolate(middle, size=fine.shape[-2:], mode="nearest"))
        return fine, middle, coarse


class ContextModule(nn.Module):
    """Receptive fields of 3x3, 5x5 and 7x7 side by side (Najibi et al., SSH, ICCV 2017)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half, quarter = width // 2, width // 4
        self.conv3X3 = _unit(width, half, 3, activated=False)
        self.conv5X5_1 = _unit(width, quarter, 3)
        self.conv5X5_2 = _unit(quarter, quarter, 3, activated=False)
        self.conv7X7_2 = _unit(quarter, quarter, 3)
        self.conv7x7_3 = _unit(quarter, quarter, 3, activated=False)

    def forward(self, x: Tensor) -> Tensor:
        shared = self.conv5X5_1(x)
        parts = (self.conv3X3(x), self.conv5X5_2(shared), self.conv7x7_3(self.conv7X7_2(shared)))
        return F.relu(torch.cat(parts, dim=1), inplace=True)


class Head(nn.Module):
    """``values`` numbers for each anchor: (B, C, h, w) -> (B, h * w * anchors, values), row by row."""

    def __init__(self, width: int, values: int) -> None:
        super().__init__()
        self.values = values
        self.conv1x1 = nn.Conv2d(width, ANCHORS * values, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv1x1(x).permute(0, 2, 3, 1).reshape(len(x), -1, self.values)  # type: ignore[no-any-return]


class RetinaFace(nn.Module):
    """``forward(x)``: (B, 3, H, W) BGR in 0..255 minus ``MEAN`` -> boxes (B, N, 4), scores (B, N, 2), landmarks
    (B, N, 10), all relative to the N anchors; scores are probabilities, the second that of a face.

    N = 2 * (cells of the levels at 1/8, 1/16, 1/32, each side rounded up). Any size.
    """

    MEAN = (104.0, 117.0, 123.0)  # blue, green, red

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.body = resnet50()
        self.fpn = FeaturePyramid((512, 1024, 2048), width)
        self.ssh1, self.ssh2, self.ssh3 = (ContextModule(width) for _ in range(3))
        self.ClassHead = nn.ModuleList(Head(width, 2) for _ in range(3))
        self.BboxHead = nn.ModuleList(Head(width, 4) for _ in range(3))
        self.LandmarkHead = nn.ModuleList(Head(width, 10) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        contexts = (self.ssh1, self.ssh2, self.ssh3)
        levels = [context(level) for context, level in zip(contexts, self.fpn(self.body(x)), strict=True)]

        def heads(modules: nn.ModuleList) -> Tensor:
            return torch.cat([head(level) for head, level in zip(modules, levels, strict=True)], dim=1)

        return heads(self.BboxHead), heads(self.ClassHead).softmax(dim=-1), heads(self.LandmarkHead)
