"""PGGAN's generator (Karras et al., Progressive Growing of GANs, ICLR 2018), and mixing the features of several codes.

Names, and hence keys, are those of the released file. Weights are stored as N(0, 1); ``gain / sqrt(fan_in)`` is
applied when they are used.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.progressive import PyramidSizes
from likeness.nets.stylegan2 import SLOPE, SQRT2, PixelNorm


class PGGANConfig(PyramidSizes):
    """PGGAN's sizes."""

    def width(self, layer: int) -> int:
        """Channels after ``layer`` layers."""
        return self.widths[(layer - 1) // 2]


class WeightScale(nn.Module):
    """Holds the bias; the released files have it here and not in the convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))


class Block(nn.Module):
    """Pixel norm of the input, twice the size if ``enlarge``, convolution, activation unless it is an ``output``."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, padding: int, enlarge: bool = False, output: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False)
        nn.init.normal_(self.conv.weight)
        self.wscale = WeightScale(outputs)
        self.scale = (1.0 if output else SQRT2) / (inputs * kernel**2) ** 0.5
        self.norm, self.enlarge, self.output = PixelNorm(), enlarge, output

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        weight = self.conv.weight * self.scale
        if self.enlarge:
            # Each pixel repeated, then convolved: of the 3x3 taps some fall on the same pixel, which leaves 16
            # products for 36. Written as a transposed convolution, whose kernel is turned.
            padded = F.pad(weight.flip(2, 3), (1, 1, 1, 1))
            rows = padded[:, :, 1:] + padded[:, :, :-1]
            kernel = (rows[..., 1:] + rows[..., :-1]).transpose(0, 1)
            x = F.conv_transpose2d(x, kernel, self.wscale.bias, stride=2, padding=1)
        else:
            x = F.conv2d(x, weight, self.wscale.bias, padding=self.conv.padding)
        return x if self.output else F.leaky_relu(x, SLOPE)


class PGGAN(nn.Module):
    """``forward(z)``: codes (B, latent) -> (B, 3, size, size), nominally in [-1, 1], not clipped.

    ``before`` and ``after`` are its two parts, split after any number of layers. The outputs of smaller pictures are
    in the file but not used; ``lod``, which would mix them in while the network grows, is zero.
    """

    def __init__(self, config: PGGANConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PGGANConfig()
        self.lod = nn.Parameter(torch.zeros(()))
        inputs = config.latent
        for level, width in enumerate(config.widths):
            first = Block(inputs, width, 3, 1, enlarge=True) if level else Block(inputs, width, 4, 3)
            self.add_module(f"layer{2 * level}", first)
            self.add_module(f"layer{2 * level + 1}", Block(width, width, 3, 1))
            self.add_module(f"output{level}", Block(width, 3, 1, 0, output=True))
            inputs = width

    def before(self, z: Tensor, layer: int) -> Tensor:
        """Codes (B, latent) -> features (B, C, h, w) after ``layer`` layers."""
        return self._run(z[:, :, None, None], 0, layer)

    def after(self, features: Tensor, layer: int) -> Tensor:
        """The rest: features after ``layer`` layers -> the picture."""
        x = self._run(features, layer, self.config.layers)
        return self.get_submodule(f"output{len(self.config.widths) - 1}")(x)  # type: ignore[no-any-return]

    def _run(self, x: Tensor, start: int, stop: int) -> Tensor:
        for index in range(start, stop):
            x = self.get_submodule(f"layer{index}")(x)
        return x

    def mix(self, z: Tensor, alpha: Tensor, layer: int) -> Tensor:
        """Codes (N, latent) and the weights of their channels (N, C) -> features (1, C, h, w) (section 3.2, eq. 2).

        As released, the sum is divided by N although ``alpha`` begins at 1 / N; the next pixel norm removes that.
        """
        features = self.before(z, layer) * alpha[:, :, None, None]
        return features.sum(0, keepdim=True) / len(z)

    def forward(self, z: Tensor) -> Tensor:
        return self.after(self.before(z, self.config.layers), self.config.layers)
