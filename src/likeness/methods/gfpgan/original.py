"""GFPGAN 1, the model of the paper: equalised learning rate, activations with gain, FIR filters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.gfpgan.network import GFPGAN, Parts
from likeness.nets.stylegan2 import (
    SQRT2,
    EqualConv2d,
    EqualLinear,
    FusedLeakyReLU,
    ModulatedConv2d,
    ModulatedPointwise,
    ScaledLeakyReLU,
    mapping_network,
)
from likeness.nets.upfirdn import Blur, Upsample


def double(x: Tensor) -> Tensor:
    """Bilinear resizing by 2."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def conv_layer(inputs: int, outputs: int, size: int) -> nn.Sequential:
    """Convolution and activation."""
    return nn.Sequential(EqualConv2d(inputs, outputs, size, padding=size // 2), FusedLeakyReLU(outputs))


class ResDown(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = conv_layer(inputs, inputs, 3)
        self.conv2 = nn.Sequential(Blur(2), EqualConv2d(inputs, outputs, 3, stride=2), FusedLeakyReLU(outputs))
        self.skip = nn.Sequential(Blur(1, stride=2), EqualConv2d(inputs, outputs, 1))  # smooth only what is kept

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv2(self.conv1(x)) + self.skip(x)).div_(SQRT2)  # type: ignore[no-any-return]


class UpConv(EqualConv2d):
    """Bilinear resizing by 2, convolution, activation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.activation = FusedLeakyReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(super().forward(double(x)))  # type: ignore[no-any-return]


class ResUp(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, 2H, 2W). The 1x1 convolution commutes with the resizing: cheaper first."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = conv_layer(inputs, inputs, 3)
        self.conv2 = UpConv(inputs, outputs)
        self.skip = EqualConv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv2(self.conv1(x)) + double(self.skip(x))).div_(SQRT2)  # type: ignore[no-any-return]


class StyleConv(nn.Module):
    """Modulated convolution, noise, activation. ``weight`` is the strength of the noise."""

    def __init__(self, inputs: int, outputs: int, style_dim: int, upsample: bool) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv2d(inputs, outputs, style_dim, upsample)
        self.weight = nn.Parameter(torch.zeros(1))
        self.activate = FusedLeakyReLU(outputs)

    def forward(self, x: Tensor, latent: Tensor, noise: Tensor) -> Tensor:
        y = self.modulated_conv(x, latent)
        return self.activate(y.add_((self.weight * noise).to(y.dtype)))  # type: ignore[no-any-return]


class ToRGB(nn.Module):
    """Colours of one resolution, added to the enlarged colours of the one before. (B, inputs, H, W) -> (B, 3, H, W)."""

    def __init__(self, inputs: int, style_dim: int, upsample: bool) -> None:
        super().__init__()
        self.modulated_conv = ModulatedPointwise(inputs, 3, style_dim)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.upsample = Upsample()

    def forward(self, x: Tensor, latent: Tensor, skip: Tensor | None) -> Tensor:
        rgb = self.modulated_conv(x, latent) + self.bias
        return rgb if skip is None else rgb + self.upsample(skip)  # type: ignore[no-any-return]


def _condition(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        EqualConv2d(inputs, inputs, 3, padding=1, bias=True),
        ScaledLeakyReLU(),
        EqualConv2d(inputs, outputs, 3, padding=1, bias=True),
    )


PARTS = Parts(
    first=lambda inputs, outputs: conv_layer(inputs, outputs, 1),
    last=lambda inputs, outputs: conv_layer(inputs, outputs, 3),
    activate=lambda x: x,  # the layers have theirs
    down=ResDown,
    up=ResUp,
    linear=EqualLinear,
    condition=_condition,
    aux=lambda inputs, outputs: EqualConv2d(inputs, outputs, 1, bias=True),
    style_conv=StyleConv,
    rgb=ToRGB,
    mlp=mapping_network,
)


class GFPGANOriginal(GFPGAN):
    """The network of GFPGANv1."""

    def __init__(
        self, size: int = 512, style_dim: int = 512, multiplier: float = 1, narrow: float = 1, mlp_layers: int = 8
    ) -> None:
        super().__init__(PARTS, size, style_dim, multiplier, narrow, mlp_layers)
