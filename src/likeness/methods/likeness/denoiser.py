"""The denoiser of the built-in method.

After papers/001 (IDM): the degraded image is concatenated to the noisy one, the clean image x0 is predicted, the
noise level gamma is a continuous condition (eq. 5-7).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.likeness.trunk import PIXELS, UNSHUFFLE, Trunk, TrunkConfig, zero
from likeness.nets.embedding import NoiseLevelEmbedding

CONFIG = TrunkConfig(widths=(64, 128, 256, 384), depths=(1, 2, 2, 3), rising=(3, 3, 2))


class Denoiser(Trunk):
    """f(x_d, sqrt(gamma) x_t, gamma) -> x0.

    ``forward(degraded, state, gamma, place=None)``: ``degraded`` and ``state`` (B, 3, H, W) in [-1, 1] with H, W
    multiples of 32; ``state`` is sqrt(gamma) * x_t, the linear estimate of x0 from x_t, hence zero when gamma is
    zero (nothing known yet: the output is the posterior mean); ``gamma`` (B,) in [0, 1]; ``place`` (B, 2, H/4,
    W/4) is where each cell lies in the aligned frame, x and y in [-1, 1] (default: the picture is the whole
    frame). Returns x0 (B, 3, H, W), not clipped.

    What it predicts is added to the degraded picture, of which it keeps, place by place, as much of the finest detail
    as is worth keeping: pixel noise is dropped there and need not be cancelled through a few channels.
    """

    def __init__(self, config: TrunkConfig = CONFIG) -> None:
        super().__init__(config, 2 * PIXELS)
        self.noise_level = NoiseLevelEmbedding(config.condition)
        self.keep = nn.Conv2d(config.widths[0], 1, 3, padding=1)
        zero(self.keep)

    def forward(self, degraded: Tensor, state: Tensor, gamma: Tensor, place: Tensor | None = None) -> Tensor:
        d = F.pixel_unshuffle(degraded, UNSHUFFLE)
        condition = F.silu(self.noise_level(gamma) + self.degradation(d))
        h = self.trunk([d, F.pixel_unshuffle(state, UNSHUFFLE)], place, condition)
        keep = F.interpolate(1 + self.keep(h).to(degraded), scale_factor=float(UNSHUFFLE), mode="bilinear")
        coarse = F.interpolate(F.avg_pool2d(degraded, UNSHUFFLE), scale_factor=float(UNSHUFFLE), mode="bilinear")
        return torch.lerp(coarse, degraded, keep) + self.picture(h).to(degraded)
