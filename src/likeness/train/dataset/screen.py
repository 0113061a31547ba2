"""Which measured faces are good enough for a training set, and the words for those that are not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Screens:
    """Limits; a figure that is not known passes. Raises ValueError for a limit that is NaN.

    The figures are those of ``figures``; ``size`` is the side, in photo pixels, of the square that became the crop:
    below 512 the crop is enlarged. The limits on light are wide: dark skin in good light has a low mean luma, too.
    """

    min_size: float = 256.0
    min_sharpness: float = 0.3  # drops a blur of sigma 3 of 512 pixels and more, see figures.sharpness
    max_yaw: float = 0.5
    max_pitch: float = 0.4
    min_luma: float = 0.08
    max_luma: float = 0.92
    max_clipped: float = 0.1
    max_outside: float = 0.25
    duplicate_bits: int = -1  # these three: see duplicates.find_duplicates
    person_bits: int = 8
    person_distance: float = 0.1

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if math.isnan(value):
                raise ValueError(f"{one.name} must be a number, got {value}")

    def judge(self, figures: Mapping[str, float | None]) -> dict[str, str]:
        """Name of each screen that drops the face -> the reason; empty when it is kept."""
        reasons: dict[str, str] = {}

        def at_least(screen: str, name: str, limit: float) -> None:
            value = figures.get(name)
            if value is not None and value < limit:
                reasons[screen] = f"{name} {value:.4g} is below {limit:g}"

        def at_most(screen: str, name: str, limit: float, absolute: bool = False) -> None:
            value = figures.get(name)
            if value is not None and (abs(value) if absolute else value) > limit:
                reasons[screen] = f"{name} {value:.4g} is beyond {limit:g}"

        at_least("size", "size", self.min_size)
        at_least("sharpness", "sharpness", self.min_sharpness)
        at_most("yaw", "yaw", self.max_yaw, absolute=True)
        at_most("pitch", "pitch", self.max_pitch, absolute=True)
        at_least("dark", "luma", self.min_luma)
        at_most("bright", "luma", self.max_luma)
        at_most("clipped dark", "dark", self.max_clipped)
        at_most("clipped bright", "bright", self.max_clipped)
        at_most("outside", "outside", self.max_outside)
        return reasons
