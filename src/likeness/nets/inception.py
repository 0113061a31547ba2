"""Inception v3 as FID uses it (Szegedy et al., CVPR 2016; TensorFlow's graph of 2015-12-05 with 1008 classes).

Names, and hence keys, are torchvision's. It differs from torchvision's in the pooling branches: the averages leave the
padding out, and ``Mixed_7c`` takes the maximum.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 299  # pixels of the picture it was trained on
FEATURES = 2048
Size = int | tuple[int, int]


class Unit(nn.Module):
    """Convolution, norm, ReLU; height and width stay unless ``padded`` is false."""

    def __init__(self, inputs: int, outputs: int, size: Size = 1, stride: int = 1, padded: bool = True) -> None:
        super().__init__()
        height, width = (size, size) if isinstance(size, int) else size
        padding = (height // 2, width // 2) if padded else 0
        self.conv = nn.Conv2d(inputs, outputs, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.bn(self.conv(x)))


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False)


class MixedA(nn.Module):
    """``Mixed_5b`` to ``5d``: 35 x 35 places, 224 + ``pool`` channels."""

    def __init__(self, inputs: int, pool: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(inputs, 64)
        self.branch5x5_1, self.branch5x5_2 = Unit(inputs, 48), Unit(48, 64, 5)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(inputs, 64), Unit(64, 96, 3)
        self.branch3x3dbl_3 = Unit(96, 96, 3)
        self.branch_pool = Unit(inputs, pool)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(_average(x))], dim=1)


class MixedB(nn.Module):
    """``Mixed_6a``: from 35 x 35 to 17 x 17 places, 768 channels."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = Unit(inputs, 384, 3, 2, padded=False)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(inputs, 64), Unit(64, 96, 3)
        self.branch3x3dbl_3 = Unit(96, 96, 3, 2, padded=False)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], dim=1)


class MixedC(nn.Module):
    """``Mixed_6b`` to ``6e``: 17 x 17 places, 768 channels; ``width`` is that of the 7 x 7 branches inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        row, column = (1, 7), (7, 1)
        self.branch1x1 = Unit(768, 192)
        self.branch7x7_1, self.branch7x7_2 = Unit(768, width), Unit(width, width, row)
        self.branch7x7_3 = Unit(width, 192, column)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = Unit(768, width), Unit(width, width, column)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = Unit(width, width, row), Unit(width, width, column)
        self.branch7x7dbl_5 = Unit(width, 192, row)
        self.branch_pool = Unit(768, 192)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(_average(x))], dim=1)


class MixedD(nn.Module):
    """``Mixed_7a``: from 17 x 17 to 8 x 8 places, 1280 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Unit(768, 192), Unit(192, 320, 3, 2, padded=False)
        self.branch7x7x3_1, self.branch7x7x3_2 = Unit(768, 192), Unit(192, 192, (1, 7))
        self.branch7x7x3_3, self.branch7x7x3_4 = Unit(192, 192, (7, 1)), Unit(192, 192, 3, 2, padded=False)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, 2)], dim=1)


class MixedE(nn.Module):
    """``Mixed_7b`` and ``7c``: 8 x 8 places, 2048 channels; ``maximum`` says which pooling."""

    def __init__(self, inputs: int, maximum: bool) -> None:
        super().__init__()
        row, column = (1, 3), (3, 1)
        self.maximum = maximum
        self.branch1x1 = Unit(inputs, 320)
        self.branch3x3_1 = Unit(inputs, 384)
        self.branch3x3_2a, self.branch3x3_2b = Unit(384, 384, row), Unit(384, 384, column)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(inputs, 448), Unit(448, 384, 3)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = Unit(384, 384, row), Unit(384, 384, column)
        self.branch_pool = Unit(inputs, 192)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, padding=1) if self.maximum else _average(x)
        found = [self.branch1x1(x), self.branch3x3_2a(three), self.branch3x3_2b(three)]
        found += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(pooled)]
        return torch.cat(found, dim=1)


class FIDInception(nn.Module):
    """``forward(x)``: (B, 3, 299, 299) RGB, scaled as the variant of FID wants (``measure.frechet``) -> (B, 2048)."""

    def __init__(self, classes: int = 1008) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, 2, padded=False)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3)
        self.Conv2d_3b_1x1 = Unit(64, 80)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3, padded=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = MixedA(192, 32), MixedA(256, 64), MixedA(288, 64)
        self.Mixed_6a = MixedB(288)
        self.Mixed_6b, self.Mixed_6c = MixedC(128), MixedC(160)
        self.Mixed_6d, self.Mixed_6e = MixedC(160), MixedC(192)
        self.Mixed_7a = MixedD()
        self.Mixed_7b, self.Mixed_7c = MixedE(1280, maximum=False), MixedE(FEATURES, maximum=True)
        self.fc = nn.Linear(FEATURES, classes)  # in the released file; the Inception score needs it

    def blocks(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The maps behind the stem's two poolings (64 and 192 channels), behind ``Mixed_6e`` (768), and the last."""
        first = F.max_pool2d(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))), 3, 2)
        second = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(first)), 3, 2)
        third = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(second))))
        third = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(third))))
        return first, second, third, self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(third)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)[-1].mean(dim=(2, 3))
