"""Which probe is compared with whom, and every figure of the study from the scores, with intervals by person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from likeness.study.identity.resample import interval, resample_persons
from likeness.study.identity.verification import Ranked, Roc, d_prime, equal_error_rate_of, rank_one, tar_at_far_of
from likeness.study.statistics import RESAMPLES, Estimate

FARS = (0.01, 0.001)
FIGURES = ("genuine", "impostor", "d_prime", "eer", *(f"tar_at_far_{far:g}" for far in FARS), "rank_one")


@dataclass(frozen=True)
class Comparisons:
    """(C,) whole numbers each: the probe, the template it is compared with, and the persons of both.

    A template is what is known of a person: the mean direction of the vectors of their gallery pictures (of pairs: of
    one picture). ``complete``: every probe is compared with every person once, so identification is defined.
    """

    probe: np.ndarray
    template: np.ndarray
    probe_person: np.ndarray
    template_person: np.ndarray
    complete: bool

    @property
    def same(self) -> np.ndarray:
        """(C,) bool: genuine."""
        return np.asarray(self.probe_person == self.template_person)

    def scores(self, probes: np.ndarray, templates: np.ndarray) -> np.ndarray:
        """(N, D) and (M, D) unit vectors -> (C,) cosine similarities in [-1, 1]."""
        return np.asarray(np.einsum("cd,cd->c", probes[self.probe], templates[self.template]).clip(-1, 1))


@dataclass(frozen=True)
class Figures:
    """Of one contender: figures by name, and the mean genuine similarity by group, with their changes by restoration.

    The changes are of paired differences: the same people drawn before and after. None for the direct feed.
    """

    values: dict[str, Estimate]
    changes: dict[str, Estimate] | None
    groups: list[Estimate]
    group_changes: list[Estimate] | None
    curve: Roc


class Judge:
    """Computes all figures of score lists over the same comparisons. ``groups``: (C,) number of each one's group."""

    def __init__(self, comparisons: Comparisons, groups: np.ndarray, group_count: int, persons: int) -> None:
        same = comparisons.same
        self.comparisons, self.persons, self.same = comparisons, persons, same
        self._genuine_person = comparisons.probe_person[same]
        self._impostor_persons = comparisons.probe_person[~same], comparisons.template_person[~same]
        self._member = (groups[same][None] == np.arange(group_count)[:, None]).astype(np.float64)

    def figures(
        self, scores: Sequence[np.ndarray], *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
    ) -> list[Figures]:
        """``scores``: (C,) of each contender, the direct feed first."""
        prepared = [self._prepare(one) for one in scores]
        ones = np.ones(self.persons)
        values = np.stack([self._all(one, ones) for one in prepared])
        drawn = resample_persons(
            self.persons,
            lambda counts: np.stack([self._all(one, counts) for one in prepared]),
            resamples=resamples,
            seed=seed,
        )
        with np.errstate(invalid="ignore"):  # inf - inf of a d' without spread is no change that can be given
            change, drawn_change = values - values[0], drawn - drawn[:, :1]
        result = []
        for k, one in enumerate(prepared):
            now = [interval(values[k, j], drawn[:, k, j], level) for j in range(values.shape[1])]
            by = [interval(change[k, j], drawn_change[:, k, j], level) for j in range(values.shape[1])] if k else None
            result.append(
                Figures(
                    dict(zip(FIGURES, now, strict=False)),
                    None if by is None else dict(zip(FIGURES, by, strict=False)),
                    now[len(FIGURES) :],
                    None if by is None else by[len(FIGURES) :],
                    one.ranked.roc(),
                )
            )
        return result

    def _prepare(self, scores: np.ndarray) -> _Prepared:
        genuine, impostor = scores[self.same], scores[~self.same]
        hits = self.hits(scores)
        return _Prepared(genuine, impostor, Ranked(genuine, impostor), None if hits is None else hits.astype(float))

    def hits(self, scores: np.ndarray) -> np.ndarray | None:
        """(N,) bool, whether the best template is the probe's own person; None where not all were compared."""
        if not self.comparisons.complete:
            return None
        probes, columns = self.comparisons.probe, self.comparisons.template
        shape = int(probes.max()) + 1, int(columns.max()) + 1
        # complete: row by row, so that scores, and whom they belong to, fold into a table
        persons = self.comparisons.template_person.reshape(shape)[0]
        return rank_one(scores.reshape(shape), persons, self.comparisons.probe_person.reshape(shape)[:, 0])

    def _all(self, one: _Prepared, counts: np.ndarray) -> np.ndarray:
        """Every figure, then the genuine mean of every group, with each person counted as often as drawn."""
        genuine_weight = counts[self._genuine_person]
        impostor_weight = counts[self._impostor_persons[0]] * counts[self._impostor_persons[1]]
        curve = one.ranked.roc(genuine_weight, impostor_weight)
        impostors = float(impostor_weight.sum())
        # The gallery of the identification stays whole: with fewer people in it, it would be easier.
        found = _mean(one.hits, genuine_weight) if one.hits is not None else float("nan")
        return np.array(
            [
                _mean(one.genuine, genuine_weight),
                _mean(one.impostor, impostor_weight),
                d_prime(one.genuine, one.impostor, genuine_weight, impostor_weight),
                equal_error_rate_of(curve),
                *(tar_at_far_of(curve, far, impostors) for far in FARS),
                found,
                *(_mean(one.genuine, genuine_weight * member) for member in self._member),
            ]
        )


@dataclass(frozen=True)
class _Prepared:
    genuine: np.ndarray
    impostor: np.ndarray
    ranked: Ranked
    hits: np.ndarray | None


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    total = float(weights.sum())
    return float(weights @ values) / total if total else float("nan")


def against_all(probe_persons: np.ndarray, template_persons: np.ndarray) -> Comparisons:
    """Every probe (N,) with every template (M,), row by row; one template for each person."""
    n, m = len(probe_persons), len(template_persons)
    return Comparisons(
        np.repeat(np.arange(n), m),
        np.tile(np.arange(m), n),
        np.repeat(probe_persons, m),
        np.tile(template_persons, n),
        complete=True,
    )
