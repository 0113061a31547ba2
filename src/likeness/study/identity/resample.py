"""Bootstrap by person: pictures of one person are not independent, people are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from likeness.study.statistics import RESAMPLES, Estimate


def resample_persons(
    persons: int, statistics: Callable[[np.ndarray], np.ndarray], *, resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray:
    """Draw ``persons`` people with replacement, ``resamples`` times -> (resamples, ...) of what ``statistics`` gives.

    ``statistics`` gets (persons,) counts: how often each was drawn. A genuine comparison of person p then counts
    count[p] times, an impostor comparison of p and q count[p] * count[q] times: probe side and gallery side are drawn
    together, and two draws of one person are never compared with each other, neither as genuine (it would count
    count[p]^2 times) nor as impostors (they are alike). Same seed, same draws: differences of two drawn statistics are
    paired. Raises ValueError for no persons.
    """
    if persons < 1:
        raise ValueError("there must be people to draw from")
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            statistics(np.bincount(rng.integers(0, persons, persons), minlength=persons).astype(np.float64))
            for _ in range(resamples)
        ]
    )


def interval(value: float, drawn: np.ndarray, level: float = 0.95) -> Estimate:
    """A figure with the percentile interval of (resamples,) ``drawn`` ones.

    A draw without impostors (one person, again and again) has no such figure (nan) and does not count; with fewer than
    half the draws left, or a figure that is not finite, there is no interval: nan.
    """
    known = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or 2 * len(known) < len(drawn):
        return Estimate(float(value), float("nan"), float("nan"))
    tail = (1 - level) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Estimate(float(value), float(low), float(high))
