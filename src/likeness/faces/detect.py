"""Find faces with dlib's frontal HOG detector and align them with its five-point landmarks. Offline, CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from likeness.faces.geometry import (
    apply_transform,
    check_pixels,
    crop_face,
    invert_transform,
    similarity_transform,
)
from likeness.faces.points import FivePoints
from likeness.faces.template import CROP_SIZE, DLIB5_TEMPLATE, DLIB5_WEIGHTS, DLIB_BOX
from likeness.faces.types import Detector, Face

DETECTORS = ("dlib",)

Box = tuple[float, float, float, float]

_DLIB_WINDOW = 80  # side of the HOG detector's smallest face
_BOX_CORNERS = np.array([[DLIB_BOX[0], DLIB_BOX[1]], [DLIB_BOX[2], DLIB_BOX[3]]])
_SAME_FACE = 0.4  # intersection over union above which two boxes hold one face

# A candidate below _CLEAR must reach _BOTH with its score and that of a second look added. Measured on 90
# degraded faces and 11 other photographs: sharp faces score 1.5 at the second look whatever the first;
# faces blurred, reduced 8 times and JPEG-compressed sum up to 0.35 and more; nearly all clutter to 0.33 and
# less. Three of 30 faces under extreme noise (standard deviation 30 at 64 pixels) sum up to 0.0 to 0.3 and
# are given up.
_CLEAR = 0.5
_BOTH = 0.35
_LOOK_SIZE = 256


class DlibDetector:
    """dlib's frontal face detector and its five-point landmarks.

    upsample: doublings of the picture before detection; the smallest face found is about 80 / 2**upsample
    pixels wide (40 by default). max_side: larger photos are first reduced to this long side (1600), so there
    the smallest face is 1/40 of the long side; raise it to find smaller ones, at a cost that grows with its
    square. score_threshold: dlib's detection score; clear faces score 1 to 3, blurred ones 0 to 1. Weak
    candidates (below 0.5) are looked at again in their aligned crop and dropped if dlib sees too little of a
    face there. Faces turned by more than about 30 degrees, in plane or to the side, are mostly missed.
    Thread-safe: dlib's own detector is not, so each call borrows one that no other call holds, and as many are made as
    are needed at once. Source: D. King, "Max-Margin Object Detection", 2015, and V.
    Kazemi and J. Sullivan, "One Millisecond Face Alignment with an Ensemble of Regression Trees", CVPR 2014,
    in dlib. Raises ValueError for upsample < 0 or max_side < 80, FileNotFoundError if the landmark model is
    absent.
    """

    name = "dlib"

    def __init__(self, upsample: int = 1, score_threshold: float = 0.0, max_side: int = 1600) -> None:
        if upsample < 0 or max_side < _DLIB_WINDOW:
            raise ValueError(f"need upsample >= 0, max_side >= {_DLIB_WINDOW}; got {upsample}, {max_side}")
        self._idle: list[Any] = []  # dlib's detectors that no thread holds; list.append and list.pop are atomic
        self._points = FivePoints()
        self._upsample = upsample
        self._score_threshold = score_threshold
        self._max_side = max_side

    def detect(self, pixels: np.ndarray) -> list[Face]:
        """Faces in (H, W, 3) uint8 RGB pixels, sorted by box area descending, then x. Deterministic.

        Boxes and landmarks are photo pixels; dlib has merged overlapping boxes. Raises ValueError for other
        shapes or types.
        """
        check_pixels(pixels)
        if pixels.dtype != np.uint8:
            raise ValueError(f"the detector takes uint8 pixels, got {pixels.dtype}")
        faces = [self._align(pixels, corners, score) for corners, score in self._candidates(pixels)]
        faces = [face for face in faces if face.score >= _CLEAR or self._confirmed(pixels, face)]
        return sorted(faces, key=lambda face: (-face.area, face.box[0]))

    def _candidates(self, pixels: np.ndarray) -> list[tuple[np.ndarray, float]]:
        """Corner points (2, 2) in photo pixels and scores of what the HOG detector reports."""
        import cv2

        height, width = pixels.shape[:2]
        factor = min(1.0, self._max_side / max(height, width))
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if factor < 1.0 else pixels
        boxes, scores, _ = self._run(small, self._upsample, self._score_threshold)
        back = np.array([width / size[0], height / size[1]])
        return [
            (np.array([[box.left(), box.top()], [box.right() + 1, box.bottom() + 1]]) * back, float(score))
            for box, score in zip(boxes, scores, strict=True)
        ]

    def _run(self, pixels: np.ndarray, upsample: int, threshold: float) -> Any:
        """dlib's boxes, scores and sub-detectors, by a detector that this thread has for the time."""
        import dlib

        try:
            find = self._idle.pop()
        except IndexError:
            find = dlib.get_frontal_face_detector()
        try:
            return find.run(np.ascontiguousarray(pixels), upsample, threshold)
        finally:
            self._idle.append(find)

    def _align(self, pixels: np.ndarray, corners: np.ndarray, score: float) -> Face:
        """Landmarks of one candidate, predicted where the picture is scaled so that its box is DLIB_BOX.

        dlib gives whole pixels: there they are finer than a pixel of a small face, and a huge face is no
        slower. Predicting once more on the aligned crop was measured and gains nothing.
        """
        landmarks = self._landmarks(pixels, similarity_transform(corners, _BOX_CORNERS))
        x0, y0, x1, y1 = corners.ravel().tolist()
        return Face.from_landmarks((x0, y0, x1, y1), landmarks, score, DLIB5_TEMPLATE, DLIB5_WEIGHTS)

    def _confirmed(self, pixels: np.ndarray, face: Face) -> bool:
        """Whether dlib sees a face, upright and well sized, where the aligned crop should have it."""
        crop = np.rint(crop_face(pixels, face.transform, _LOOK_SIZE) * 255.0).astype(np.uint8)
        boxes, _, _ = self._run(crop, 0, _BOTH - face.score)
        x0, y0, x1, y1 = (value * _LOOK_SIZE / CROP_SIZE for value in DLIB_BOX)
        return any(
            _overlap((box.left(), box.top(), box.right() + 1, box.bottom() + 1), (x0, y0, x1, y1)) > _SAME_FACE
            for box in boxes
        )

    def _landmarks(self, pixels: np.ndarray, transform: np.ndarray) -> np.ndarray:
        """dlib's five points (5, 2) in photo pixels, predicted on the crop that `transform` gives."""
        return apply_transform(invert_transform(transform), self._points.find(crop_face(pixels, transform)))


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0.0 or height <= 0.0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def load_detector(name: str) -> Detector:
    """The detector called `name` with its usual settings. Raises ValueError naming the choices."""
    if name == "dlib":
        return DlibDetector()
    raise ValueError(f"unknown detector {name!r}; choose one of: {', '.join(DETECTORS)}")
