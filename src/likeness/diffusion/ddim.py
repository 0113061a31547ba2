"""DDIM (Song et al. 2021), and the refinement step of SR3 (Saharia et al. 2021; papers/001 eq. 8)."""

from __future__ import annotations

from math import sqrt

from torch import Tensor


def x0_of(x_t: Tensor, eps: Tensor, gamma: float) -> Tensor:
    """The picture in x_t = sqrt(gamma) x0 + sqrt(1 - gamma) eps; ``gamma`` in (0, 1]."""
    return x_t * sqrt(1 / gamma) - eps * sqrt(1 / gamma - 1)


def eps_of(x_t: Tensor, x0: Tensor, gamma: float) -> Tensor:
    """The noise in x_t = sqrt(gamma) x0 + sqrt(1 - gamma) eps; ``gamma`` in [0, 1)."""
    return (x_t - sqrt(gamma) * x0) / sqrt(1 - gamma)


def ddim_step(x0: Tensor, eps: Tensor, gamma: float, gamma_next: float, eta: float, noise: Tensor | None) -> Tensor:
    """From level ``gamma`` to the less noisy ``gamma_next`` (1: the picture), by x0 and eps as the network sees them.

    ``eta`` = 0 is deterministic and needs no ``noise``; 1 has the variance of ancestral sampling (Song et al. 2021,
    eq. 12 and 16). Raises ValueError for levels out of order, or without noise where it is needed.
    """
    if not 0.0 < gamma < gamma_next <= 1.0:
        raise ValueError(f"levels must satisfy 0 < gamma < gamma_next <= 1, got {gamma}, {gamma_next}")
    sigma = eta * sqrt((1 - gamma_next) / (1 - gamma)) * sqrt(1 - gamma / gamma_next)
    x = sqrt(gamma_next) * x0 + sqrt(max(0.0, 1 - gamma_next - sigma**2)) * eps
    if sigma == 0:
        return x
    if noise is None:
        raise ValueError(f"eta = {eta} needs noise")
    return x + sigma * noise


def refinement_step(x_t: Tensor, eps: Tensor, gamma: float, gamma_next: float, noise: Tensor | None) -> Tensor:
    """papers/001 eq. 8: (x_t - (1 - alpha) / sqrt(1 - gamma) eps) / sqrt(alpha) + sqrt(1 - alpha) noise.

    alpha = gamma / gamma_next. ``noise`` None leaves it out, as in the last step. Its variance is beta, larger than
    the posterior's of ``ancestral_step``. Raises ValueError for levels out of order.
    """
    if not 0.0 < gamma < gamma_next <= 1.0:
        raise ValueError(f"levels must satisfy 0 < gamma < gamma_next <= 1, got {gamma}, {gamma_next}")
    alpha = gamma / gamma_next
    x = (x_t - (1 - alpha) / sqrt(1 - gamma) * eps) / sqrt(alpha)
    return x if noise is None else x + sqrt(1 - alpha) * noise
