"""GFPGAN: a U-Net reads the face, and its features steer a StyleGAN2 generator.

Wang et al., Towards Real-World Blind Face Restoration with Generative Facial Prior (CVPR 2021). The U-Net gives one
latent vector per layer of the generator and, per resolution, a scale and a shift for half of its features (section
3.3, channel-split spatial feature transform). Both releases have this topology; ``Parts`` holds what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from likeness.nets.stylegan2 import ConstantInput, StoredNoise, channels, resolutions, style_count

Layer = Callable[[int, int], nn.Module]


@dataclass(frozen=True)
class Parts:
    """How a release builds its layers. A ``Layer`` takes (inputs, outputs).

    ``first``: 1x1, and ``last``: 3x3, both followed by ``activate``; ``down`` and ``up``: residual blocks that halve
    and double the size; ``linear``: without activation; ``condition``: 3x3, activation, 3x3; ``aux``: 1x1 to colours.
    ``style_conv(inputs, outputs, style_dim, upsample)`` is called with (x, latent, noise), ``rgb(inputs, style_dim,
    upsample)`` with (x, latent, skip); ``mlp(style_dim, layers)``.
    """

    first: Layer
    last: Layer
    activate: Callable[[Tensor], Tensor]
    down: Layer
    up: Layer
    linear: Layer
    condition: Layer
    aux: Layer
    style_conv: Callable[[int, int, int, bool], nn.Module]
    rgb: Callable[[int, int, bool], nn.Module]
    mlp: Callable[[int, int], nn.Module]


class Encoded(NamedTuple):
    """What the U-Net gives: latents (B, n, style_dim); per resolution from 8 on (scale, shift), and the features."""

    latents: Tensor
    conditions: list[tuple[Tensor, Tensor]]
    features: list[Tensor]


class Generator(nn.Module):
    """``forward(latents, conditions, noises)`` -> (B, 3, size, size), nominally in [-1, 1], not clipped.

    ``style_mlp`` (z -> w) is in the released files, but the U-Net gives latents of w already: it is not run.
    """

    def __init__(
        self, parts: Parts, size: int, style_dim: int, multiplier: float, narrow: float, mlp_layers: int
    ) -> None:
        super().__init__()
        widths = [channels(s, multiplier, narrow) for s in resolutions(size)]
        self.style_mlp = parts.mlp(style_dim, mlp_layers)
        self.constant_input = ConstantInput(widths[0], "weight")
        self.style_conv1 = parts.style_conv(widths[0], widths[0], style_dim, False)
        self.to_rgb1 = parts.rgb(widths[0], style_dim, False)
        self.style_convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for before, width in pairwise(widths):
            self.style_convs.append(parts.style_conv(before, width, style_dim, True))
            self.style_convs.append(parts.style_conv(width, width, style_dim, False))
            self.to_rgbs.append(parts.rgb(width, style_dim, True))
        self.noises = StoredNoise(size, "noise")

    def forward(self, latents: Tensor, conditions: Sequence[tuple[Tensor, Tensor]], noises: Sequence[Tensor]) -> Tensor:
        latent = latents.unbind(dim=1)
        x = self.style_conv1(self.constant_input(len(latents)), latent[0], noises[0])
        rgb = self.to_rgb1(x, latent[1], None)
        for level, ((scale, shift), to_rgb) in enumerate(zip(conditions, self.to_rgbs, strict=True)):
            i = 2 * level + 1
            x = self.style_convs[i - 1](x, latent[i], noises[i])
            same, changed = x.chunk(2, dim=1)
            x = torch.cat([same, torch.addcmul(shift, changed, scale)], dim=1)
            x = self.style_convs[i](x, latent[i + 1], noises[i + 1])
            rgb = to_rgb(x, latent[i + 2], rgb)  # this latent also steers the next level's first convolution
        return rgb  # type: ignore[no-any-return]


class GFPGAN(nn.Module):
    """``forward(x, noise)``: (B, 3, size, size) RGB in [-1, 1] -> the same, restored, not clipped.

    ``noise``: one (1, 1, s, s) per convolution of the generator, as ``draw_noise(seed)`` gives it; None takes the noise
    stored with the weights. ``multiplier`` widens the network from 64 pixels on, ``narrow`` all of it.
    """

    def __init__(
        self, parts: Parts, size: int, style_dim: int, multiplier: float, narrow: float, mlp_layers: int
    ) -> None:
        super().__init__()
        self.size, self.style_dim, self.activate = size, style_dim, parts.activate
        widths = [channels(s, multiplier, narrow / 2) for s in resolutions(size)]  # from 4x4 up
        self.conv_body_first = parts.first(3, widths[-1])
        self.conv_body_down = nn.ModuleList(parts.down(a, b) for a, b in pairwise(widths[::-1]))
        self.final_conv = parts.last(widths[0], widths[0])
        self.final_linear = parts.linear(widths[0] * 4 * 4, style_count(size) * style_dim)
        self.conv_body_up = nn.ModuleList(parts.up(a, b) for a, b in pairwise(widths))
        self.condition_scale = nn.ModuleList(parts.condition(w, w) for w in widths[1:])
        self.condition_shift = nn.ModuleList(parts.condition(w, w) for w in widths[1:])
        self.toRGB = nn.ModuleList(parts.aux(w, 3) for w in widths[1:])
        self.stylegan_decoder = Generator(parts, size, style_dim, multiplier, narrow, mlp_layers)

    def encode(self, x: Tensor) -> Encoded:
        """The U-Net: (B, 3, size, size) -> latents, conditions and features."""
        h = self.activate(self.conv_body_first(x))
        skips: list[Tensor] = []
        for down in self.conv_body_down:
            h = down(h)
            skips.append(h)
        h = self.activate(self.final_conv(h))
        latents = self.final_linear(h.flatten(1)).unflatten(1, (-1, self.style_dim))
        conditions, features = [], []
        for up, scale, shift in zip(self.conv_body_up, self.condition_scale, self.condition_shift, strict=True):
            h = up(h + skips.pop())
            conditions.append((scale(h), shift(h)))
            features.append(h)
        return Encoded(latents, conditions, features)

    def intermediate_rgbs(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Colours of the U-Net's features from 8 pixels on, which training compares with the shrunk picture."""
        return [layer(f) for layer, f in zip(self.toRGB, features, strict=True)]

    def draw_noise(self, seed: int) -> list[Tensor]:
        """Fresh noise for ``forward``, from ``seed`` alone."""
        return self.stylegan_decoder.noises.draw(seed)

    def forward(self, x: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        latents, conditions, _ = self.encode(x)
        noises = self.stylegan_decoder.noises.stored() if noise is None else noise
        return self.stylegan_decoder(latents, conditions, noises)  # type: ignore[no-any-return]
