"""Discrete noise schedules: the tables of DDPM training, and their respacing for fewer steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Schedule:
    """Levels gamma (alpha-bar) of a discrete diffusion, from the least to the most noisy; all tables float64, (T,).

    ``times``: the step number that the network was trained with at each index; after respacing they have gaps.
    Raises ValueError for levels that do not fall from below 1 to above 0.
    """

    gammas: np.ndarray
    times: np.ndarray

    def __post_init__(self) -> None:
        if self.gammas.ndim != 1 or self.gammas.shape != self.times.shape or not len(self.gammas):
            raise ValueError(f"expected two tables of one length, got {self.gammas.shape} and {self.times.shape}")
        if not (np.all(np.diff(self.gammas) < 0) and self.gammas[0] < 1 and self.gammas[-1] > 0):
            raise ValueError("levels must fall strictly within (0, 1)")

    @classmethod
    def from_betas(cls, betas: np.ndarray) -> Schedule:
        """The schedule of the variances ``betas`` added at each step (Ho et al. 2020)."""
        return cls(np.cumprod(1.0 - np.asarray(betas, np.float64)), np.arange(len(betas)))

    @classmethod
    def linear(cls, first: float = 1e-4, last: float = 2e-2, steps: int = 1000) -> Schedule:
        """Betas in even steps (Ho et al. 2020)."""
        return cls.from_betas(np.linspace(first, last, steps, dtype=np.float64))

    @classmethod
    def scaled_linear(cls, first: float = 0.00085, last: float = 0.012, steps: int = 1000) -> Schedule:
        """Betas whose roots go in even steps (latent diffusion; the defaults are Stable Diffusion's)."""
        return cls.from_betas(np.linspace(first**0.5, last**0.5, steps, dtype=np.float64) ** 2)

    def __len__(self) -> int:
        return len(self.gammas)

    @property
    def gammas_before(self) -> np.ndarray:
        """The level one index less noisy; 1 at index 0."""
        return np.append(1.0, self.gammas[:-1])

    @property
    def betas(self) -> np.ndarray:
        """Variance added from one index to the next."""
        return np.asarray(1.0 - self.gammas / self.gammas_before)

    @property
    def posterior_variance(self) -> np.ndarray:
        """Variance of q(x_{t-1} | x_t, x0) (Ho et al. 2020, eq. 7); 0 at index 0."""
        return self.betas * (1.0 - self.gammas_before) / (1.0 - self.gammas)

    @property
    def posterior_mean(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights of x0 and of x_t in the mean of q(x_{t-1} | x_t, x0) (Ho et al. 2020, eq. 7)."""
        before = self.gammas_before
        of_x0 = self.betas * np.sqrt(before) / (1.0 - self.gammas)
        of_x_t = (1.0 - before) * np.sqrt(1.0 - self.betas) / (1.0 - self.gammas)
        return of_x0, of_x_t

    def respaced(self, kept: np.ndarray) -> Schedule:
        """The schedule that visits only the indices ``kept`` (increasing); levels stay, betas grow accordingly."""
        return Schedule(self.gammas[kept], self.times[kept])


def strided(total: int, count: int) -> np.ndarray:
    """Indices 0, s, 2s, ... with the stride s that gives exactly ``count`` of ``total`` (DDIM's "ddim250").

    Raises ValueError when no whole stride does.
    """
    for stride in range(1, total + 1):
        if len(range(0, total, stride)) == count:
            return np.arange(0, total, stride)
    raise ValueError(f"no whole stride keeps {count} of {total} steps")


def spread_evenly(total: int, count: int) -> np.ndarray:
    """``count`` indices from the first to the last of ``total``, rounded to whole ones. Raises ValueError."""
    if not 1 <= count <= total:
        raise ValueError(f"count must be in [1, {total}], got {count}")
    step = (total - 1) / (count - 1) if count > 1 else 1.0
    return np.array([round(step * i) for i in range(count)])
