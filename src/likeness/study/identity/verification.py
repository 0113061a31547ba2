"""Verification and identification from similarity scores; pure functions.

A score is a similarity: the higher, the more alike; a comparison is accepted at ``score >= threshold``. ``genuine``
(G,) are scores of two pictures of one person, ``impostor`` (I,) of two people. FAR, the false accept rate, is the share
of impostors accepted; TAR, the true accept rate, that of genuine ones. Each score may carry a weight (default 1): how
often it counts. Functions raise ValueError for empty scores, scores that are not finite, and weights that do not fit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Roc(NamedTuple):
    """Receiver operating characteristic, (T + 1,) each, from the threshold inf (nothing accepted) downwards.

    ``far`` and ``tar`` lie in [0, 1] and never fall; both end at 1.
    """

    far: np.ndarray
    tar: np.ndarray
    thresholds: np.ndarray


class Ranked:
    """Scores in order, sorted once, so that they can be weighed anew many times."""

    def __init__(self, genuine: np.ndarray, impostor: np.ndarray) -> None:
        genuine, impostor = _scores("genuine", genuine), _scores("impostor", impostor)
        distinct, place = np.unique(np.concatenate([genuine, impostor]), return_inverse=True)
        self.thresholds = np.concatenate([[np.inf], distinct[::-1]])
        place = len(distinct) - 1 - place.ravel()
        self._genuine, self._impostor = place[: len(genuine)], place[len(genuine) :]

    def roc(self, genuine_weights: np.ndarray | None = None, impostor_weights: np.ndarray | None = None) -> Roc:
        """The curve; nan where the weights of one kind are all zero."""
        far, tar = (
            self._accepted(place, weights)
            for place, weights in ((self._impostor, impostor_weights), (self._genuine, genuine_weights))
        )
        return Roc(far, tar, self.thresholds)

    def _accepted(self, place: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        if weights is not None and np.shape(weights) != place.shape:
            raise ValueError(f"there must be a weight for each of {len(place)} scores, got {np.shape(weights)}")
        at = np.bincount(place, weights, minlength=len(self.thresholds) - 1)
        share = np.cumsum(at, dtype=np.float64)
        if share[-1] == 0:
            return np.full(len(self.thresholds), np.nan)
        return np.concatenate([[0.0], share / share[-1]])


def roc(genuine: np.ndarray, impostor: np.ndarray) -> Roc:
    """(G,), (I,) scores -> the curve, with one point for each distinct score, and one for accepting nothing."""
    return Ranked(genuine, impostor).roc()


def equal_error_rate(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """Where the false accept rate equals the false reject rate 1 - TAR; in [0, 1], higher_is_better: no.

    Between the two points of the curve around the crossing it is interpolated linearly.
    """
    return equal_error_rate_of(roc(genuine, impostor))


def equal_error_rate_of(curve: Roc) -> float:
    """``equal_error_rate`` of a curve; nan of one that is nan."""
    if np.isnan(curve.far[-1]) or np.isnan(curve.tar[-1]):
        return float("nan")
    excess = curve.far + curve.tar - 1  # FAR - FRR: from -1 up to 1
    k = int(np.argmax(excess >= 0))
    share = -excess[k - 1] / (excess[k] - excess[k - 1])
    return float(curve.far[k - 1] + share * (curve.far[k] - curve.far[k - 1]))


def tar_at_far(genuine: np.ndarray, impostor: np.ndarray, far: float) -> float:
    """The highest TAR of the thresholds with a FAR of at most ``far``; in [0, 1], higher_is_better: yes.

    Not interpolated. nan when ``far`` is below 1 / I: so few impostors cannot show such a rate. Raises ValueError for
    ``far`` outside (0, 1].
    """
    return tar_at_far_of(roc(genuine, impostor), far, len(np.asarray(impostor)))


def tar_at_far_of(curve: Roc, far: float, impostors: float) -> float:
    """``tar_at_far`` of a curve from ``impostors`` scores (their weights' sum); nan of one that is nan."""
    if not 0 < far <= 1:
        raise ValueError(f"far must be in (0, 1], got {far}")
    if impostors == 0 or np.isnan(curve.tar[-1]) or far * impostors < 1 - 1e-9:
        return float("nan")
    return float(curve.tar[np.searchsorted(curve.far, far * (1 + 1e-12), side="right") - 1])


def d_prime(
    genuine: np.ndarray,
    impostor: np.ndarray,
    genuine_weights: np.ndarray | None = None,
    impostor_weights: np.ndarray | None = None,
) -> float:
    """|mean difference| / sqrt(mean of the two variances): how far apart the scores lie; at least 0.

    higher_is_better: yes. The variances are those of the scores at hand (not of a sample); inf when both are 0 and the
    means differ; nan where the weights of one kind are all zero. For two normal laws of one variance the equal error
    rate is Phi(-d' / 2). Source: Daugman, "Biometric decision landscapes", 2000.
    """
    mg, vg = _moments(_scores("genuine", genuine), genuine_weights)
    mi, vi = _moments(_scores("impostor", impostor), impostor_weights)
    apart, spread = abs(mg - mi), np.sqrt((vg + vi) / 2)
    if spread == 0:
        return float("inf") if apart > 0 else 0.0
    return float(apart / spread)


def rank_one(similarity: np.ndarray, gallery: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """Closed-set identification: (N, M) similarity of probes and gallery pictures -> (N,) bool, whether the best
    gallery picture is of the probe's own person.

    ``gallery`` (M,) and ``probes`` (N,) say who is in them. A tie with another person is wrong: a recogniser that knows
    nothing finds nobody. Raises ValueError for shapes that do not fit and for a probe whose person has no gallery.
    """
    similarity, gallery, probes = np.asarray(similarity), np.asarray(gallery), np.asarray(probes)
    if similarity.shape != (len(probes), len(gallery)):
        raise ValueError(f"similarity must be {(len(probes), len(gallery))}, got {similarity.shape}")
    own = probes[:, None] == gallery[None]
    if not own.any(axis=1).all():
        raise ValueError("every probe's person must be in the gallery")
    best_own = np.where(own, similarity, -np.inf).max(axis=1)
    best_other = np.where(own, -np.inf, similarity).max(axis=1, initial=-np.inf)
    return np.asarray(best_own > best_other)


def _scores(name: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"{name} scores must be a list of finite numbers, not empty; got shape {values.shape}")
    return values


def _moments(values: np.ndarray, weights: np.ndarray | None) -> tuple[float, float]:
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weights.shape != values.shape:
        raise ValueError(f"there must be a weight for each of {len(values)} scores, got {weights.shape}")
    total = weights.sum()
    if total == 0:
        return float("nan"), float("nan")
    mean = float(weights @ values / total)
    return mean, float(weights @ (values - mean) ** 2 / total)
