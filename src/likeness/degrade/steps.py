"""A step is one operation with its concrete parameters: what a recipe draws and a manifest stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.degrade import blur, compress, damage, noise, resample, tone

OPERATIONS: Mapping[str, Callable[..., np.ndarray]] = {
    "gaussian_blur": blur.gaussian_blur,
    "motion_blur": blur.motion_blur,
    "resize": resample.resize,
    "antialiased_bicubic": resample.antialiased_bicubic,
    "gaussian_noise": noise.gaussian_noise,
    "poisson_noise": noise.poisson_noise,
    "jpeg": compress.jpeg,
    "webp": compress.webp,
    "colour_shift": tone.colour_shift,
    "grey": tone.grey,
    "fade": tone.fade,
    "low_light": tone.low_light,
    "occlude": damage.occlude,
    "misalign": damage.misalign,
    "scratches": damage.scratches,
    "paper_grain": damage.paper_grain,
}


@dataclass(frozen=True)
class Step:
    """One operation of ``OPERATIONS`` by name, and its keyword arguments (plain numbers, strings, tuples)."""

    op: str
    params: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.op not in OPERATIONS:
            raise KeyError(f"unknown degradation {self.op!r}; known: {', '.join(OPERATIONS)}")

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"op": self.op, **self.params}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Step:
        """The inverse of ``as_dict``."""
        return cls(data["op"], {k: v for k, v in data.items() if k != "op"})


def apply_steps(image: np.ndarray, steps: Iterable[Step]) -> np.ndarray:
    """Apply the steps in order to ``image`` ((H, W, 3) float32 RGB in [0, 1]); same steps, same result.

    Raises ValueError when the image has another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.float32:
        raise ValueError(f"expected (H, W, 3) float32, got {image.shape} {image.dtype}")
    for step in steps:
        image = OPERATIONS[step.op](image, **step.params)
    return np.clip(np.ascontiguousarray(image, np.float32), 0.0, 1.0)  # a Fourier transform rounds below zero
