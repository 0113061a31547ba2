"""VGG19 as DFDNet holds it: the classifier's features at four depths (Simonyan and Zisserman, ICLR 2015)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

DEPTHS = (2, 2, 4, 4, 4)  # convolutions before each pooling
SLICES = ((0, 8), (8, 17), (17, 26), (26, 35))  # they end behind conv2_2, conv3_4, conv4_4, conv5_4


class VGG19(nn.Module):
    """``features`` and ``classifier`` with the usual indices; neither is called here as a whole."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for level, depth in enumerate(DEPTHS):
            outputs = width * min(2**level, 8)
            for _ in range(depth):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        # Never used, but in the released file. 120 million numbers: not worth initialising.
        sizes = (inputs * 49, 64 * width, 64 * width, 1000)
        self.classifier = nn.Sequential()
        for index, (a, b) in zip((0, 3, 6), pairwise(sizes), strict=True):
            self.classifier.add_module(str(index), skip_init(nn.Linear, a, b))  # type: ignore[no-untyped-call]


class VggExtract(nn.Module):
    """``forward(x)``: (B, 3, H, W) RGB in [-1, 1] -> features at 1/2, 1/4, 1/8 and 1/16 of the picture.

    The first three are behind their ReLU, the last is not: every part begins with the ReLU of the one before, which
    works in place on the features that were already handed out. The released decoder expects this.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.model = VGG19(width)
        self.features = nn.ModuleList()
        for start, end in SLICES:
            part = nn.Sequential()
            for index in range(start, end):
                part.add_module(str(index), self.model.features[index])
            self.features.append(part)
        self.register_buffer("RGB_mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("RGB_std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.RGB_mean: Tensor
        self.RGB_std: Tensor

    def forward(self, x: Tensor) -> list[Tensor]:
        h = ((x + 1) / 2 - self.RGB_mean) / self.RGB_std
        found = []
        for part in self.features:
            h = part(h)
            found.append(h)
        return found
