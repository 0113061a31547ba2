"""Where eyes, nose and mouth are: from 68 landmarks to boxes."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from likeness.methods.card import OptionError

SIZE = 512  # of the aligned crop
POINTS: dict[str, tuple[int, ...]] = {
    "left_eye": (*range(17, 22), *range(36, 42)),  # the brow belongs to it
    "right_eye": (*range(22, 27), *range(42, 48)),
    "nose": tuple(range(29, 36)),
    "mouth": tuple(range(48, 68)),
}
PARTS = tuple(POINTS)
LEAST_HALF = 16.0

Box = tuple[int, int, int, int]


def face_boxes(landmarks: Tensor, face: int = 1) -> dict[str, Box]:
    """Boxes (x0, y0, x1, y1) of the parts, end exclusive, in pixels of the crop.

    ``landmarks``: (68, 2), x and y in pixels of the 512 crop, in the usual order of 68 points. ``face``: the number
    that an error names. Raises OptionError for a box that leaves the picture (the features are cut out there) or that
    has no extent.
    """
    # The authors' landmarks are numbers of three decimals in a text file; the boxes are cut off to whole pixels.
    points = landmarks.detach().cpu().double().numpy().round(3)
    if points.shape != (68, 2):
        raise OptionError(f"face {face}: expected landmarks (68, 2), got {points.shape}")
    boxes = {}
    for part, index in POINTS.items():
        own, name = points[list(index)], part.replace("_", " ")
        extent = float(np.ptp(own, axis=0).max()) if np.isfinite(own).all() else 0.0
        if extent == 0:
            raise OptionError(f"face {face}: the landmarks of the {name} are one point or not finite")
        half = max(extent / 2, LEAST_HALF)
        x, y = own.mean(axis=0).tolist()
        box = (int(x - half + 1), int(y - half + 1), int(x + half), int(y + half))
        if min(box) < 0 or max(box) > SIZE:
            raise OptionError(f"face {face}: the box of the {name} {box} leaves the {SIZE} x {SIZE} picture")
        boxes[part] = box
    return boxes


def scaled(box: Box, size: int) -> Box:
    """The box on a feature map of ``size`` x ``size``."""
    x0, y0, x1, y1 = (side // (SIZE // size) for side in box)
    return x0, y0, x1, y1
