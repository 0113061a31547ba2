"""How features of the encoder, p, come into those of the decoder, q; both (B, C, H, H) (papers/003, section 3.1.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.stylegan2 import EqualConv2d

WHOLE = 32  # the largest side at which each place has a score of its own


def window(side: int) -> int:
    """r = 2 ** (log2(side) - 5) from 64 on, else 1."""
    return max(1, side // WHOLE)


class GatedFusion(nn.Module):
    """Linear gated fusion, eq. 4: all places of p + q together say, per channel, how much of p each place takes.

    The score matrix W (n, n), n = (side / r) ** 2, begins with zeros: every gate is half open. As everywhere in this
    network the stored numbers are scaled when they are used (equalised learning rate). Windows are averaged on the way
    down and repeated on the way up; the paper leaves both open.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.window = window(side)
        places = (side // self.window) ** 2
        self.score = nn.Parameter(torch.zeros(places, places))
        self.scale = places**-0.5

    def gate(self, p: Tensor, q: Tensor) -> Tensor:
        """s in [0, 1], (B, C, H, H)."""
        small = F.avg_pool2d(p + q, self.window) if self.window > 1 else p + q
        o = small.flatten(2) @ (self.score * self.scale).to(small.dtype)
        s = torch.sigmoid(o).view_as(small)
        return F.interpolate(s, scale_factor=self.window, mode="nearest") if self.window > 1 else s

    def forward(self, p: Tensor, q: Tensor) -> Tensor:
        s = self.gate(p, q)
        return s * (p + q) + (1 - s) * q


class ConcatFusion(nn.Module):
    """The ablation's baseline: p and q are stacked, and a 1x1 convolution mixes them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = EqualConv2d(2 * width, width, 1)

    def forward(self, p: Tensor, q: Tensor) -> Tensor:
        return self.mix(torch.cat([p, q.to(p.dtype)], dim=1))  # type: ignore[no-any-return]
