"""Layers of StyleGAN2 that GFPGAN, GPEN and pSp share.

Karras et al., Analyzing and Improving the Image Quality of StyleGAN (CVPR 2020); the equalised learning rate, which
stores N(0, 1) weights and scales them when they are used, is of Karras et al., Progressive Growing of GANs (ICLR 2018).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.upfirdn import Blur, full_precision

SLOPE = 0.2
SQRT2 = 2.0**0.5


def channels(size: int, multiplier: float, narrow: float = 1.0) -> int:
    """Width of the generator at a ``size`` of 4, 8, ..., 2048 pixels."""
    return int(round((512 if size <= 32 else 16384 // size * multiplier) * narrow, 6))


def resolutions(size: int) -> list[int]:
    """[4, 8, ..., size]. Raises ValueError unless ``size`` is a power of two from 8 on."""
    if size < 8 or size & (size - 1):
        raise ValueError(f"the size must be a power of two from 8 on, got {size}")
    return [2**level for level in range(2, size.bit_length())]


def length(tensors: Mapping[str, Tensor], key: str, axis: int, default: int) -> int:
    """A length in the shape of ``tensors[key]``, or ``default`` where there is none (or nothing along it)."""
    tensor = tensors.get(key)
    return default if tensor is None or tensor.ndim <= axis else tensor.shape[axis] or default


def style_count(size: int) -> int:
    """How many latent vectors steer a generator of this size: two per resolution, of which neighbours share one."""
    return 2 * len(resolutions(size))


class PixelNorm(nn.Module):
    """Divides by the root mean square over dimension 1."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class ScaledLeakyReLU(nn.Module):
    """sqrt(2) LReLU(x), which keeps the variance. Overwrites ``x``."""

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x.mul_(SQRT2), SLOPE, inplace=True)


