"""KID: the distance between two sets of pictures, without assuming Gaussians."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class KernelDistance(NamedTuple):
    """Mean and (population) standard deviation over the subsets."""

    mean: float
    std: float


def polynomial_mmd(a: Tensor, b: Tensor) -> float:
    """Features (N, D) and (M, D) -> the unbiased squared maximum mean discrepancy of the kernel (x . y / D + 1)^3.

    Range (-inf, inf): unbiased, it may be a little below 0. higher_is_better: no. Source: Gretton et al., JMLR 2012,
    eq. 3; the kernel is that of Bińkowski et al., ICLR 2018, section 4. Raises ValueError for shapes that do not fit.
    """
    _check(a, b)
    if min(len(a), len(b)) < 2:
        raise ValueError(f"at least two features of each set are needed, got {len(a)} and {len(b)}")
    a, b = a.double(), b.double()
    within = sum(_mean_of_others(_kernel(x, x)) for x in (a, b))
    return float(within - 2 * _kernel(a, b).mean())


def kernel_distance(
    a: Tensor, b: Tensor, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> KernelDistance:
    """Features (N, D) and (M, D) -> ``polynomial_mmd`` of ``subsets`` random subsets. Of Inception features: KID.

    Range and direction are those of ``polynomial_mmd`` (higher_is_better: no). A subset has ``subset_size`` features of
    each set, drawn without replacement, or as many as the smaller set has. Same seed, same number. Source: Bińkowski et
    al., ICLR 2018, section 4; PMRF takes subsets of min(1000, N).
    """
    _check(a, b)
    if subsets < 1 or subset_size < 2:
        raise ValueError(f"one subset of two features at least, got {subsets} of {subset_size}")
    size = min(subset_size, len(a), len(b))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(subsets):
        mine, yours = (torch.from_numpy(rng.choice(len(x), size, replace=False)).to(x.device) for x in (a, b))
        found.append(polynomial_mmd(a[mine], b[yours]))
    return KernelDistance(float(np.mean(found)), float(np.std(found)))


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _mean_of_others(kernel: Tensor) -> Tensor:
    """The mean of a square matrix without its diagonal."""
    count = len(kernel)
    return (kernel.sum() - kernel.trace()) / (count * (count - 1))


def _check(a: Tensor, b: Tensor) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features must be (N, D) and (M, D), got {tuple(a.shape)} and {tuple(b.shape)}")
