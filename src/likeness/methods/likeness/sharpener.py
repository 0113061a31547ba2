"""The sharpener of the built-in method: the last step, from an accurate but soft face to a sharp one.

A network of its own, because finishing the denoiser adversarially dragged its posterior mean down. It sees the
degraded picture, the estimate, and fresh noise, from which it makes the detail that no photograph can give back.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.likeness.denoiser import Denoiser
from likeness.methods.likeness.trunk import PIXELS, UNSHUFFLE, Trunk, TrunkConfig, zero

CONFIG = TrunkConfig(widths=(64, 128, 256, 384), depths=(1, 2, 2, 1))
GRAINS = 4  # kinds of texture
FIRST_GRAIN = 0.01  # strength at which training starts, of a range of 2


class Sharpener(Trunk):
    """g(x_d, x0, z) -> sharp face.

    What it adds has two parts. A picture, as the denoiser's, a little softened: it would answer a demand for detail
    with the same 4x4 cell everywhere. And texture without colour: the noise, filtered in a few ways, each as strong
    as the network wants it at each place, which is softened too: cells that are strong and weak in turn would show as
    rows of dots.

    ``forward(degraded, estimate, grain, amount=None)``: ``degraded`` and ``estimate`` (B, 3, H, W) in [-1, 1] with H, W
    multiples of 32, ``grain`` (B, 1, H, W) standard normal, ``amount`` (B,) how much of the texture is added: 0 none,
    1 (the default) as trained. Returns (B, 3, H, W), not clipped; fresh, it returns ``estimate``.
    """

    def __init__(self, config: TrunkConfig = CONFIG) -> None:
        super().__init__(config, 2 * PIXELS + UNSHUFFLE**2)
        self.grain = nn.Conv2d(UNSHUFFLE**2, config.widths[0], 1)
        self.texture = nn.Conv2d(1, GRAINS, 5, padding=2, bias=False)
        self.strength = nn.Conv2d(config.widths[0], GRAINS, 3, padding=1)
        zero(self.grain)
        zero(self.strength)

    def forward(self, degraded: Tensor, estimate: Tensor, grain: Tensor, amount: Tensor | None = None) -> Tensor:
        picture, texture = self.parts(degraded, estimate, grain)
        return picture + (texture if amount is None else amount[:, None, None, None] * texture)

    def parts(
        self, degraded: Tensor, estimate: Tensor, grain: Tensor, place: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The two that ``forward`` adds: the face without texture (B, 3, H, W), and texture (B, 1, H, W).

        ``place`` as for ``Denoiser``.
        """
        d, z = F.pixel_unshuffle(degraded, UNSHUFFLE), F.pixel_unshuffle(grain, UNSHUFFLE)
        condition = F.silu(self.degradation(d))
        h = self.trunk([d, F.pixel_unshuffle(estimate, UNSHUFFLE), z], place, condition, self.grain(z))
        strength = F.interpolate(_soften(self.strength(h)), scale_factor=float(UNSHUFFLE), mode="bilinear")
        texture = (self.texture(grain) * strength).sum(dim=1, keepdim=True)
        return estimate + _soften(self.picture(h)).to(estimate), texture.to(estimate)

    @torch.no_grad()
    def start_from(self, denoiser: Denoiser) -> None:
        """Take over what a trained denoiser of the same widths knows, all but its head: training starts far ahead.

        What the stem makes of the grain stays as it was drawn, and the texture starts faint.
        """
        own, theirs = self.state_dict(), denoiser.state_dict()
        skipped = {"stem.weight", "head.weight", "head.bias"}
        last = f"middle.{len(self.middle) - 1}."
        for key, value in own.items():
            source = key.replace(last, f"middle.{len(denoiser.middle) - 1}.") if key.startswith(last) else key
            if key not in skipped and source in theirs:
                value.copy_(theirs[source])
        own["degradation.out.bias"].add_(denoiser.noise_level(torch.zeros(1))[0])
        own["stem.weight"][:, : 2 * PIXELS].copy_(theirs["stem.weight"][:, : 2 * PIXELS])
        own["stem.weight"][:, -2:].copy_(theirs["stem.weight"][:, -2:])
        own["strength.bias"].fill_(FIRST_GRAIN)
        own["texture.weight"].div_(own["texture.weight"].flatten(1).norm(dim=1)[:, None, None, None])


def _soften(x: Tensor) -> Tensor:
    """A binomial average of 3x3 neighbours in each channel of (B, C, H, W), as if the border repeated."""
    return F.avg_pool2d(F.avg_pool2d(x, 2, 1, padding=1, count_include_pad=False), 2, 1)
