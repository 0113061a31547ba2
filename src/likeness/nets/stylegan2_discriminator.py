"""The discriminator of StyleGAN2, which GFPGAN, GPEN and RDFR train against.

Karras et al., Analyzing and Improving the Image Quality of StyleGAN (CVPR 2020), figure 7: residual blocks that halve
the size, the standard deviation within the batch as a further channel (Karras et al., ICLR 2018), two linear layers.
Keys are those of the widely used PyTorch port: ``convs.N.conv1.0.weight``, ``final_conv.0.weight``,
``final_linear.0.weight``.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from likeness.nets.stylegan2 import SQRT2, EqualConv2d, EqualLinear, FusedLeakyReLU, channels, resolutions
from likeness.nets.upfirdn import Blur, full_precision

EPSILON = 1e-8


def conv_layer(inputs: int, outputs: int, size: int, down: bool = False, stored_kernel: bool = False) -> nn.Sequential:
    """Convolution with equalised learning rate and activation: (B, inputs, H, W) -> (B, outputs, H, W).

    ``down``: half the size, smoothed before. ``stored_kernel``: the filter belongs to the state dict.
    """
    layers: list[nn.Module] = [Blur((size + 1) // 2, stored=stored_kernel)] if down else []
    layers.append(EqualConv2d(inputs, outputs, size, stride=2 if down else 1, padding=0 if down else size // 2))
    return nn.Sequential(*layers, FusedLeakyReLU(outputs))


class ResidualDown(nn.Module):
    """Two 3x3 convolutions and a way past them: (B, inputs, H, W) -> (B, outputs, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int, stored_kernel: bool = False) -> None:
        super().__init__()
        self.conv1 = conv_layer(inputs, inputs, 3)
        self.conv2 = conv_layer(inputs, outputs, 3, down=True, stored_kernel=stored_kernel)
        # smoothing that keeps every second pixel, then 1x1: the same as a 1x1 convolution of stride 2
        smooth = Blur(1, stride=2, stored=stored_kernel)
        self.skip = nn.Sequential(smooth, EqualConv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv2(self.conv1(x)) + self.skip(x)) / SQRT2  # type: ignore[no-any-return]


def batch_deviation(x: Tensor, group: int) -> Tensor:
    """(B, C, H, W) -> (B, 1, H, W): the standard deviation within groups of the batch, the mean over all features.

    ``group``: how many samples belong together, at most; it is lowered to a divisor of B.
    """
    count = len(x)
    group = next(g for g in range(min(group, count), 0, -1) if count % g == 0)
    with full_precision(x):
        groups = x.float().view(group, count // group, *x.shape[1:])
        deviation = (groups.var(0, correction=0) + EPSILON).sqrt().mean(dim=(1, 2, 3))
    return deviation.to(x.dtype).repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:])


class StyleGAN2Discriminator(nn.Module):
    """``forward(x)``: (B, 3, size, size) in [-1, 1] -> logits (B, 1); more is more real.

    ``multiplier`` widens it from 64 pixels on, ``narrow`` all of it. ``group``: samples whose deviation is looked at;
    with 1 each picture is judged alone. ``body`` names the residual part, "convs" or in GFPGAN's file "conv_body", and
    ``stored_kernel`` says whether the smoothing filters are in the file.
    """

    def __init__(
        self,
        size: int = 512,
        multiplier: float = 2,
        narrow: float = 1.0,
        group: int = 4,
        body: str = "convs",
        stored_kernel: bool = True,
    ) -> None:
        super().__init__()
        self.size, self.group, self.body = size, group, body
        widths = [channels(s, multiplier, narrow) for s in reversed(resolutions(size))]
        blocks = [ResidualDown(a, b, stored_kernel) for a, b in pairwise(widths)]
        self.add_module(body, nn.Sequential(conv_layer(3, widths[0], 1), *blocks))
        self.final_conv = conv_layer(widths[-1] + 1, widths[-1], 3)
        hidden = EqualLinear(widths[-1] * 4 * 4, widths[-1], activate=True)
        self.final_linear = nn.Sequential(hidden, EqualLinear(widths[-1], 1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.get_submodule(self.body)(x)
        h = self.final_conv(torch.cat([h, batch_deviation(h, self.group)], dim=1))
        return self.final_linear(h.flatten(1))  # type: ignore[no-any-return]
