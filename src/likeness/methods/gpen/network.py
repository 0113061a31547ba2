"""GPEN: an encoder gives a latent vector and, for every layer of a StyleGAN2 generator, features in place of noise.

Yang, Ren, Xie, Zhang: GAN Prior Embedded Network for Blind Face Restoration in the Wild (CVPR 2021).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from likeness.nets.stylegan2 import EqualConv2d, EqualLinear, FusedLeakyReLU, channels, resolutions, style_count
from likeness.nets.stylegan2_generator import Generator, generator_arguments
from likeness.nets.upfirdn import Blur


def _down(inputs: int, outputs: int) -> nn.Sequential:
    """Smoothing, convolution of stride 2, activation: (B, inputs, H, W) -> (B, outputs, H/2, W/2)."""
    layers = (Blur(2, stored=True), EqualConv2d(inputs, outputs, 3, stride=2), FusedLeakyReLU(outputs))
    return nn.Sequential(nn.Sequential(*layers))


class GPEN(nn.Module):
    """``forward(x)``: (B, 3, size, size) RGB in [-1, 1] -> the same, restored, not clipped.

    Released: 512 (the defaults), 256 (multiplier 1, narrow 0.5), 1024 and 2048. ``multiplier`` widens the network from
    64 pixels on, ``narrow`` all of it.
    """

    def __init__(
        self, size: int = 512, style_dim: int = 512, mlp_layers: int = 8, multiplier: float = 2, narrow: float = 1.0
    ) -> None:
        super().__init__()
        self.size = size
        widths = [channels(s, multiplier, narrow) for s in reversed(resolutions(size))]
        first = nn.Sequential(EqualConv2d(3, widths[0], 1), FusedLeakyReLU(widths[0]))
        self.encoders = ["ecd0"]
        self.ecd0 = nn.Sequential(first)
        for index in range(1, len(widths)):
            self.encoders.append(f"ecd{index}")
            self.add_module(f"ecd{index}", _down(widths[index - 1], widths[index]))
        self.final_linear = nn.Sequential(EqualLinear(widths[-1] * 4 * 4, style_dim, activate=True))
        self.generator = Generator(size, style_dim, mlp_layers, multiplier, narrow, concat=True)

    def forward(self, x: Tensor) -> Tensor:
        features: list[Tensor] = []
        for name in self.encoders:
            x = self.get_submodule(name)(x)
            features.append(x)
        latent = self.generator.style(self.final_linear(x.flatten(1)))
        latents = latent[:, None].expand(-1, style_count(self.size), -1)
        noises = [f for f in reversed(features) for _ in range(2)][1:]  # one of 4x4, then two of each size
        return self.generator(latents, noises)  # type: ignore[no-any-return]


def recognise(tensors: Mapping[str, Tensor]) -> GPEN | None:
    """The network of any size and width that these keys and shapes belong to, unfilled; None for another method."""
    if "ecd0.0.0.weight" not in tensors or "generator.input.input" not in tensors:
        return None
    arguments = generator_arguments(tensors, "generator.")
    return None if arguments is None else GPEN(**arguments)
