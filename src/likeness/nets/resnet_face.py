"""The network behind "Deg", the angle between identities that VQFR and PMRF report: a ResNet-18 for gray faces.

Names, and hence keys, are those of the released file without its ``module.``; there is no squeeze and excitation.
"""

from __future__ import annotations

from torch import Tensor, nn

SIDE = 128  # pixels of the gray picture; it is not aligned


class Block(nn.Module):
    """Norm, convolution, norm, PReLU, convolution (with the stride), norm, around a shortcut; then the same PReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.prelu = nn.PReLU()
        self.conv2 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        h = self.prelu(self.bn1(self.conv1(self.bn0(x))))
        h = self.bn2(self.conv2(h))
        return self.prelu(h + (x if self.downsample is None else self.downsample(x)))  # type: ignore[no-any-return]


class ResNetFace18(nn.Module):
    """``forward(x)``: (B, 1, side, side) gray in [-1, 1] -> (B, features), not of unit length.

    ``side`` is a multiple of 16.
    """

    def __init__(self, width: int = 64, features: int = 512, side: int = SIDE) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU()
        self.maxpool = nn.MaxPool2d(2)
        levels = []
        before = width
        for level in range(4):
            outputs = width << level
            levels.append(nn.Sequential(Block(before, outputs, 2 if level else 1), Block(outputs, outputs, 1)))
            before = outputs
        self.layer1, self.layer2, self.layer3, self.layer4 = levels
        self.bn4 = nn.BatchNorm2d(before)
        self.fc5 = nn.Linear(before * (side // 16) ** 2, features)
        self.bn5 = nn.BatchNorm1d(features)

    def forward(self, x: Tensor) -> Tensor:
        h = self.maxpool(self.prelu(self.bn1(self.conv1(x))))
        h = self.layer4(self.layer3(self.layer2(self.layer1(h))))
        return self.bn5(self.fc5(self.bn4(h).flatten(1)))  # type: ignore[no-any-return]
