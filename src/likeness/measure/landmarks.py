"""How far the parts of a face moved."""

from __future__ import annotations

from torch import Tensor


def landmark_distance(restored: Tensor, truth: Tensor) -> Tensor:
    """Landmarks (B, N, 2) of restored and true faces, in pixels -> (B,) mean distance over the points, in pixels.

    Range [0, inf). higher_is_better: no. With the 98 points of ``nets.fan.find_landmarks`` in pictures of 512 pixels:
    LMD as VQFR and PMRF report it (the mean over pictures). Raises ValueError for shapes that differ.
    """
    if restored.shape != truth.shape or restored.ndim != 3 or restored.shape[-1] != 2:
        raise ValueError(f"landmarks must be two (B, N, 2), got {tuple(restored.shape)} and {tuple(truth.shape)}")
    return (restored.double() - truth.double()).square().sum(dim=-1).sqrt().mean(dim=-1)
