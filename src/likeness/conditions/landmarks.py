"""Landmarks that a user gives for methods which need more of them than our detectors find."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from likeness.conditions.types import Cut, Given, Missing
from likeness.faces import Face
from likeness.faces.geometry import apply_transform
from likeness.photo import Photo
from likeness.weights.digest import fingerprint

POINTS = 68


class Landmarks:
    """Those of the file ``path``, see ``read_landmarks``. Raises ValueError when it cannot be read."""

    name = "landmarks"

    def __init__(self, path: Path) -> None:
        self.path, self.known = path, read_landmarks(path)

    def of(self, photo: Photo, file: str, faces: Sequence[Cut]) -> list[Given | Missing]:
        """(1, 68, 2) pixels of the crop for each face whose points are in the file."""
        given = self.known.get(file)
        found = [None if given is None else of_face(face, given) for face, _ in faces]
        missing = Missing("failed", f"no landmarks of this face in {self.path}")
        return [missing if points is None else Given(points[None]) for points in found]

    def describe(self) -> str:
        """The file's sha256."""
        return fingerprint(self.path)


def read_landmarks(path: Path) -> dict[str, np.ndarray]:
    """``{"photo.jpg": [[[x, y] * 68], ...], ...}`` -> by file name (N, 68, 2) pixels of the photo, one row a face.

    The 68 points are those of the iBUG scheme, in the photo as it is shown (EXIF orientation applied). Raises
    ValueError naming the file and the photo.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"landmarks {path} are not there") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"landmarks {path} cannot be read as JSON: {error}") from error
    if not isinstance(data, dict):
        raise ValueError(f"landmarks {path} must be an object of file names")
    found = {}
    for name, faces in data.items():
        try:
            points = np.array(faces, np.float64)
        except (TypeError, ValueError):
            points = np.zeros(0)
        if points.ndim != 3 or points.shape[1:] != (POINTS, 2) or not np.isfinite(points).all():
            raise ValueError(f"landmarks {path}: {name} must hold lists of {POINTS} [x, y] pairs, one list a face")
        found[name] = points
    return found


def of_face(face: Face, points: np.ndarray) -> np.ndarray | None:
    """The (68, 2) landmarks among (N, 68, 2) that lie in the face's box, in pixels of its crop; None without any.

    Of several, those whose centre is nearest to the box's.
    """
    x0, y0, x1, y1 = face.box
    centres = points.mean(axis=1)
    inside = (centres >= (x0, y0)).all(axis=1) & (centres <= (x1, y1)).all(axis=1)
    if not inside.any():
        return None
    distance = np.hypot(*(centres - ((x0 + x1) / 2, (y0 + y1) / 2)).T)
    nearest = int(np.argmin(np.where(inside, distance, np.inf)))
    return np.asarray(apply_transform(face.transform, points[nearest]))
