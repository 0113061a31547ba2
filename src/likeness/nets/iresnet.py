"""ArcFace's IResNet: who is it, as 512 numbers (Deng, Guo, Xue, Zafeiriou, CVPR 2019).

Names, and hence keys, are those of the authors' PyTorch module.
"""

from __future__ import annotations

from torch import Tensor, nn

SIDE = 112  # pixels of an aligned chip
DEPTHS = {"r18": (2, 2, 2, 2), "r50": (3, 4, 14, 3), "r100": (3, 13, 30, 3)}
WIDTHS = (64, 128, 256, 512)


class Block(nn.Module):
    """Norm, convolution, norm, PReLU, convolution (with the stride), norm, around a shortcut; nothing after the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        h = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        h = self.bn3(self.conv2(h))
        return h + (x if self.downsample is None else self.downsample(x))  # type: ignore[no-any-return]


class IResNet(nn.Module):
    """``forward(x)``: (B, 3, side, side) RGB in [-1, 1], aligned -> (B, features), not of unit length.

    ``IResNet(DEPTHS["r50"])`` is the published ResNet-50. ``side`` is a multiple of 16.
    """

    def __init__(
        self,
        depths: tuple[int, ...] = DEPTHS["r50"],
        widths: tuple[int, ...] = WIDTHS,
        features: int = 512,
        side: int = SIDE,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.prelu = nn.PReLU(widths[0])
        levels = []
        before = widths[0]
        for width, depth in zip(widths, depths, strict=True):
            levels.append(nn.Sequential(Block(before, width, 2), *(Block(width, width, 1) for _ in range(1, depth))))
            before = width
        self.layer1, self.layer2, self.layer3, self.layer4 = levels
        self.bn2 = nn.BatchNorm2d(before)
        self.fc = nn.Linear(before * (side // 16) ** 2, features)
        self.features = nn.BatchNorm1d(features)

    def forward(self, x: Tensor) -> Tensor:
        h = self.prelu(self.bn1(self.conv1(x)))
        h = self.layer4(self.layer3(self.layer2(self.layer1(h))))
        return self.features(self.fc(self.bn2(h).flatten(1)))  # type: ignore[no-any-return]