class FusedLeakyReLU(nn.Module):
    """sqrt(2) LReLU(x + bias), over the channels in dimension 1. Overwrites ``x``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return biased_leaky_relu(x, self.bias.view(-1, *[1] * (x.ndim - 2)))


def biased_leaky_relu(x: Tensor, bias: Tensor) -> Tensor:
    """sqrt(2) LReLU(x + bias) in the precision of ``x``, which is overwritten: fresh memory costs more than the sums.

    The gain goes in before the activation, whose result the gradient needs as it is.
    """
    return F.leaky_relu(x.add_(bias.to(x.dtype)).mul_(SQRT2), SLOPE, inplace=True)


class EqualLinear(nn.Module):
    """Linear layer with equalised learning rate: (..., inputs) -> (..., outputs); ``activate`` as FusedLeakyReLU."""

    def __init__(
        self, inputs: int, outputs: int, bias: float = 0.0, lr_mul: float = 1.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_mul)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr_mul))
        self.scale, self.lr_mul, self.activate = lr_mul / inputs**0.5, lr_mul, activate

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight * self.scale, self.bias * self.lr_mul
        return biased_leaky_relu(F.linear(x, weight), bias) if self.activate else F.linear(x, weight, bias)


class EqualConv2d(nn.Module):
    """Convolution with equalised learning rate."""

    def __init__(
        self, inputs: int, outputs: int, size: int, stride: int = 1, padding: int = 0, bias: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.stride, self.padding = 1 / (inputs * size * size) ** 0.5, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, self.stride, self.padding)


def mapping_network(width: int, layers: int) -> nn.Sequential:
    """z -> w: (B, width) -> (B, width). Index 0 has no parameters."""
    linear = [EqualLinear(width, width, lr_mul=0.01, activate=True) for _ in range(layers)]
    return nn.Sequential(PixelNorm(), *linear)


def modulated_conv(x: Tensor, weight: Tensor, style: Tensor, gain: float = 1.0, upsample: bool = False) -> Tensor:
    """Convolution whose weights are scaled by ``style`` per input channel and normalised per output channel.

    x (B, I, H, W), weight (O, I, 3, 3), style (B, I) -> (B, O, H, W), times ``gain``; with ``upsample`` a transposed
    convolution of stride 2, (B, O, 2H + 1, 2W + 1). Input and output are scaled rather than the weights: the same sum,
    the samples share one convolution, and its weights stay constants.
    """
    with full_precision(x):
        power = style.square() @ weight.square().sum(dim=(2, 3)).T
        largest = style.abs().amax(dim=1, keepdim=True).clamp_min(1e-12)  # keeps half precision from overflowing
        before, after = style / largest, gain * largest * torch.rsqrt(power + 1e-8)
    x = x * before.to(x.dtype)[:, :, None, None]
    y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2) if upsample else F.conv2d(x, weight, padding=1)
    return y.mul_(after.to(y.dtype)[:, :, None, None])


def modulated_pointwise(x: Tensor, weight: Tensor, style: Tensor) -> Tensor:
    """1x1 convolution with weights scaled by ``style`` (B, I), not normalised: (B, I, H, W), (O, I) -> (B, O, H, W)."""
    return torch.bmm(weight * style[:, None], x.flatten(2)).view(len(x), -1, *x.shape[2:])


class ModulatedConv2d(nn.Module):
    """Modulated convolution (section 2.2 and appendix B of the paper), with equalised learning rate.

    ``forward(x, latent)``: (B, inputs, H, W), (B, style_dim) -> (B, outputs, H, W), or twice the size with
    ``upsample``: a transposed convolution, then FIR smoothing.
    """

    def __init__(
        self, inputs: int, outputs: int, style_dim: int, upsample: bool = False, stored_kernel: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, 3, 3))
        self.modulation = EqualLinear(style_dim, inputs, bias=1.0)
        self.blur = Blur(1, gain=4.0, stored=stored_kernel) if upsample else None
        self.scale = 1 / (inputs * 9) ** 0.5

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        with full_precision(x):
            style = self.modulation(latent.to(self.weight.dtype)) * self.scale
        y = modulated_conv(x, self.weight[0], style, upsample=self.blur is not None)
        return y if self.blur is None else self.blur(y)


class ModulatedPointwise(nn.Module):
    """The 1x1 modulated convolution to colours: no normalisation. (B, inputs, H, W) -> (B, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, style_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, 1, 1))
        self.modulation = EqualLinear(style_dim, inputs, bias=1.0)
        self.scale = 1 / inputs**0.5

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        with full_precision(x):
            style = self.modulation(latent.to(self.weight.dtype)) * self.scale
        return modulated_pointwise(x, self.weight[0, :, :, 0, 0], style)


class ConstantInput(nn.Module):
    """The learned 4x4 picture that every face starts from, under the parameter name ``name``."""

    def __init__(self, width: int, name: str) -> None:
        super().__init__()
        self.name = name
        self.register_parameter(name, nn.Parameter(torch.randn(1, width, 4, 4)))

    def forward(self, batch: int) -> Tensor:
        constant: Tensor = getattr(self, self.name)
        return constant.expand(batch, -1, -1, -1)


class StoredNoise(nn.Module):
    """The noise pictures kept with the weights, called ``<prefix>0``, ``<prefix>1``, ...: one of 4x4, then two each."""

    def __init__(self, size: int, prefix: str) -> None:
        super().__init__()
        sizes = [s for s in resolutions(size) for _ in range(2)][1:]
        self.names = [f"{prefix}{index}" for index in range(len(sizes))]
        for name, s in zip(self.names, sizes, strict=True):
            self.register_buffer(name, torch.randn(1, 1, s, s))

    def stored(self) -> list[Tensor]:
        """The noise of every layer, each (1, 1, s, s)."""
        return [self.get_buffer(name) for name in self.names]

    def draw(self, seed: int) -> list[Tensor]:
        """Fresh N(0, 1) noise of the same shapes; it depends on ``seed`` only, not on the device or the batch."""
        generator = torch.Generator().manual_seed(seed)
        return [torch.randn(n.shape, generator=generator).to(n) for n in self.stored()]
