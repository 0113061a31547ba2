"""Faces and photos on their way through the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from likeness.faces import Face
from likeness.photo import Photo
from likeness.results import FaceResult, PhotoResult


@dataclass
class FaceWork:
    """A chosen face on its way: its crop, then its samples (K, 512, 512, 3) or why it failed, then its record."""

    face: Face
    crop: np.ndarray
    samples: list[np.ndarray] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)  # what the method needs beside the crop
    replace: np.ndarray | None = None  # (H, W) bool: exactly these pixels of the photo, not the whole face
    fallback: bool = False
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    seconds: float = 0.0
    record: FaceResult | None = None  # once it is judged, and pasted if it was restored

    def release(self) -> None:
        """Let go of the pictures, which are six megabytes and more: all that is left is the record."""
        self.crop, self.replace = np.empty((0, 0, 3), np.float32), None
        self.samples.clear()
        self.given.clear()


@dataclass
class PhotoWork:
    """A photo on its way: as it was read, then enlarged if that was asked for, and the pixels with faces pasted in."""

    source: str
    photo: Photo | None
    began: float
    faces: list[FaceWork | FaceResult] = field(default_factory=list)
    error: str | None = None
    base: Photo | None = None
    pixels: np.ndarray | None = None

    @property
    def chosen(self) -> list[FaceWork]:
        """The faces to restore."""
        return [f for f in self.faces if isinstance(f, FaceWork)]


@dataclass(frozen=True)
class Finished:
    """A photo at the end: its pixels and, where they were kept, crop and samples of each restored face."""

    photo: Photo | None
    result: PhotoResult
    restored: tuple[FaceWork, ...] = ()
    enlarged: bool = False


def one_line(error: BaseException) -> str:
    """The first line of what an error says, as the reason in a record."""
    lines = str(error).split("\n")
    return lines[0].strip()[:200] or type(error).__name__
