"""A strip of moments before and after, from the two files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from likeness.faces.geometry import compose, resize_transform, warp
from likeness.photo import Photo, write_photo
from likeness.video.read import Health, probe, read_frames

MOMENTS = 8
SIDE = 256  # pixels of one picture of the strip
_AROUND = 1.3  # side of what is shown, in sides of the aligned square
_GAP = 4


def moments(frames: int) -> set[int]:
    """Frames to show, evenly spread; for an unknown number (0) one of every 60."""
    if not frames:
        return {60 * k for k in range(MOMENTS)}
    return {int((k + 0.5) * frames / MOMENTS) for k in range(MOMENTS)}


def write_preview(before: Path, after: Path, chosen: list[dict[str, Any]], path: Path) -> None:
    """Write the strip: a column for each moment, above the input, below the output. The suffix of ``path`` says the
    format. chosen: {"frame": its number, "face": the face's (2, 3) similarity or None}.

    Raises VideoError and PhotoError.
    """
    if not chosen:
        chosen = [{"frame": 0, "face": None}]
    rows = [list(_shown(file, chosen)) for file in (before, after)]
    columns = min(len(row) for row in rows)
    strip = np.full((2 * SIDE + _GAP, columns * (SIDE + _GAP) - _GAP, 3), 255, np.uint8)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row[:columns]):
            top, left = y * (SIDE + _GAP), x * (SIDE + _GAP)
            strip[top : top + SIDE, left : left + SIDE] = picture
    path.parent.mkdir(parents=True, exist_ok=True)
    write_photo(Photo.from_array(strip), path)


def _shown(path: Path, chosen: list[dict[str, Any]]) -> Iterator[np.ndarray]:
    clip = probe(path)
    wanted = {moment["frame"]: moment["face"] for moment in chosen}
    for frame in read_frames(clip, Health()):
        if frame.index in wanted:
            face = wanted.pop(frame.index)
            yield _part(frame.rgb(clip.colour), None if face is None else np.array(face))
        if not wanted:
            return


def _part(pixels: np.ndarray, face: np.ndarray | None) -> np.ndarray:
    """The face with what is around it, or the largest square in the middle: (SIDE, SIDE, 3) uint8."""
    height, width = pixels.shape[:2]
    if face is None:
        factor = SIDE / min(height, width)
        middle = (SIDE - 1) / 2
        x, y = (middle - factor * (side - 1) / 2 for side in (width, height))
        to_part = np.array([[factor, 0, x], [0, factor, y]])
    else:
        factor = SIDE / (512 * _AROUND)
        shift = SIDE * (1 - 1 / _AROUND) / 2
        to_part = compose(np.array([[1.0, 0, shift], [0, 1.0, shift]]), compose(resize_transform(factor, factor), face))
    return np.asarray(np.rint(warp(pixels, to_part, SIDE, SIDE) * 255).astype(np.uint8))
