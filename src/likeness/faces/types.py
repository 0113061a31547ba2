"""What the wing speaks of: a face in a photo, and the interfaces of detectors, recognisers and masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from likeness.faces.geometry import resize_transform, similarity_transform, transform_scale
from likeness.faces.template import CROP_SIZE, FFHQ_TEMPLATE


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a photo.

    box: (x0, y0, x1, y1) in photo pixels, as the detector draws it; may reach beyond the photo.
    landmarks: (N, 2) float64 photo pixels, in the detector's own order.
    score: the detector's confidence, on its own scale.
    transform: (2, 3) float64 similarity, photo pixel -> pixel of the 512 template frame.
    Raises ValueError for wrong shapes, values that are not finite, an empty box, or a transform that is not a
    similarity (it may not stretch, shear or mirror).
    """

    box: tuple[float, float, float, float]
    landmarks: np.ndarray
    score: float
    transform: np.ndarray

    def __post_init__(self) -> None:
        box = tuple(float(value) for value in self.box)
        landmarks = np.array(self.landmarks, dtype=np.float64)
        transform = np.array(self.transform, dtype=np.float64)
        if len(box) != 4 or not np.isfinite(box).all() or box[2] <= box[0] or box[3] <= box[1]:
            raise ValueError(f"face box must be finite x0 < x1, y0 < y1, got {box}")
        if landmarks.ndim != 2 or landmarks.shape[1] != 2 or not np.isfinite(landmarks).all():
            raise ValueError(f"face landmarks must be finite (N, 2), got shape {landmarks.shape}")
        if not np.isfinite(self.score):
            raise ValueError(f"face score must be finite, got {self.score}")
        if transform.shape != (2, 3) or not np.isfinite(transform).all():
            raise ValueError(f"face transform must be finite (2, 3), got shape {transform.shape}")
        (a, b), (c, d) = transform[:, :2]
        length = float(np.hypot(a, c))
        if length <= 0.0 or max(abs(a - d), abs(b + c)) > 1e-6 * length:
            raise ValueError(f"face transform must be a similarity, got {transform.tolist()}")
        landmarks.setflags(write=False)
        transform.setflags(write=False)
        for name, value in (("box", box), ("landmarks", landmarks), ("transform", transform)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "score", float(self.score))

    @property
    def scale(self) -> float:
        """Pixels of the 512 frame for each photo pixel: above 1 the crop enlarges the face."""
        return transform_scale(self.transform)

    @property
    def size(self) -> float:
        """Side, in photo pixels, of the square that becomes the 512 crop (about 1.65 times dlib's box)."""
        return CROP_SIZE / self.scale

    @property
    def area(self) -> float:
        """Area of the box in photo pixels."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0)

    @classmethod
    def from_landmarks(
        cls,
        box: tuple[float, float, float, float],
        landmarks: np.ndarray,
        score: float,
        template: np.ndarray,
        weights: np.ndarray | None = None,
    ) -> Face:
        """A face whose transform takes its (N, 2) landmarks to the (N, 2) template points, by least squares.

        weights: (N,) positive trust in each landmark, equal by default.
        Raises ValueError where `Face` or `similarity_transform` does.
        """
        return cls(box, landmarks, score, similarity_transform(landmarks, template, weights))

    @classmethod
    def aligned(cls, height: int, width: int) -> Face:
        """The face of a picture that is an aligned crop already: all of it maps to the 512 frame.

        Landmarks are the template's five points. Raises ValueError unless the picture is square and not
        empty.
        """
        if height != width or height < 1:
            raise ValueError(f"an aligned face picture must be square, got {width} x {height} pixels")
        inverse = resize_transform(width / CROP_SIZE, height / CROP_SIZE)
        landmarks = FFHQ_TEMPLATE @ inverse[:, :2].T + inverse[:, 2]
        transform = resize_transform(CROP_SIZE / width, CROP_SIZE / height)
        return cls((0.0, 0.0, float(width), float(height)), landmarks, 1.0, transform)


class Detector(Protocol):
    """Finds faces. `name` is what users write after --detector."""

    name: str

    def detect(self, pixels: np.ndarray) -> list[Face]:
        """Faces in (H, W, 3) uint8 RGB pixels, sorted by box area descending, then x; maybe none."""
        ...


class Recognizer(Protocol):
    """Turns aligned crops into identity vectors whose L2 distance says how unlike two people are.

    Two crops with a distance below `same_person` usually show the same person.
    """

    name: str
    dimensions: int
    same_person: float

    def embed(self, crops: np.ndarray) -> np.ndarray:
        """(B, 512, 512, 3) float32 RGB in [0, 1], aligned -> (B, dimensions) float32."""
        ...


class MaskSource(Protocol):
    """Says which pixels of an aligned crop are replaced in the photo."""

    name: str

    def mask(self, crop: np.ndarray) -> np.ndarray:
        """(512, 512, 3) float32 RGB in [0, 1] -> (512, 512) float32 in [0, 1]; zero along the border."""
        ...
