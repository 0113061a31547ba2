"""Shared photographs for the face tests: the astronaut portrait that ships inside scikit-image."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from face_scenes import ASTRONAUT_POINTS

from likeness.faces import DlibDetector, DlibRecognizer
from likeness.faces.geometry import apply_transform

Placed = tuple[np.ndarray, np.ndarray]  # the photo, and where ASTRONAUT_POINTS lie in it


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    data = pytest.importorskip("skimage.data", reason="needs scikit-image for its portrait photograph")
    return np.ascontiguousarray(data.astronaut())


@pytest.fixture(scope="session")
def place(astronaut: np.ndarray) -> Callable[..., Placed]:
    """Puts the astronaut's head, scaled and turned, at a centre on a grey canvas."""

    def compose(width: int, height: int, scale: float, degrees: float, center: tuple[float, float]) -> Placed:
        matrix = cv2.getRotationMatrix2D((224.0, 115.0), degrees, scale)
        matrix[:, 2] += np.array(center) - (224.0, 115.0)
        head = astronaut[:260, 90:360]
        source = cv2.GaussianBlur(head, (0, 0), 0.5 / scale) if scale < 1 else head
        matrix_head = matrix.copy()
        matrix_head[:, 2] += matrix[:, :2] @ (90.0, 0.0)
        canvas = np.full((height, width, 3), 140, dtype=np.uint8)
        cv2.warpAffine(
            source, matrix_head, (width, height), dst=canvas, flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_TRANSPARENT,
        )  # fmt: skip
        return canvas, apply_transform(matrix, ASTRONAUT_POINTS)

    return compose


@pytest.fixture(scope="session")
def detector() -> DlibDetector:
    return DlibDetector()


@pytest.fixture(scope="session")
def recognizer() -> DlibRecognizer:
    return DlibRecognizer()
