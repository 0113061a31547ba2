"""DeblurGAN-v2 over MobileNetV2: the small network."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from likeness.methods.deblurganv2.pyramid import Deblurrer, Pyramid
from likeness.nets.picture_norm import PictureNorm

# (expansion, channels, stride) of the inverted residuals, features.1 to features.17
BLOCKS = (
    (1, 16, 1),
    *((6, 24, 2), (6, 24, 1)),
    *((6, 32, 2), (6, 32, 1), (6, 32, 1)),
    *((6, 64, 2), (6, 64, 1), (6, 64, 1), (6, 64, 1)),
    *((6, 96, 1), (6, 96, 1), (6, 96, 1)),
    *((6, 160, 2), (6, 160, 1), (6, 160, 1)),
    (6, 320, 1),
)
STAGES = (0, 2, 4, 7, 11, 16)  # where the stages begin; from features.16 on nothing is run
CHANNELS = (16, 24, 32, 64, 160)


def _conv_norm(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return [conv, PictureNorm(outputs)]


class InvertedResidual(nn.Module):
    """Widen (1x1), filter each channel (3x3), narrow (1x1); the input is added where it fits."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers = [*_conv_norm(inputs, inner, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        layers += [*_conv_norm(inner, inner, 3, stride, groups=inner), nn.ReLU6(inplace=True)]
        self.conv = nn.Sequential(*layers, *_conv_norm(inner, outputs, 1))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)  # type: ignore[no-any-return]


class MobilePyramid(Pyramid):
    """The pyramid over ``features``, whose parts are registered as ``enc0`` to ``enc4`` as well."""

    def __init__(self, width: int) -> None:
        features = nn.Sequential(nn.Sequential(*_conv_norm(3, 32, 3, stride=2), nn.ReLU6(inplace=True)))
        inputs = 32
        for expansion, outputs, stride in BLOCKS:
            features.append(InvertedResidual(inputs, outputs, stride, expansion))
            inputs = outputs
        features.append(nn.Sequential(*_conv_norm(inputs, 1280, 1), nn.ReLU6(inplace=True)))
        stages = [nn.Sequential(*list(features)[a:b]) for a, b in pairwise(STAGES)]
        super().__init__(stages, CHANNELS, width)
        self.features = features


class FPNMobileNet(Deblurrer):
    """``pyramid``: channels of the maps; ``width``: channels of the heads."""

    def __init__(self, pyramid: int = 128, width: int = 64) -> None:
        super().__init__(MobilePyramid(pyramid), pyramid, width)
