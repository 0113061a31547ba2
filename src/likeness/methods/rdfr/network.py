"""RDFR's network: a U-Net whose encoder reads the face and whose decoder, as StyleGAN2's, paints it.

papers/003, section 3 and figure 2. The encoder halves the picture down to 4x4 and gives the latent z; features on its
way go to the decoder through skip connections, counted from 8x8 upward. In each: the features are replaced by their
nearest codes (eq. 2), noise is added under a gate made of z (eq. 6), and a gate over all places decides how much of it
the decoder takes (eq. 4). Gated noise modulates the decoder, too.

The paper's appendix with the sizes is not public. Ours: the widths of StyleGAN2, residual blocks as in its
discriminator for the encoder, four skip connections (8 to 64 pixels), 1024 codes each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from likeness.methods.rdfr.fusion import ConcatFusion, GatedFusion
from likeness.methods.rdfr.quantise import Codebook
from likeness.nets.stylegan2 import EqualLinear, FusedLeakyReLU, ModulatedConv2d, channels, resolutions
from likeness.nets.stylegan2_discriminator import ResidualDown, conv_layer
from likeness.nets.stylegan2_generator import ToRGB

QUIET = -2.0  # where the skip noise's gates begin: sigmoid 0.12, so that a new network is not drowned in noise


def stylegan_widths(size: int = 512, width: int = 512, multiplier: float = 2.0) -> tuple[int, ...]:
    """Channels at 4, 8, ..., ``size`` pixels: ``width`` up to 32, then halved each time, from ``multiplier`` / 2 on."""
    return tuple(channels(s, multiplier, width / 512) for s in resolutions(size))


@dataclass(frozen=True)
class Sizes:
    """What a network is made of. ``widths``: channels at 4, 8, ... pixels up to the picture's size.

    ``style``: length of z; ``mapping``: layers that the decoder's noise goes through; ``codes``: of each codebook.
    ``fusion``, ``quantise`` and ``noise`` are the rows of the paper's table 3: gated fusion (else ``ConcatFusion``),
    codebooks (else the features as they are), noise (else none).
    """

    widths: tuple[int, ...] = stylegan_widths()
    style: int = 512
    mapping: int = 8
    skips: int = 4
    codes: int = 1024
    fusion: bool = True
    quantise: bool = True
    noise: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.skips <= len(self.widths) - 2:
            raise ValueError(
                f"a network of {self.size} pixels has 1 to {len(self.widths) - 2} skip connections, not {self.skips}"
            )

    @property
    def size(self) -> int:
        return int(4 * 2 ** (len(self.widths) - 1))

    @property
    def sides(self) -> list[int]:
        """Of the features that skip connections carry: 8, 16, ..."""
        return [8 * 2**i for i in range(self.skips)]


class Restored(NamedTuple):
    """A picture (B, 3, size, size), and per skip connection the features p and, when quantised, p^q (eq. 3)."""

    picture: Tensor
    features: list[Tensor]
    quantised: list[Tensor]


class Encoder(nn.Module):
    """(B, 3, size, size) -> the features at 4x4, the latent z (B, style), and the features at 8, 16, ... pixels."""

    def __init__(self, widths: Sequence[int], style: int, skips: int) -> None:
        super().__init__()
        self.skips = skips
        self.first = conv_layer(3, widths[-1], 1)
        self.downs = nn.ModuleList(ResidualDown(a, b) for a, b in pairwise(reversed(widths)))
        self.last = conv_layer(widths[0], widths[0], 3)
        self.latent = EqualLinear(widths[0] * 4 * 4, style)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        h = self.first(x)
        features: list[Tensor] = []
        for down in self.downs:
            h = down(h)
            features.insert(0, h)
        h = self.last(h)
        return h, self.latent(h.flatten(1)), features[1 : self.skips + 1]


class StyledConv(nn.Module):
    """Modulated 3x3 convolution and activation: (B, inputs, H, W) -> (B, outputs, H, W), or twice the size."""

    def __init__(self, inputs: int, outputs: int, style: int, upsample: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, outputs, style, upsample)
        self.activate = FusedLeakyReLU(outputs)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return self.activate(self.conv(x, style))  # type: ignore[no-any-return]


class Level(nn.Module):
    """One resolution of the decoder: enlarge, take what the skip connection brings (if any), convolve, colours."""

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.up = StyledConv(inputs, outputs, style, upsample=True)
        self.conv = StyledConv(outputs, outputs, style)
        self.to_rgb = ToRGB(outputs, style)


class RDFR(nn.Module):
    """``forward(x, noises)``: (B, 3, size, size) RGB in [-1, 1] -> the same, restored, not clipped.

    ``noises``: standard normal numbers of ``noise_shapes`` (batch in front), scaled or not; None for none. With
    ``with_features`` the answer is a ``Restored``.
    """

    def __init__(self, sizes: Sizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes = sizes or Sizes()
        self.size = sizes.size
        widths, style = sizes.widths, sizes.style
        self.encoder = Encoder(widths, style, sizes.skips)
        joined = [(side, widths[i + 1]) for i, side in enumerate(sizes.sides)]
        self.fusions = nn.ModuleList(GatedFusion(s) if sizes.fusion else ConcatFusion(w) for s, w in joined)
        self.codebooks = nn.ModuleList(Codebook(sizes.codes, w) for _, w in joined if sizes.quantise)
        self.gates = nn.ModuleList(EqualLinear(style, w, bias=QUIET) for _, w in joined if sizes.noise)
        layers = sizes.mapping if sizes.noise else 0
        self.mapping = nn.Sequential(*[EqualLinear(style, style, lr_mul=0.01, activate=True) for _ in range(layers)])
        both = style * (1 + sizes.noise)
        self.conv1 = StyledConv(widths[0], widths[0], both)
        self.to_rgb1 = ToRGB(widths[0], both, upsample=False)
        self.levels = nn.ModuleList(Level(a, b, both) for a, b in pairwise(widths))

    @property
    def noise_shapes(self) -> list[tuple[int, ...]]:
        """Of the noise for one sample: the decoder's, then each skip connection's; none for a network without noise."""
        sizes = self.sizes
        skips = [(sizes.widths[i + 1], side, side) for i, side in enumerate(sizes.sides)]
        return [(sizes.style,), *skips] if sizes.noise else []

    def forward(
        self, x: Tensor, noises: Sequence[Tensor] | None = None, with_features: bool = False
    ) -> Tensor | Restored:
        h, z, features = self.encoder(x)
        style = self._style(z, noises)
        h = self.conv1(h, style)
        rgb = self.to_rgb1(h, style)
        quantised: list[Tensor] = []
        for i, level in enumerate(self.levels):
            assert isinstance(level, Level)
            h = level.up(h, style)
            if i < len(features):
                p = features[i]
                if self.sizes.quantise:
                    p, chosen = self.codebooks[i](p)
                    quantised.append(chosen)
                if self.sizes.noise and noises is not None:
                    p = p + torch.sigmoid(self.gates[i](z))[:, :, None, None] * noises[i + 1]
                h = self.fusions[i](p, h)
            h = level.conv(h, style)
            rgb = level.to_rgb(h, style, rgb)
        return Restored(rgb, features, quantised) if with_features else rgb

    def _style(self, z: Tensor, noises: Sequence[Tensor] | None) -> Tensor:
        """What modulates the decoder: z, and beside it the mapped noise under the gate of z (eq. 6)."""
        if not self.sizes.noise:
            return z
        noise = torch.zeros_like(z) if noises is None else noises[0]
        return torch.cat([z, self.mapping(torch.sigmoid(z) * noise).to(z.dtype)], dim=1)
