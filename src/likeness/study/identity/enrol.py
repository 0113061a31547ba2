"""From pictures to identity vectors: where the face is, and what the recogniser says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from likeness.faces import Detector, Face, Recognizer, crop_face
from likeness.photo import PhotoError, read_photo

_BATCH = 16  # crops held at once: 3 MiB each

Place = tuple[tuple[int, int], np.ndarray]  # the picture's height and width, and photo -> 512 frame


@dataclass
class Enrolled:
    """Of each picture, by its place in the list: a unit vector, or why there is none; and where its face is."""

    vectors: dict[int, np.ndarray] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    places: dict[int, Place] = field(default_factory=dict)


class Enroller:
    """Cuts the face from each picture and embeds it. ``detector`` None: the pictures are aligned crops (square)."""

    def __init__(self, recognizer: Recognizer, detector: Detector | None) -> None:
        self.recognizer, self.detector = recognizer, detector

    def enrol(self, pictures: Sequence[Path], places: Sequence[Place | None] | None = None) -> Enrolled:
        """Embed the largest face of each picture; a picture without a face gets a reason, not a vector.

        ``places``: where the faces were found in other versions of the same pictures (before restoration). They hold
        for a picture of the same size, so that a change of similarity is one of pixels, not of detection; in a picture
        of another size the face is looked for again.
        """
        result = Enrolled()
        waiting: list[tuple[int, np.ndarray]] = []
        for i, path in enumerate(pictures):
            try:
                crop, result.places[i] = self._crop(path, places[i] if places else None)
            except PhotoError as error:
                result.reasons[i] = str(error)
                continue
            waiting.append((i, crop))
            if len(waiting) == _BATCH:
                self._embed(waiting, result, pictures)
        self._embed(waiting, result, pictures)
        return result

    def _crop(self, path: Path, place: Place | None) -> tuple[np.ndarray, Place]:
        photo = read_photo(path)
        size = photo.height, photo.width
        if place is not None and place[0] == size:
            transform = place[1]
        elif self.detector is None:
            if photo.height != photo.width:
                text = f"an aligned face must be square, this is {photo.width}x{photo.height}; omit --aligned"
                raise PhotoError(f"{path}: {text}")
            transform = Face.aligned(*size).transform
        else:
            pixels = (photo.pixels >> 8).astype(np.uint8) if photo.pixels.dtype == np.uint16 else photo.pixels
            faces = self.detector.detect(pixels)
            if not faces:
                raise PhotoError(f"{path}: no face found")
            transform = max(faces, key=lambda face: face.area).transform
        return crop_face(photo.pixels, transform), (size, transform)

    def _embed(self, waiting: list[tuple[int, np.ndarray]], result: Enrolled, pictures: Sequence[Path]) -> None:
        """Embed what waits, and empty it."""
        if not waiting:
            return
        vectors = np.asarray(self.recognizer.embed(np.stack([crop for _, crop in waiting])), dtype=np.float64)
        for (i, _), vector in zip(waiting, vectors, strict=True):
            length = float(np.linalg.norm(vector))
            if np.isfinite(length) and length > 0:
                result.vectors[i] = vector / length
            else:
                result.reasons[i] = f"{pictures[i]}: {self.recognizer.name} gave no usable identity vector"
        waiting.clear()
