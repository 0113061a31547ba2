"""How a face moved between two frames, by optical flow: exact to a fraction of a pixel, where a detector trembles.

Sources: J.-Y. Bouguet, "Pyramidal Implementation of the Lucas Kanade Feature Tracker", 2000 (OpenCV's); the check
forward and backward is that of Kalal, Mikolajczyk, Matas, "Forward-Backward Error", ICPR 2010.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.faces import CROP_SIZE, similarity_transform
from likeness.faces.geometry import apply_transform, compose, invert_transform, resize_transform
from likeness.video.smooth import from_parameters, parameters

LONG_SIDE = 1280  # pixels of the grey pictures that are kept
FACE_SIDE = 256  # pixels to which a larger face is reduced
LEAST = 16  # points that must be found again
ALIKE = 0.6  # correlation with the face when it was last detected, below which it is another thing
_GRID = 12  # points a side
_LOOKS = 48  # side of the small picture by which a face is known again


@dataclass(frozen=True)
class Grey:
    """A frame reduced to at most LONG_SIDE pixels: (h, w) uint8; ``factor``: its pixels for one of the photo."""

    index: int
    seconds: float
    pixels: np.ndarray
    factor: float

    @classmethod
    def of(cls, pixels: np.ndarray, index: int, seconds: float) -> Grey:
        """From (H, W, 3) uint8 RGB."""
        import cv2

        factor = min(1.0, LONG_SIDE / max(pixels.shape[:2]))
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        if factor < 1.0:
            grey = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        return cls(index, seconds, grey, factor)


def step(before: Grey, after: Grey, values: np.ndarray) -> np.ndarray | None:
    """The similarity (2, 3), photo pixels to photo pixels, by which a face moved from one frame to another.

    values: its ``smooth.parameters`` in the first. None when too little of it is found again, or not as one piece.
    """
    import cv2

    to_grey = resize_transform(before.factor, before.factor)
    side = float(np.exp(values[2])) * before.factor
    x, y = apply_transform(to_grey, values[None, :2])[0]
    height, width = before.pixels.shape
    x0, x1 = (int(np.clip(edge, 0, width)) for edge in (x - 0.8 * side, x + 0.8 * side + 1))
    y0, y1 = (int(np.clip(edge, 0, height)) for edge in (y - 0.8 * side, y + 0.8 * side + 1))
    if x1 - x0 < LEAST or y1 - y0 < LEAST:
        return None
    scale = min(1.0, FACE_SIDE / side)
    size = (max(LEAST, round((x1 - x0) * scale)), max(LEAST, round((y1 - y0) * scale)))
    resized = resize_transform(size[0] / (x1 - x0), size[1] / (y1 - y0))
    to_region = compose(resized, compose(np.array([[1.0, 0, -x0], [0, 1.0, -y0]]), to_grey))
    one, two = (cv2.resize(g.pixels[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA) for g in (before, after))

    two = _as_bright(two, one)

    line = (np.arange(_GRID) + 0.5) / _GRID * 0.7 + 0.15  # the face, without what is around it
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2) * CROP_SIZE - 0.5
    points = apply_transform(compose(to_region, invert_transform(from_parameters(values))), grid)
    points = points[((points > 1) & (points < np.array(size) - 2)).all(axis=1)].astype(np.float32)
    if len(points) < LEAST:
        return None
    side *= scale
    window = max(9, round(side / 8)) | 1
    options: dict[str, Any] = {"winSize": (window, window), "maxLevel": 3, "minEigThreshold": 1e-4}
    track: Any = cv2.calcOpticalFlowPyrLK
    there, ok, _ = track(one, two, points, None, **options)
    back, ok_back, _ = track(two, one, there, None, **options)
    away = np.hypot(*(back - points).T)
    good = (ok[:, 0] > 0) & (ok_back[:, 0] > 0) & (away < 0.3 + 0.01 * side)
    if good.sum() < max(LEAST, 0.4 * len(points)):
        return None
    return _similarity(points[good], there[good], to_region, 0.03 * side)


def _as_bright(picture: np.ndarray, like: np.ndarray) -> np.ndarray:
    """With the mean and the contrast of another: the flow takes a change of the light for motion."""
    gain = min(4.0, max(0.25, float(like.std()) / max(1.0, float(picture.std()))))
    return np.asarray(np.rint((picture - picture.mean()) * gain + like.mean()).clip(0, 255).astype(np.uint8))


def _similarity(points: np.ndarray, there: np.ndarray, to_region: np.ndarray, near: float) -> np.ndarray | None:
    """Robust fit: Tukey's weights of the residuals, by their median. None unless most points move together."""
    weights = np.ones(len(points))
    for _ in range(6):
        moved = similarity_transform(points, there, weights)
        away = np.hypot(*(apply_transform(moved, points) - there).T)
        reach = 4.685 * max(1.4826 * float(np.median(away)), 0.05)
        weights = np.clip(1 - (away / reach) ** 2, 0, None) ** 2 + 1e-6
    if np.mean(away < near) < 0.6:
        return None
    return compose(invert_transform(to_region), compose(moved, to_region))


def moved(values: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """The parameters of a face after a ``step``; the turn goes on without a jump."""
    after = parameters(compose(from_parameters(values), invert_transform(similarity)))
    return np.asarray(unturned(after, values))


def unturned(values: np.ndarray, near: np.ndarray) -> np.ndarray:
    """With a turn within half a turn of that of ``near``."""
    values = values.copy()
    values[3] = near[3] + np.remainder(values[3] - near[3] + np.pi, 2 * np.pi) - np.pi
    return values


def appearance(grey: Grey, values: np.ndarray) -> np.ndarray:
    """The middle of the face as (48, 48) uint8, by which ``alike`` knows it again."""
    import cv2

    half = CROP_SIZE * 0.35
    factor = _LOOKS / (2 * half)
    middle = (_LOOKS - 1) / 2 - factor * (CROP_SIZE - 1) / 2
    to_small = compose(np.array([[factor, 0, middle], [0, factor, middle]]), from_parameters(values))
    from_grey = compose(to_small, invert_transform(resize_transform(grey.factor, grey.factor)))
    smooth = max(0.0, 0.5 / float(np.hypot(*from_grey[:, 0])) - 0.3)  # against aliasing
    small = grey.pixels
    if smooth > 0.1:
        x, y = apply_transform(invert_transform(from_grey), np.array([[(_LOOKS - 1) / 2] * 2]))[0]
        reach = _LOOKS / float(np.hypot(*from_grey[:, 0])) + 8
        x0, y0 = max(0, int(x - reach)), max(0, int(y - reach))
        part = small[y0 : max(y0 + 1, int(y + reach)), x0 : max(x0 + 1, int(x + reach))]
        if not part.size:
            return np.zeros((_LOOKS, _LOOKS), np.uint8)
        small = cv2.GaussianBlur(part, (0, 0), smooth)
        from_grey = compose(from_grey, np.array([[1.0, 0, x0], [0, 1.0, y0]]))
    return np.asarray(cv2.warpAffine(small, from_grey, (_LOOKS, _LOOKS), borderMode=cv2.BORDER_REFLECT_101))


def alike(one: np.ndarray, two: np.ndarray) -> float:
    """Normalised correlation of two ``appearance`` pictures, -1 to 1; 0 where one is flat."""
    a, b = (picture.astype(np.float64) - picture.mean() for picture in (one, two))
    power = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / power if power > 0 else 0.0
