"""Forward diffusion and respaced schedules."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def diffuse(x0: Tensor, gamma: Tensor | float, noise: Tensor) -> Tensor:
    """A sample of q(x_t | x0) (papers/001 eq. 5): sqrt(gamma) x0 + sqrt(1 - gamma) noise.

    ``x0``, ``noise``: (B, ...); ``gamma``: a number or (B,) in [0, 1].
    """
    if not isinstance(gamma, Tensor):
        gamma = torch.full((x0.shape[0],), float(gamma), dtype=x0.dtype, device=x0.device)
    g = gamma.to(x0).view(-1, *([1] * (x0.ndim - 1)))
    return g.sqrt() * x0 + (1 - g).sqrt() * noise


def respaced_gammas(steps: int, last: float = 0.9) -> list[float]:
    """Noise levels at which the network is asked, for ``steps`` >= 1 evaluations: from 0 up to ``last``.

    The first level is 0, pure noise, where the answer is the posterior mean. The rest are respaced by a cosine in
    the angle of (sqrt(gamma), sqrt(1 - gamma)), so that each step turns by the same angle towards the picture.
    Raises ValueError for ``steps`` < 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if steps == 1:
        return [0.0]
    end = math.asin(math.sqrt(last))
    return [math.sin(end * i / (steps - 1)) ** 2 for i in range(steps)]
