"""Choose which faces of a photo to restore, with a reason for each one left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from likeness.faces.types import Face


def select_faces(
    faces: Sequence[Face], which: Literal["all", "largest"], min_size: float
) -> list[tuple[Face, str | None]]:
    """All faces in their order, each with None if chosen, else why it is skipped.

    which: "all", or "largest" for the one with the largest box. min_size: smallest `Face.size` (side of the
    crop in photo pixels) that is worth restoring. Raises ValueError for another `which` or a negative
    min_size.
    """
    if which not in ("all", "largest"):
        raise ValueError(f"unknown choice of faces {which!r}; choose one of: all, largest")
    if not min_size >= 0.0:
        raise ValueError(f"min_size must be 0 or more, got {min_size}")
    largest = max(faces, key=lambda face: face.area, default=None)
    chosen: list[tuple[Face, str | None]] = []
    for face in faces:
        reason = None
        if which == "largest" and face is not largest:
            reason = "not the largest face"
        elif face.size < min_size:
            reason = f"smaller than --min-face {min_size:g} px ({face.size:.0f} px)"
        chosen.append((face, reason))
    return chosen
