"""DeblurGAN-v2 over Inception-ResNet-v2: the large network (Szegedy et al., Inception-v4, AAAI 2017).

The convolutions that halve a map are not padded, so the maps are a little short of 1/2, 1/4, ... of the picture; the
pyramid completes them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.deblurganv2.pyramid import Deblurrer, Pyramid
from likeness.nets.picture_norm import PictureNorm

CHANNELS = (32, 64, 192, 1088, 2080)
BORDERS = ((0, 1, 0, 1), (1, 1, 1, 1), (1, 2, 1, 2), (1, 1, 1, 1), (1, 1, 1, 1))
Size = int | tuple[int, int]


class Unit(nn.Module):
    """Convolution, norm, ReLU. Padded so that height and width stay, unless ``stride`` is 2 or ``padded`` is false."""

    def __init__(self, inputs: int, outputs: int, size: Size = 1, stride: int = 1, padded: bool = True) -> None:
        super().__init__()
        height, width = (size, size) if isinstance(size, int) else size
        padding = (height // 2, width // 2) if padded and stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, (height, width), stride, padding, bias=False)
        self.bn = PictureNorm(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.bn(self.conv(x)))


class Branches(nn.Module):
    """Ways through the block side by side, ``branch0``, ``branch1``, ..., their results concatenated."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.count = len(branches)
        for i, branch in enumerate(branches):
            self.add_module(f"branch{i}", branch)

    def side_by_side(self, x: Tensor) -> Tensor:
        return torch.cat([self.get_submodule(f"branch{i}")(x) for i in range(self.count)], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.side_by_side(x)


class Residual(Branches):
    """The branches, mixed by a 1x1 convolution, scaled, added to the input; then a ReLU."""

    def __init__(self, *branches: nn.Module, inner: int, outputs: int, scale: float) -> None:
        super().__init__(*branches)
        self.conv2d = nn.Conv2d(inner, outputs, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(torch.add(x, self.conv2d(self.side_by_side(x)), alpha=self.scale))


def _mixed_5b() -> Branches:
    return Branches(
        Unit(192, 96),
        nn.Sequential(Unit(192, 48), Unit(48, 64, 5)),
        nn.Sequential(Unit(192, 64), Unit(64, 96, 3), Unit(96, 96, 3)),
        nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), Unit(192, 64)),
    )


def _block_35() -> Residual:
    return Residual(
        Unit(320, 32),
        nn.Sequential(Unit(320, 32), Unit(32, 32, 3)),
        nn.Sequential(Unit(320, 32), Unit(32, 48, 3), Unit(48, 64, 3)),
        inner=128,
        outputs=320,
        scale=0.17,
    )


def _mixed_6a() -> Branches:
    return Branches(
        Unit(320, 384, 3, 2),
        nn.Sequential(Unit(320, 256), Unit(256, 256, 3), Unit(256, 384, 3, 2)),
        nn.MaxPool2d(3, 2),
    )


def _block_17() -> Residual:
    return Residual(
        Unit(1088, 192),
        nn.Sequential(Unit(1088, 128), Unit(128, 160, (1, 7)), Unit(160, 192, (7, 1))),
        inner=384,
        outputs=1088,
        scale=0.10,
    )


def _mixed_7a() -> Branches:
    return Branches(
        nn.Sequential(Unit(1088, 256), Unit(256, 384, 3, 2)),
        nn.Sequential(Unit(1088, 256), Unit(256, 288, 3, 2)),
        nn.Sequential(Unit(1088, 256), Unit(256, 288, 3), Unit(288, 320, 3, 2)),
        nn.MaxPool2d(3, 2),
    )


def _block_8() -> Residual:
    return Residual(
        Unit(2080, 192),
        nn.Sequential(Unit(2080, 192), Unit(192, 224, (1, 3)), Unit(224, 256, (3, 1))),
        inner=448,
        outputs=2080,
        scale=1.0,
    )


def _backbone() -> nn.ModuleDict:
    """The layers by name. From ``repeat_2`` on they are in the released files but not run."""
    layers: Mapping[str, nn.Module] = {
        "conv2d_1a": Unit(3, 32, 3, 2),
        "conv2d_2a": Unit(32, 32, 3, padded=False),
        "conv2d_2b": Unit(32, 64, 3),
        "conv2d_3b": Unit(64, 80),
        "conv2d_4a": Unit(80, 192, 3, padded=False),
        "mixed_5b": _mixed_5b(),
        "repeat": nn.Sequential(*(_block_35() for _ in range(10))),
        "mixed_6a": _mixed_6a(),
        "repeat_1": nn.Sequential(*(_block_17() for _ in range(20))),
        "mixed_7a": _mixed_7a(),
        "repeat_2": nn.Sequential(*(_block_8() for _ in range(9))),
        "block8": _block_8(),
        "conv2d_7b": Unit(2080, 1536),
        "last_linear": nn.Linear(1536, 1000),
    }
    return nn.ModuleDict(layers)


class InceptionPyramid(Pyramid):
    """The pyramid over ``inception``, whose parts are registered as ``enc0`` to ``enc4`` as well."""

    def __init__(self, width: int) -> None:
        net = _backbone()
        stages = (
            net["conv2d_1a"],
            nn.Sequential(net["conv2d_2a"], net["conv2d_2b"], nn.MaxPool2d(3, 2)),
            nn.Sequential(net["conv2d_3b"], net["conv2d_4a"], nn.MaxPool2d(3, 2)),
            nn.Sequential(net["mixed_5b"], net["repeat"], net["mixed_6a"]),
            nn.Sequential(net["repeat_1"], net["mixed_7a"]),
        )
        super().__init__(stages, CHANNELS, width, BORDERS)
        self.inception = net


class FPNInception(Deblurrer):
    """``pyramid``: channels of the maps; ``width``: channels of the heads."""

    def __init__(self, pyramid: int = 256, width: int = 128) -> None:
        super().__init__(InceptionPyramid(pyramid), pyramid, width)
