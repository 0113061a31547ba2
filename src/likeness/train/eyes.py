"""Other eyes for a training face: another colour of the iris, and lights of a studio mirrored in it.

Blurred, a dark iris with the mirrored lamps of a studio is as bright as a grey one without: a restorer that has hardly
seen such lamps gives brown eyes back as grey or blue.
"""

from __future__ import annotations

import cv2
import numpy as np

from likeness.faces.template import FFHQ_TEMPLATE

IRIS = 12.0  # radius in the 512 frame, pixels: 11.7 mm where the pupils are 63 mm apart
SEARCH = (14, 9)  # half the window in which the pupil is looked for
ALIKE = 0.13  # how near to the iris's colour a pixel is to be taken for iris and not for lid or sclera
_COLOURS = np.array([[0.10, 0.07, 0.06], [0.24, 0.14, 0.09], [0.36, 0.25, 0.15], [0.45, 0.52, 0.56]], np.float32)
_COMMON = (0.4, 0.3, 0.15, 0.15)  # dark brown, brown, hazel, blue or grey


def other_eyes(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Both irises of an aligned face in another colour, lamps mirrored in them, or both. For the clean picture.

    image: (512, 512, 3) float32 RGB in [0, 1]. The colour is drawn from the world's common ones, in the light of the
    picture; lids and sclera, which are not of the iris's colour, stay. One to three lamps, at the same place in both
    eyes. Raises ValueError for another shape.
    """
    if image.shape != (512, 512, 3) or image.dtype != np.float32:
        raise ValueError(f"expected (512, 512, 3) float32, got {image.shape} {image.dtype}")
    out = image.copy()
    what = int(rng.integers(3))  # colour, lamps, both
    colour = _COLOURS[int(rng.choice(len(_COLOURS), p=_COMMON))] * np.float32(np.exp(rng.normal(0, 0.2)))
    share = float(rng.uniform(0.5, 1.0))
    lamps = [(*rng.uniform(-6, 6, 2), *rng.uniform(0.8, 2.4, 2)) for _ in range(int(rng.integers(1, 4)))]
    shine = float(rng.uniform(0.6, 1.0))
    for eye in FFHQ_TEMPLATE[:2]:
        x, y = find_pupil(image, float(eye[0]), float(eye[1]))
        if what != 1:
            _recolour(out, x, y, colour, share)
        if what != 0:
            for dx, dy, rx, ry in lamps:
                _shine(out, x + dx, y + dy - 1, rx, ry, shine)
    return out


def find_pupil(image: np.ndarray, x: float, y: float) -> tuple[float, float]:
    """The darkest disc of the size of an iris near (x, y) of a face (H, W, 3) in [0, 1]: its centre, pixels."""
    left, top = round(x) - SEARCH[0], round(y) - SEARCH[1]
    width, height = 2 * SEARCH[0] + 1, 2 * SEARCH[1] + 1
    edge = round(2 * IRIS)
    window = image[top - edge : top + height + edge, left - edge : left + width + edge].mean(axis=2)
    inner = cv2.GaussianBlur(window, (0, 0), IRIS / 2)[edge:-edge, edge:-edge]
    row, column = np.unravel_index(int(inner.argmin()), inner.shape)
    return float(left + column), float(top + row)


def _patch(x: float, y: float, radius: float) -> tuple[slice, slice, np.ndarray, np.ndarray]:
    """Rows and columns about (x, y), and the places there relative to it."""
    half = round(radius) + 4
    rows, columns = slice(round(y) - half, round(y) + half + 1), slice(round(x) - half, round(x) + half + 1)
    dy, dx = np.mgrid[rows, columns].astype(np.float32)
    return rows, columns, dx - np.float32(x), dy - np.float32(y)


def _recolour(image: np.ndarray, x: float, y: float, colour: np.ndarray, share: float) -> None:
    """The iris about (x, y) in ``colour``, its own pattern of light and dark kept."""
    rows, columns, dx, dy = _patch(x, y, IRIS)
    patch = image[rows, columns]
    radius = np.hypot(dx, dy)
    ring = (radius > 0.45 * IRIS) & (radius < 0.85 * IRIS) & (dy > -0.5 * IRIS)  # below the upper lid
    own = np.median(patch[ring], axis=0)
    near = np.exp(-np.square(patch - own).sum(axis=2) / np.float32(2 * ALIKE**2))
    inside = np.clip((IRIS + 1 - radius) / 3, 0, 1) * near
    light = np.clip(own.max() / 0.45, 0.35, 1.0)  # a face in the shade has eyes in the shade
    moved = np.clip(colour * light + 0.7 * (patch - own), 0, 1)
    image[rows, columns] = patch + (share * cv2.GaussianBlur(inside, (0, 0), 0.8))[..., None] * (moved - patch)


def _shine(image: np.ndarray, x: float, y: float, rx: float, ry: float, strength: float) -> None:
    """A mirrored lamp: a soft white ellipse."""
    rows, columns, dx, dy = _patch(x, y, 3 * max(rx, ry))
    lamp = np.clip(1.6 - np.hypot(dx / rx, dy / ry), 0, 1)[..., None] * np.float32(strength)
    patch = image[rows, columns]
    image[rows, columns] = patch + lamp * (np.clip(patch.max() * 1.5, 0.6, 1.0) - patch)
