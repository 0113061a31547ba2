"""The acceptance test of a graph: the pixels of the module that it was made of, to rounding.

That the face stays the same person (identity distance at most 0.02) follows, and is tested where faces are known.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LIMIT = 45.0  # dB against the module in float32


def psnr(picture: Tensor, reference: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of two outputs of a network, pictures in [-1, 1] (clipped to it).

    Infinite when they are equal, minus infinite when ``picture`` has a value that is not finite or another shape.
    """
    if picture.shape != reference.shape or not bool(torch.isfinite(picture).all()):
        return -math.inf
    error = (picture.double().clamp(-1, 1) - reference.double().clamp(-1, 1)).square().mean().item()
    return math.inf if error == 0 else 10 * math.log10(4 / error)
