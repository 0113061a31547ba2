"""How much a face flickers: what changes from frame to frame in its aligned crop.

In the aligned frame a still face stands still, so that what changes is flicker (and what the face does). The output is
compared with the input in the same frames and the same alignment, so that what the face does counts for both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def difference(crop: np.ndarray, before: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute change between two aligned crops (H, W, 3), weighted by the mask (H, W) in [0, 1].

    In the crops' unit ([0, 1]). Raises ValueError for other shapes or an empty mask.
    """
    if crop.shape != before.shape or crop.shape[:2] != mask.shape:
        raise ValueError(f"crops and mask must have one size, got {crop.shape}, {before.shape}, {mask.shape}")
    weight = float(mask.sum(dtype=np.float64))
    if weight <= 0:
        raise ValueError("the mask is empty")
    change = np.abs(crop - before).mean(axis=2, dtype=np.float64)
    return float((change * mask).sum() / weight)


@dataclass
class Flicker:
    """Means over pairs of frames in a row."""

    pairs: int = 0
    before: float = 0.0
    after: float = 0.0

    def add(self, before: float, after: float) -> None:
        """The changes of a pair, of the input and of the output."""
        self.pairs += 1
        self.before += before
        self.after += after

    def join(self, other: Flicker) -> None:
        """And all pairs of another."""
        self.pairs += other.pairs
        self.before += other.before
        self.after += other.after

    def as_dict(self) -> dict[str, float | int | None]:
        """Means in grey levels of 255, and their ratio output to input (None without pairs or change)."""
        return {
            "pairs": self.pairs,
            "input": round(255 * self.before / self.pairs, 4) if self.pairs else None,
            "output": round(255 * self.after / self.pairs, 4) if self.pairs else None,
            "ratio": round(self.after / self.before, 4) if self.before > 0 else None,
        }
