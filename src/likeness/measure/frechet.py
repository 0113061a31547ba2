"""FID: the distance between two sets of pictures, as Gaussians of Inception features.

Three variants are published. They differ in how a picture is brought to 299 pixels and scaled, and their numbers must
not be mixed:

- pytorch-fid: ``pytorch_fid_input``;
- torch-fidelity (PMRF): ``torch_fidelity_input``;
- BasicSR (VQFR): ``basicsr_input``, numerically the first, from pictures in [-1, 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.nets.inception import SIDE


def pytorch_fid_input(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> (B, 3, 299, 299) in [-1, 1]: bilinear, no antialiasing."""
    return 2 * _bilinear(pictures.float()) - 1


def basicsr_input(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [-1, 1] -> (B, 3, 299, 299) in [-1, 1]: bilinear, no antialiasing, nothing else."""
    return _bilinear(pictures.float())


def torch_fidelity_input(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> (B, 3, 299, 299) in [-1, 127 / 128]: rounded to 8 bit, TensorFlow 1's bilinear.

    There pixel i of the result lies at i * side / 299 of the picture, without the half pixel's shift.
    """
    levels = (pictures.float() * 255).round().clamp(0, 255)
    return (_tensorflow1(_tensorflow1(levels, 2), 3) - 128) / 128


def _bilinear(pictures: Tensor) -> Tensor:
    return F.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", align_corners=False)


def _tensorflow1(x: Tensor, dim: int) -> Tensor:
    size = x.shape[dim]
    place = torch.arange(SIDE, dtype=torch.float32, device=x.device) * (size / SIDE)
    low = place.floor().long().clamp(max=size - 1)
    high = (low + 1).clamp(max=size - 1)
    part = (place - low).view([-1 if d == dim else 1 for d in range(x.ndim)])
    start = x.index_select(dim, low)
    return start + (x.index_select(dim, high) - start) * part


def feature_statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Features (N, D), N >= 2 -> mean (D,) and covariance (D, D), float64; the covariance is divided by N - 1.

    All three variants do so. Raises ValueError for another shape.
    """
    if features.ndim != 2 or features.shape[0] < 2:
        raise ValueError(f"features must be (N, D) with N >= 2, got {tuple(features.shape)}")
    wide = features.double()
    mean = wide.mean(0)
    centred = wide - mean
    return mean, centred.T @ centred / (len(wide) - 1)


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """Squared Fréchet distance between two Gaussians: means (D,), covariances (D, D), numpy arrays too. In float64.

    Range [0, inf), 0 for equal ones, up to rounding. higher_is_better: no. Of 2048 Inception features: FID. Raises
    ValueError for shapes that differ, numbers that are not finite, and matrices that are no covariances.

    Source: Heusel et al., NeurIPS 2017, eq. 6: ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``. The trace of the root
    is the sum of the singular values of ``C1^(1/2) C2^(1/2)``. Unlike a root of the product, they are exact for
    singular covariances too (fewer pictures than features), where the published scripts add 1e-6 to both if they fail.
    """
    m1, c1, m2, c2 = (torch.as_tensor(x).double() for x in (mean1, cov1, mean2, cov2))
    size = m1.numel()
    if m1.shape != (size,) or m2.shape != (size,) or c1.shape != (size, size) or c2.shape != (size, size):
        shapes = [tuple(x.shape) for x in (m1, c1, m2, c2)]
        raise ValueError(f"means must be (D,) and covariances (D, D), got {shapes}")
    if not all(bool(x.isfinite().all()) for x in (m1, c1, m2, c2)):
        raise ValueError("means and covariances must be finite")
    both = _root(c1).T @ _root(c2)
    # By eigenvalues, ten times as fast as a decomposition into singular values. On the shorter side there are no zeros,
    # whose rounding errors the root would enlarge.
    gram = both @ both.T if both.shape[0] <= both.shape[1] else both.T @ both
    trace = c1.trace() + c2.trace() - 2 * torch.linalg.eigvalsh(gram).clamp(min=0).sqrt().sum()
    return max(0.0, float((m1 - m2).square().sum() + trace))


def _root(matrix: Tensor) -> Tensor:
    """R (D, rank) with R R^T = ``matrix``; eigenvalues that are 0 but for rounding are left out. Raises ValueError."""
    symmetric = (matrix + matrix.T) / 2
    largest = float(matrix.abs().max())
    if float((matrix - symmetric).abs().max()) > 1e-6 * largest:
        raise ValueError("a covariance must be symmetric")
    values, vectors = torch.linalg.eigh(symmetric)
    if float(values[0]) < -1e-6 * largest * len(matrix):
        raise ValueError(f"a covariance has no negative eigenvalues, got {float(values[0]):.3g}")
    least = float(values[-1]) * len(matrix) * torch.finfo(values.dtype).eps
    kept = values > least
    return vectors[:, kept] * values[kept].sqrt()  # type: ignore[no-any-return]
