"""From what a detector's network said to the faces of a photo: suppression, alignment, what is too small or too odd.

Rows are (K, 15): x0, y0, x1, y1, score, then five landmarks x, y: left eye, right eye, nose, left and right corner of
the mouth, as seen in the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from likeness.faces.geometry import check_pixels
from likeness.faces.template import FFHQ_TEMPLATE
from likeness.faces.types import Face


def check_photo(pixels: np.ndarray) -> None:
    """Raises ValueError unless the pixels are (H, W, 3) uint8, not empty."""
    check_pixels(pixels)
    if pixels.dtype != np.uint8:
        raise ValueError(f"the detector takes uint8 pixels, got {pixels.dtype}")


def check_settings(threshold: float, overlap: float, smallest: float) -> None:
    """Raises ValueError unless threshold and overlap are in [0, 1] and smallest is 0 or more."""
    for name, value, good in (
        ("threshold", threshold, 0.0 <= threshold <= 1.0),
        ("overlap", overlap, 0.0 <= overlap <= 1.0),
        ("smallest", smallest, smallest >= 0.0),
    ):
        if not good:
            raise ValueError(f"{name} is out of range: {value!r}")


def each_stride(
    outputs: Sequence[np.ndarray], side: int, strides: Sequence[int], parts: Mapping[str, int], anchors: int = 1
) -> Iterator[tuple[int, np.ndarray, list[np.ndarray]]]:
    """The outputs of an anchor-free detector for a square frame of ``side`` pixels, sorted by stride.

    outputs: the first of ``parts`` for all strides, then the second, ..., each (N, C) or (1, N, C) with N = anchors *
    (side / stride)^2, row by row, the anchors of a cell together; parts: their names and C. Yields the stride, the
    column and row of each anchor's cell (N, 2), and its parts (N, C), float64. Raises ValueError for other shapes.
    """
    if len(outputs) != len(strides) * len(parts):
        raise ValueError(f"it has {len(outputs)} outputs, not {len(strides) * len(parts)}")
    for level, stride in enumerate(strides):
        cells = side // stride
        count = anchors * cells**2
        told = []
        for part, (name, numbers) in enumerate(parts.items()):
            output = np.asarray(outputs[len(strides) * part + level], dtype=np.float64)
            if output.shape[-2:] != (count, numbers) or output.size != count * numbers:
                raise ValueError(
                    f"its output {name} of stride {stride} for {side} pixels is {output.shape}, not {(count, numbers)}"
                )
            told.append(output.reshape(count, numbers))
        row, column = np.divmod(np.arange(count) // anchors, cells)
        yield stride, np.stack([column, row], axis=1), told


def scaled(rows: np.ndarray, x: float, y: float) -> np.ndarray:
    """The rows (K, 15), float64, of a picture that is resized by the factors x, y."""
    return np.asarray(rows * np.array([x, y, x, y, 1.0] + [x, y] * 5))


def suppress(corners: np.ndarray, scores: np.ndarray, limit: float) -> np.ndarray:
    """Indices of the boxes that stay, best first: a box goes if it overlaps a better one that stays by more than
    ``limit`` (intersection over union). corners: (N, 4) x0, y0, x1, y1. scores: (N,)."""
    order = np.argsort(-scores, kind="stable")
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    keep = []
    while order.size:
        best, order = order[0], order[1:]
        keep.append(best)
        sides = np.minimum(corners[best, 2:], corners[order, 2:]) - np.maximum(corners[best, :2], corners[order, :2])
        both = sides.clip(min=0).prod(axis=1)
        order = order[both <= limit * (areas[best] + areas[order] - both)]
    return np.array(keep, dtype=np.intp)


def best_rows(rows: np.ndarray, overlap: float) -> np.ndarray:
    """The rows (K, 15) that stay when each face is reported once, best score first; those that are no boxes go."""
    rows = rows[np.isfinite(rows).all(axis=1)]
    rows = rows[(rows[:, 0] < rows[:, 2]) & (rows[:, 1] < rows[:, 3])]
    return np.asarray(rows[suppress(rows[:, :4], rows[:, 4], overlap)])


def align(landmarks: np.ndarray) -> np.ndarray | None:
    """The similarity from five landmarks to the template that fits most of them, by least median of squares.

    Rousseeuw, "Least Median of Squares Regression", 1984: one landmark far off, as the nose of a turned head, does not
    turn the crop. The field aligns so. None when no similarity fits.
    """
    import cv2

    transform, _ = cv2.estimateAffinePartial2D(landmarks, np.array(FFHQ_TEMPLATE), method=cv2.LMEDS)
    if transform is None or not np.isfinite(transform).all() or np.linalg.det(transform[:, :2]) <= 1e-12:
        return None
    return np.asarray(transform)


def faces_of(rows: np.ndarray, smallest: float) -> list[Face]:
    """Rows (K, 15) in photo pixels as faces, sorted by box area descending, then x.

    Left out: faces whose eyes are closer together than ``smallest`` pixels, and those too odd to align.
    """
    faces = (_face(row.astype(np.float64), smallest) for row in rows)
    return sorted((face for face in faces if face), key=lambda face: (-face.area, face.box[0]))


def _face(row: np.ndarray, smallest: float) -> Face | None:
    landmarks = row[5:].reshape(5, 2)
    x0, y0, x1, y1 = row[:4].tolist()
    if np.hypot(*(landmarks[1] - landmarks[0])) < max(smallest, 1e-3):
        return None
    transform = align(landmarks)
    return None if transform is None else Face((x0, y0, x1, y1), landmarks, float(row[4]), transform)
