"""What pairwise votes say: shares, Bradley-Terry strengths, their intervals, and how metrics agree with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from likeness.study.statistics import RESAMPLES, Estimate

PRIOR = 0.5  # wins added each way between every two methods, so that one that never lost has a finite strength
_TOLERANCE = 1e-8  # votes: how far the wins that the strengths expect may be from those counted
_ITERATIONS = 200_000
_CHUNK = 200  # resamples at a time, which bounds the memory


@dataclass(frozen=True)
class Comparisons:
    """V votes between ``n`` methods; all arrays (V,).

    ``left``, ``right``: indices of the methods, in [0, n). ``score``: 1 left is better, 0 right is, 0.5 no difference.
    ``picture``, ``rater``: indices of what was judged, and by whom. Raises ValueError for no votes, shapes that differ,
    indices out of range, other scores, or a method against itself.
    """

    n: int
    left: np.ndarray
    right: np.ndarray
    score: np.ndarray
    picture: np.ndarray
    rater: np.ndarray

    def __post_init__(self) -> None:
        arrays = self.left, self.right, self.score, self.picture, self.rater
        if len({np.shape(a) for a in arrays}) != 1 or np.ndim(self.left) != 1 or len(self.left) == 0:
            raise ValueError(f"votes must be arrays (V,) of one length, V > 0, got {[np.shape(a) for a in arrays]}")
        methods = np.concatenate([self.left, self.right])
        if methods.min() < 0 or methods.max() >= self.n:
            raise ValueError(f"methods must be in [0, {self.n}), got {methods.min()} to {methods.max()}")
        if (self.left == self.right).any():
            raise ValueError("a method was compared with itself")
        if not np.isin(self.score, (0, 0.5, 1)).all():
            raise ValueError(f"a score must be 0, 0.5 or 1, got {np.unique(self.score)}")

    def wins(self) -> np.ndarray:
        """(n, n) float64: how often the row's method was preferred to the column's; no difference is half a win each.

        >>> one = np.array([0])
        >>> Comparisons(2, one, one + 1, np.array([0.5]), one, one).wins().tolist()
        [[0.0, 0.5], [0.5, 0.0]]
        """
        return np.asarray(self._weighted(np.ones((1, len(self.left))))[0])

    def resampled_wins(self, resamples: int = RESAMPLES, *, seed: int = 0) -> np.ndarray:
        """(R, n, n): ``wins`` of bootstrap samples that draw pictures and raters, both with replacement.

        A vote counts as often as its picture was drawn times as often as its rater was: neither votes on one picture
        nor votes of one rater are independent. Of one picture (or one rater) only the other is drawn. Same seed, same
        samples. Source: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007; the interval is wide rather
        than narrow.
        """
        rng = np.random.default_rng(seed)
        found = []
        for start in range(0, resamples, _CHUNK):
            size = min(_CHUNK, resamples - start)
            weights = np.ones((size, len(self.left)))
            for group in (self.picture, self.rater):
                _, index = np.unique(group, return_inverse=True)
                count = int(index.max()) + 1
                if count > 1:
                    weights *= rng.multinomial(count, np.full(count, 1 / count), size=size)[:, index]
            found.append(self._weighted(weights))
        return np.concatenate(found)

    @property
    def resamplable(self) -> bool:
        """Whether there are two pictures or two raters, without which nothing can be said of the spread."""
        return any(len(np.unique(group)) > 1 for group in (self.picture, self.rater))

    def _weighted(self, weights: np.ndarray) -> np.ndarray:
        """(R, V) weights -> (R, n, n) wins."""
        cells = np.zeros((len(self.left), self.n * self.n))
        vote = np.arange(len(self.left))
        cells[vote, self.left * self.n + self.right] = self.score
        cells[vote, self.right * self.n + self.left] = 1 - self.score
        return (weights @ cells).reshape(-1, self.n, self.n)


def bradley_terry(wins: np.ndarray, *, prior: float = 0.0, names: Sequence[str] | None = None) -> np.ndarray:
    """(..., n, n) wins of the row over the column -> (..., n) log-strengths, their mean 0.

    The chance that i is preferred to j is exp(s_i) / (exp(s_i) + exp(s_j)); the maximum of the likelihood, by the MM
    algorithm. ``prior``: wins added each way between every two methods; ``PRIOR`` in this study. Without it the maximum
    exists only if, however the methods are split in two, each side won against the other: else ValueError, which names
    (by ``names``, or numbers) who never won or lost. Also for wins that are negative, not finite, or a method's over
    itself. Source: Hunter, MM algorithms for generalized Bradley-Terry models, Annals of Statistics 2004, eq. 3.

    >>> bradley_terry(np.array([[0, 3], [1, 0]])).round(4).tolist()  # +-log(3) / 2
    [0.5493, -0.5493]
    """
    wins = np.asarray(wins, dtype=np.float64)
    if wins.ndim < 2 or wins.shape[-1] != wins.shape[-2] or wins.shape[-1] < 2:
        raise ValueError(f"wins must be (..., n, n) with n >= 2, got {wins.shape}")
    n = wins.shape[-1]
    if not np.isfinite(wins).all() or (wins < 0).any() or wins[..., np.arange(n), np.arange(n)].any():
        raise ValueError("wins must be finite, not negative, and 0 of a method over itself")
    if prior < 0:
        raise ValueError(f"prior must not be negative, got {prior}")
    flat = (wins + prior * (1 - np.eye(n))).reshape(-1, n, n)
    for one in flat if prior == 0 else ():
        _refuse_unconnected(one, names or [f"method {i}" for i in range(n)])
    return _maximise(flat).reshape(wins.shape[:-1])


def _maximise(wins: np.ndarray) -> np.ndarray:
    """(R, n, n) connected wins -> (R, n) log-strengths. Rows leave the loop when they are done."""
    won, met = wins.sum(-1), wins + wins.swapaxes(-1, -2)
    strengths = np.full(won.shape, 1.0 / won.shape[-1])
    left = np.arange(len(wins))
    for _ in range(_ITERATIONS):
        p = strengths[left]
        rate = (met[left] / (p[:, :, None] + p[:, None, :])).sum(-1)
        far = np.abs(won[left] - p * rate).max(-1) > _TOLERANCE + 1e-13 * won[left].max(-1)
        if not far.any():
            break
        left = left[far]
        new = won[left] / rate[far]
        strengths[left] = new / new.sum(-1, keepdims=True)
    else:
        raise ValueError(f"the strengths of {len(left)} tables of votes were not found in {_ITERATIONS:,} steps")
    logs = np.log(strengths)
    return np.asarray(logs - logs.mean(-1, keepdims=True))


def _refuse_unconnected(wins: np.ndarray, names: Sequence[str]) -> None:
    beats = wins > 0
    reach = beats | np.eye(len(wins), dtype=bool)
    for _ in range(len(wins)):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    if reach.all():
        return
    never = [f"{names[i]} never lost" for i in range(len(wins)) if not beats[:, i].any()]
    never += [f"{names[i]} never won" for i in range(len(wins)) if not beats[i].any()]
    why = ", ".join(never) or "one group of methods never lost to the others: " + ", ".join(
        names[i] for i in range(len(wins)) if reach[i].sum() == reach.sum(1).max()
    )
    raise ValueError(f"no strengths fit these votes best ({why}): collect more, or give a prior")


class Fit(NamedTuple):
    """For each method: ``strengths``, as ``bradley_terry`` has them, and ``first_choices``.

    A first choice is the chance to be chosen when all methods are shown at once, exp(s_i) / sum_j exp(s_j); they sum to
    1. The tables of papers/001 (3) and papers/003 (2) count it; here it is inferred from pairs. Source: Luce,
    Individual Choice Behavior, 1959.
    """

    strengths: list[Estimate]
    first_choices: list[Estimate]


def fit(votes: Comparisons, *, prior: float = PRIOR, resamples: int = RESAMPLES, seed: int = 0) -> Fit:
    """Strengths and first choices with 95 % bootstrap intervals; nan where there is one picture and one rater."""
    logs = bradley_terry(votes.wins(), prior=prior)
    drawn = bradley_terry(votes.resampled_wins(resamples, seed=seed), prior=prior) if votes.resamplable else None
    chosen = None if drawn is None else _softmax(drawn)
    return Fit(_estimates(logs, drawn), _estimates(_softmax(logs), chosen))


def preference_shares(votes: Comparisons, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Estimate]:
    """The share of its votes that each method won, in [0, 1], with its 95 % bootstrap interval; 0.5 is chance.

    No difference is half a win. nan for a method without votes. A share depends on whom a method met; strengths do not.
    """
    drawn = _shares(votes.resampled_wins(resamples, seed=seed)) if votes.resamplable else None
    return _estimates(_shares(votes.wins()), drawn)


def _shares(wins: np.ndarray) -> np.ndarray:
    won, lost = wins.sum(-1), wins.sum(-2)
    with np.errstate(invalid="ignore"):
        return np.asarray(won / (won + lost))


def _softmax(logs: np.ndarray) -> np.ndarray:
    e = np.exp(logs - logs.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def _estimates(values: np.ndarray, drawn: np.ndarray | None) -> list[Estimate]:
    """(n,) and (R, n) -> n estimates; a resample in which a method has no votes says nothing of it."""
    nan = float("nan")
    found = []
    for i, value in enumerate(values):
        column = np.array([]) if drawn is None else drawn[:, i][np.isfinite(drawn[:, i])]
        low, high = np.quantile(column, [0.025, 0.975]) if len(column) else (nan, nan)
        found.append(Estimate(float(value), float(low), float(high)))
    return found


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rank correlation in [-1, 1]: Pearson's of the ranks, equal values sharing their mean rank.

    nan for fewer than two values, or where one side is constant.

    >>> spearman([1, 2, 3], [10, 20, 15])
    0.5
    """
    x, y = (_ranks(np.asarray(v, dtype=np.float64)) for v in _same_length(a, b))
    x, y = x - x.mean() if len(x) else x, y - y.mean() if len(y) else y
    size = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / size) if size > 0 else float("nan")


def kendall(a: Sequence[float], b: Sequence[float]) -> float:
    """Kendall's tau-b in [-1, 1]; nan for fewer than two values, or where one side is constant.

    >>> round(kendall([1, 2, 3], [10, 20, 15]), 4)
    0.3333
    """
    x, y = (np.asarray(v, dtype=np.float64) for v in _same_length(a, b))
    upper = np.triu_indices(len(x), 1)
    dx, dy = (np.sign(v[:, None] - v[None, :])[upper] for v in (x, y))
    size = np.sqrt((dx @ dx) * (dy @ dy))
    return float(dx @ dy / size) if size > 0 else float("nan")


def _same_length(a: Sequence[float], b: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    if len(a) != len(b):
        raise ValueError(f"both must have the same length, got {len(a)} and {len(b)}")
    return a, b


def _ranks(values: np.ndarray) -> np.ndarray:
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[index])
