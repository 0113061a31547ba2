"""The pixels that a method is to invent: damage, a scratch, something in front of the face."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from likeness.conditions.types import Cut, Given, Missing
from likeness.faces import crop_face
from likeness.photo import Photo, PhotoError, read_photo
from likeness.weights.digest import fingerprint

BLACK = "black"  # instead of a path: the holes are the photo's exactly black pixels, as DifFace's authors do it
WHITE = 0.5  # a mask is white from here on


class Holes:
    """Masks as pictures: white is to fill. ``source``: one picture, a folder of pictures named as the photos are, or
    "black". Raises ValueError when it is not there."""

    name = "hole"

    def __init__(self, source: Path | str) -> None:
        self.source = Path(source)
        if str(source) == BLACK:
            self.files: dict[str, Path] | None = None
        elif self.source.is_dir():
            self.files = {path.stem: path for path in sorted(self.source.iterdir()) if path.is_file()}
        elif self.source.is_file():
            self.files = {"": self.source}
        else:
            raise ValueError(f"hole {source} is not there: give a mask picture, a folder of them, or {BLACK}")

    def of(self, photo: Photo, file: str, faces: Sequence[Cut]) -> list[Given | Missing]:
        """(1, 1, 512, 512) float32, 1 = to fill, for each face that the hole touches. Raises PhotoError."""
        hole = self._of_photo(photo, file)
        return [self._of_face(hole, face) for face in faces]

    def _of_photo(self, photo: Photo, file: str) -> np.ndarray:
        """(H, W) bool."""
        if self.files is None:
            return np.asarray((photo.pixels == 0).all(axis=2))
        path = self.files.get("") if self.source.is_file() else self.files.get(Path(file).stem)
        if path is None:
            raise PhotoError(f"{file}: no mask called {Path(file).stem} in {self.source}")
        mask = read_photo(path)
        if (mask.height, mask.width) != (photo.height, photo.width):
            sizes = f"{mask.width}x{mask.height}, the photo {photo.width}x{photo.height}"
            raise PhotoError(f"{file}: the mask {path} is {sizes}: they must be equal")
        return np.asarray(mask.as_float().mean(axis=2) >= WHITE)

    @staticmethod
    def _of_face(hole: np.ndarray, cut: Cut) -> Given | Missing:
        face, _ = cut
        coverage = crop_face(np.repeat(np.uint8(255) * hole[..., None], 3, axis=2), face.transform)[..., 0]
        inside = coverage > 1 / 255  # a pixel that the hole touches holds a part of what must go
        if not inside.any():
            return Missing("kept", "the hole does not touch this face")
        return Given(inside[None, None].astype(np.float32), f"{inside.mean():.1%} of the face filled in", hole)

    def describe(self) -> dict[str, str] | str:
        """The masks' sha256 by name."""
        return BLACK if self.files is None else {path.name: fingerprint(path) for path in self.files.values()}
