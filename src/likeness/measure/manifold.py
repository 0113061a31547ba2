"""Precision and recall of a set of pictures, with and without regard to who is in them.

A set's manifold is the union of balls around its features, each reaching to the k-th nearest other feature of the set.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_ROWS = 1024  # rows of distances held at once


class PrecisionRecall(NamedTuple):
    """Both in [0, 1]; higher_is_better: yes, both."""

    precision: float
    recall: float


def precision_recall(real: Tensor, restored: Tensor, k: int = 3) -> PrecisionRecall:
    """Features (N, D) of real and (M, D) of restored pictures -> the share of either that lies in the other's manifold.

    Precision: restored ones in the manifold of the real ones; recall: the reverse. A feature on the edge of a ball lies
    in it. Raises ValueError for shapes that do not fit and for sets of k or fewer. Source: Kynkäänniemi, Karras, Laine,
    Lehtinen, Aila, NeurIPS 2019, eq. 1-2 (k = 3).
    """
    _check(real, restored, k)
    return PrecisionRecall(_covered(restored, real, k, None), _covered(real, restored, k, None))


def identity_precision_recall(
    real: Tensor,
    restored: Tensor,
    real_identities: Tensor | None = None,
    restored_identities: Tensor | None = None,
    k: int = 4,
) -> PrecisionRecall:
    """iPrecision and iRecall: as ``precision_recall``, but only balls around a feature of the same person count.

    ``real`` (N, D), ``restored`` (M, D): features of faces (the paper's are FaceNet's). The identities are (N,) and
    (M,) whole numbers, one for each person; without them the sets are pairs, row by row, of persons that all differ.

    iPrecision: the share of restored features e for which some real e' of the same identity has e within the distance
    from e' to its k-th nearest neighbour among the other real features; iRecall: the same with the sets exchanged. With
    pairs and k = 1: no other real face is nearer to the real one than the restored face is.
    Raises ValueError for shapes that do not fit and for sets of k or fewer. Source: papers/003 ("Rethinking Deep Face
    Restoration"), section 4, eq. 11-12, with the k = 4 of section 5.3 and Figure 4.
    """
    _check(real, restored, k)
    if (real_identities is None) != (restored_identities is None):
        raise ValueError("give the identities of both sets or of neither")
    if real_identities is None or restored_identities is None:
        if len(real) != len(restored):
            raise ValueError(f"without identities the sets must be pairs, got {len(real)} and {len(restored)} features")
        real_identities = restored_identities = torch.arange(len(real), device=real.device)
    for name, one, of in (("real", real_identities, real), ("restored", restored_identities, restored)):
        if one.shape != (len(of),) or one.is_floating_point():
            raise ValueError(f"identities must be {len(of)} whole numbers ({name}), got {tuple(one.shape)} {one.dtype}")
    same = restored_identities[:, None] == real_identities[None]
    return PrecisionRecall(_covered(restored, real, k, same), _covered(real, restored, k, same.T))


def neighbour_distance(features: Tensor, k: int) -> Tensor:
    """(N, D) -> (N,) float64 Euclidean distance from each to its k-th nearest other; equal features are others too."""
    found = []
    for start in range(0, len(features), _ROWS):
        distance = _distance(features[start : start + _ROWS], features)
        own = torch.arange(len(distance), device=features.device)
        distance[own, start + own] = torch.inf
        found.append(distance.kthvalue(k, dim=1).values)
    return torch.cat(found)


def _covered(points: Tensor, by: Tensor, k: int, allowed: Tensor | None) -> float:
    """The share of ``points`` within the radius of one of ``by``; (points, by) ``allowed`` says which pairs count."""
    radius = neighbour_distance(by, k)
    count = 0
    for start in range(0, len(points), _ROWS):
        inside = _distance(points[start : start + _ROWS], by) <= radius
        if allowed is not None:
            inside &= allowed[start : start + _ROWS]
        count += int(inside.any(1).sum())
    return count / len(points)


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """(N, D), (M, D) -> (N, M) in float64. Not by matrix products, which would tell ties apart by rounding."""
    return torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist")


def _check(a: Tensor, b: Tensor, k: int) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features must be (N, D) and (M, D), got {tuple(a.shape)} and {tuple(b.shape)}")
    if not 1 <= k < min(len(a), len(b)):
        raise ValueError(f"k must be at least 1 and below the number of features, got {k} of {min(len(a), len(b))}")
    if not (bool(a.isfinite().all()) and bool(b.isfinite().all())):
        raise ValueError("features must be finite")
