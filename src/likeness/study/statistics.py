"""How sure a figure is: bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000


class Estimate(NamedTuple):
    """A figure and its interval; ``low`` and ``high`` are nan where one value alone says nothing of its spread."""

    value: float
    low: float
    high: float


def bootstrap(
    values: np.ndarray,
    statistic: Callable[[np.ndarray], float] | None = None,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """The ``statistic`` (default: the mean) of ``values`` (N, ...) and its percentile bootstrap interval.

    The N rows are drawn with replacement, ``resamples`` times: a row is what is independent (a picture, a person), so
    give pairs that belong together as one row. Same seed, same interval. Raises ValueError for no values or values that
    are not finite. Source: Efron, Annals of Statistics 1979; the percentile interval.

    >>> bootstrap(np.array([1.0, 1.0, 1.0]))
    Estimate(value=1.0, low=1.0, high=1.0)
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(f"there must be values to estimate from, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("values must be finite")
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), got {level}")
    value = float(values.mean() if statistic is None else statistic(values))
    if len(values) == 1:
        return Estimate(value, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    drawn = np.empty(resamples)
    for i in range(resamples):
        sample = values[rng.integers(0, len(values), len(values))]
        drawn[i] = sample.mean() if statistic is None else statistic(sample)
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))


def grouped(
    values: np.ndarray, groups: Sequence[Hashable], statistic: Callable[[np.ndarray], float] | None = None
) -> Estimate:
    """As ``bootstrap`` of ``values``, whose rows of one group (the draws of a picture, say) are drawn together.

    ``groups``: the group of each row. Raises ValueError as ``bootstrap``, and for another number of groups.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(groups) != len(values):
        raise ValueError(f"{len(values)} values, but {len(groups)} groups")
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    if len(members) == len(values):
        return bootstrap(values, statistic)
    if not np.isfinite(values).all():
        raise ValueError("values must be finite")
    rows = [np.array(one) for one in members.values()]

    def of(chosen: np.ndarray) -> float:
        drawn = values[np.concatenate([rows[int(number)] for number in chosen])]
        return float(drawn.mean()) if statistic is None else statistic(drawn)

    return bootstrap(np.arange(len(rows)), of)
