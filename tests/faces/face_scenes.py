"""Helpers of the face tests: known points of the astronaut portrait, and similarity transforms by hand."""

from __future__ import annotations

import numpy as np

# dlib's points in skimage.data.astronaut(), read off the picture, to about 3 px:
# right eye outer, inner; left eye outer, inner; nose base.
ASTRONAUT_POINTS = np.array([[255, 104], [238, 105], [196, 101], [211, 103], [224, 135]], dtype=np.float64)


def similarity(scale: float, degrees: float, x: float, y: float) -> np.ndarray:
    """(2, 3) transform: scale, turn, then shift."""
    a = np.radians(degrees)
    return np.array([[scale * np.cos(a), -scale * np.sin(a), x], [scale * np.sin(a), scale * np.cos(a), y]])
