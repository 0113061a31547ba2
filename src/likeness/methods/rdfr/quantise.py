"""Codebooks of features of clean pictures (papers/003, section 3.1.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from likeness.nets.upfirdn import full_precision

USED = 1e-6  # a code whose average count is below is not divided by it


class Codebook(nn.Module):
    """The codes c_k, and the moving averages that they are: ``codes`` = ``total`` / ``count``.

    They are buffers: no gradient ever reaches them. ``forward`` is eq. 2 with the gradient passed straight through.
    """

    def __init__(self, codes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.randn(codes, width))
        self.register_buffer("count", torch.zeros(codes))
        self.register_buffer("total", torch.zeros(codes, width))
        self.codes: Tensor
        self.count: Tensor
        self.total: Tensor

    def nearest(self, p: Tensor) -> Tensor:
        """For each place of ``p`` (B, d, H, W) the index (B, H, W) of the nearest code (eq. 2), always in float32."""
        with full_precision(p):
            points = _points(p)
            # |p|^2 is the same for all codes and is left out
            distance = torch.addmm(self.codes.square().sum(1), points, self.codes.T, alpha=-2)
            return distance.argmin(1).view(p.shape[0], *p.shape[2:])

    def forward(self, p: Tensor) -> tuple[Tensor, Tensor]:
        """(B, d, H, W) -> p^q with the gradient of ``p``, and p^q itself, which has none; float32."""
        chosen = self.codes[self.nearest(p)].permute(0, 3, 1, 2)
        p = p.float()
        return p + (chosen - p).detach(), chosen

    @torch.no_grad()
    def statistics(self, p: Tensor) -> tuple[Tensor, Tensor]:
        """Of features (B, d, H, W): how many choose each code (K,), and their sum (K, d)."""
        index, points = self.nearest(p).flatten(), _points(p)
        count = torch.zeros_like(self.count).index_add_(0, index, torch.ones_like(points[:, 0]))
        return count, torch.zeros_like(self.total).index_add_(0, index, points)

    @torch.no_grad()
    def move(self, count: Tensor, total: Tensor, decay: float) -> None:
        """One step of the averages that stand for the first term of eq. 3 (van den Oord et al. 2017, appendix A.1).

        ``count`` and ``total`` as ``statistics`` gives them. A code that nobody chose stays where it is.
        """
        self.count.lerp_(count, 1 - decay)
        self.total.lerp_(total, 1 - decay)
        mean = self.total / self.count.clamp_min(USED)[:, None]
        self.codes.copy_(torch.where((count > 0)[:, None] & (self.count > USED)[:, None], mean, self.codes))

    @torch.no_grad()
    def replace(self, which: Tensor, features: Tensor, count: float) -> None:
        """Codes of the mask ``which`` (K,) become ``features`` (K, d), as if ``count`` had chosen them."""
        mask = which[:, None]
        self.codes.copy_(torch.where(mask, features, self.codes))
        self.total.copy_(torch.where(mask, features * count, self.total))
        self.count.masked_fill_(which, count)


def _points(p: Tensor) -> Tensor:
    """(B, d, H, W) -> (B H W, d) float32."""
    return p.float().permute(0, 2, 3, 1).flatten(0, 2)
