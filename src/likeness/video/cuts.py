"""Where one scene ends and another begins."""

from __future__ import annotations

import numpy as np

HISTOGRAM = 0.35  # share of the pixels that changed their colour class
PICTURE = 0.08  # mean change of a thumbnail's pixel, of [0, 1]


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 or uint16 -> (36, 64, 3) uint8."""
    import cv2

    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return np.asarray(cv2.resize(pixels, (64, 36), interpolation=cv2.INTER_AREA))


def is_cut(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two thumbnails in a row are of two scenes: both colours (histogram of 8 x 8 x 8 classes, L1 / 2) and
    picture must change; a pan changes the one, a flicker of the light the other. A flash counts as a cut, which does
    no harm."""
    shares = np.abs(_histogram(before) - _histogram(after)).sum() / 2
    change = np.abs(before.astype(np.float32) - after).mean() / 255
    return bool(shares > HISTOGRAM and change > PICTURE)


def _histogram(picture: np.ndarray) -> np.ndarray:
    classes = (picture >> 5).astype(np.int64) @ np.array([64, 8, 1])
    return np.asarray(np.bincount(classes.ravel(), minlength=512) / classes.size)
