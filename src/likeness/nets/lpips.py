"""The network of LPIPS: how different two pictures look (Zhang, Isola, Efros, Shechtman, Wang, CVPR 2018), version 0.1.

Names, and hence keys, are those of the authors' module: the trunk's layers keep their numbers in AlexNet or VGG16.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

# What the pictures are shifted and scaled by after [-1, 1]: ImageNet's statistics, as the authors rounded them.
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
EPS = 1e-10  # added to the length of a feature before it is divided by it

WIDTHS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}
CUTS = {"alex": (0, 2, 5, 8, 10, 12), "vgg": (0, 4, 9, 16, 23, 30)}  # where the slices begin and end


def _alexnet() -> list[nn.Module]:
    """AlexNet's features up to the last ReLU, with torchvision's numbers."""
    a, b, c, d, e = WIDTHS["alex"]
    return [
        *(nn.Conv2d(3, a, 11, 4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(a, b, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(b, c, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(c, d, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(d, e, 3, padding=1), nn.ReLU(inplace=True)),
    ]


def _vgg16() -> list[nn.Module]:
    """VGG16's features up to the last ReLU, with torchvision's numbers."""
    layers: list[nn.Module] = []
    inputs = 3
    for width, depth in zip(WIDTHS["vgg"], (2, 2, 3, 3, 3), strict=True):
        for _ in range(depth):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return layers[:-1]


class Trunk(nn.Module):
    """``forward(x)``: (B, 3, H, W), scaled -> the features behind each of the five slices, finest first."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        layers = _alexnet() if kind == "alex" else _vgg16()
        for number, (start, end) in enumerate(pairwise(CUTS[kind]), 1):
            part = nn.Sequential()
            for index in range(start, end):
                part.add_module(str(index), layers[index])
            self.add_module(f"slice{number}", part)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for number in range(1, 6):
            x = self.get_submodule(f"slice{number}")(x)
            found.append(x)
        return found


class ScalingLayer(nn.Module):
    """[-1, 1] -> what the trunks were trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1))
        self.shift: Tensor
        self.scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.shift) / self.scale


class Weighing(nn.Module):
    """One weight for each channel: (B, C, H, W) -> (B, 1, H, W). The dropout before it works in training only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Dropout(), nn.Conv2d(width, 1, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)  # type: ignore[no-any-return]


class LPIPS(nn.Module):
    """``forward(a, b)``: two (B, 3, H, W) RGB in [-1, 1] -> (B, 1, 1, 1) distance, 0 for equal pictures.

    ``kind``: the trunk, "alex" (at least 63 pixels a side) or "vgg" (at least 16). The published number is that of
    evaluation mode. Raises ValueError for another kind.
    """

    def __init__(self, kind: str = "vgg") -> None:
        super().__init__()
        if kind not in WIDTHS:
            raise ValueError(f"kind must be one of {', '.join(WIDTHS)}, got {kind!r}")
        self.scaling_layer = ScalingLayer()
        self.net = Trunk(kind)
        lins = [Weighing(width) for width in WIDTHS[kind]]
        for index, lin in enumerate(lins):
            self.add_module(f"lin{index}", lin)
        self.lins = nn.ModuleList(lins)  # the same modules again: the authors' state dict names them twice

    def layers(self, a: Tensor, b: Tensor) -> list[Tensor]:
        """The five terms of the sum, each (B, 1, 1, 1)."""
        features = zip(self.net(self.scaling_layer(a)), self.net(self.scaling_layer(b)), self.lins, strict=True)
        return [lin((_unit(x) - _unit(y)).square()).mean(dim=(2, 3), keepdim=True) for x, y, lin in features]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.stack(self.layers(a, b)).sum(dim=0)


def _unit(x: Tensor) -> Tensor:
    """Each place's feature with length 1."""
    return x / (x.square().sum(dim=1, keepdim=True).sqrt() + EPS)
