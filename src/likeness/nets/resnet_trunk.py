"""The convolutional part of a ResNet, with the key names that published ImageNet weights use.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; the bottleneck has its stride on the 3x3
convolution, as in the usual re-implementations.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _projection(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)), inplace=True)
        h = self.bn2(self.conv2(h))
        return F.relu(h + (x if self.downsample is None else self.downsample(x)), inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut; the output is four times as wide as the middle."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)), inplace=True)
        h = F.relu(self.bn2(self.conv2(h)), inplace=True)
        h = self.bn3(self.conv3(h))
        return F.relu(h + (x if self.downsample is None else self.downsample(x)), inplace=True)


def _projection(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """The shortcut where stride or width change; else None, the identity."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNetTrunk(nn.Module):
    """``forward(x)``: (B, 3, H, W) -> the outputs of layer2, layer3, layer4 at 1/8, 1/16, 1/32 (rounded up).

    ``ResNetTrunk(Bottleneck, (3, 4, 6, 3))`` is ResNet-50 (512, 1024, 2048 channels), ``ResNetTrunk(BasicBlock,
    (2, 2, 2, 2))`` ResNet-18 (128, 256, 512). There is no pooling and no classifier at the end.
    """

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        levels = []
        channels = 64
        for level, depth in enumerate(depths):
            width = 64 << level
            blocks = [block(channels, width, 2 if level else 1)]
            channels = width * block.expansion
            blocks += [block(channels, width, 1) for _ in range(1, depth)]
            levels.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = levels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = F.relu(self.bn1(self.conv1(x)), inplace=True)
        h = self.layer1(F.max_pool2d(h, 3, 2, padding=1))
        eighth = self.layer2(h)
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


def resnet18() -> ResNetTrunk:
    """ResNet-18: 128, 256 and 512 channels."""
    return ResNetTrunk(BasicBlock, (2, 2, 2, 2))


def resnet50() -> ResNetTrunk:
    """ResNet-50: 512, 1024 and 2048 channels."""
    return ResNetTrunk(Bottleneck, (3, 4, 6, 3))
