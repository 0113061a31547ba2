"""Which part of the aligned crop goes back into the photo."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from likeness.faces.template import CROP_SIZE

_FEATHER = 40.0  # width of the fall from 1 to 0, in pixels of the 512 frame
_RADIUS = 150.0  # corner radius of the part that is fully replaced


class FeatheredMask:
    """The same soft mask for every crop: a rounded square, 1 over the face, 0 along the border.

    Full from the hair line to the chin and from ear to ear (rows and columns 40 to 471, with round corners);
    a raised-cosine fall of 40 pixels to exactly 0 at the outermost pixels.
    """

    name = "feathered"

    def mask(self, crop: np.ndarray) -> np.ndarray:
        """(512, 512, 3) crop, whose content does not matter -> (512, 512) float32 in [0, 1], read-only.

        Raises ValueError for other shapes.
        """
        if crop.shape != (CROP_SIZE, CROP_SIZE, 3):
            raise ValueError(f"crop must be ({CROP_SIZE}, {CROP_SIZE}, 3), got {crop.shape}")
        return _rounded_square()


@lru_cache(maxsize=1)
def _rounded_square() -> np.ndarray:
    """The (512, 512) float32 mask, from the distance to a rounded square."""
    center = (CROP_SIZE - 1) / 2
    straight = center - _FEATHER - _RADIUS  # half the length of the straight sides
    offset = np.maximum(np.abs(np.arange(CROP_SIZE) - center) - straight, 0.0)
    distance = np.hypot(offset[:, None], offset[None, :]) - _RADIUS
    fall = np.clip(distance / _FEATHER, 0.0, 1.0)
    mask: np.ndarray = (0.5 + 0.5 * np.cos(np.pi * fall)).astype(np.float32)
    mask[fall >= 1.0] = 0.0
    mask.setflags(write=False)
    return mask
