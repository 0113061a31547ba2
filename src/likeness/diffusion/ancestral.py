"""Ancestral sampling (DDPM) with a network that predicts x0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor


def ancestral_step(x_t: Tensor, x0: Tensor, gamma: float, gamma_next: float, noise: Tensor) -> Tensor:
    """A sample of q(x_s | x_t, x0) for a less noisy level s: gamma = gamma_t < gamma_next = gamma_s <= 1.

    With alpha = gamma_t / gamma_s:
    mean = (sqrt(gamma_s) (1 - alpha) x0 + sqrt(alpha) (1 - gamma_s) x_t) / (1 - gamma_t),
    variance = (1 - gamma_s) (1 - alpha) / (1 - gamma_t) (Ho et al. 2020, eq. 6-7, between any two levels).
    """
    if not 0.0 <= gamma < gamma_next <= 1.0:
        raise ValueError(f"levels must satisfy 0 <= gamma < gamma_next <= 1, got {gamma}, {gamma_next}")
    alpha = gamma / gamma_next
    mean = (gamma_next**0.5 * (1 - alpha) * x0 + alpha**0.5 * (1 - gamma_next) * x_t) / (1 - gamma)
    variance = (1 - gamma_next) * (1 - alpha) / (1 - gamma)
    return mean + variance**0.5 * noise  # type: ignore[no-any-return]


def sample(
    predict: Callable[[Tensor, float], Tensor],
    gammas: Sequence[float],
    noise: Callable[[], Tensor],
) -> Tensor:
    """Run the reverse chain and return the last x0.

    ``predict(x_t, gamma)`` gives x0; ``gammas`` are the levels asked, increasing, the first usually 0;
    ``noise()`` gives fresh standard normal noise of the picture's shape. The last prediction is returned as it is,
    without noise.
    """
    x_t = noise()
    x0 = predict(x_t, gammas[0])
    for gamma, gamma_next in pairwise(gammas):
        x_t = ancestral_step(x_t, x0, gamma, gamma_next, noise())
        x0 = predict(x_t, gamma_next)
    return x0


def seeded_noise(
    shape: Sequence[int], seeds: Sequence[int], device: torch.device | str = "cpu"
) -> Callable[[], Tensor]:
    """A source of noise (len(seeds), *shape) in which each row depends on its own seed only, not on the batch."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def draw() -> Tensor:
        rows = [torch.randn(tuple(shape), generator=g) for g in generators]
        return torch.stack(rows).to(device)

    return draw
