"""Small copies of the pictures as data: URIs: of the whole photo, and of each face in a large one."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from likeness.photo import PhotoError, read_photo

LARGEST = 1024  # pixels of a copy's longest side
FACE = 512
FACES = 6  # faces of a photo that are shown on their own
QUALITY = 90
_AROUND = 1.9  # the side of what is shown of a face, in sides of its box

Box = tuple[float, float, float, float]


@dataclass
class View:
    """What is shown of a photo: all of it, or a face. ``size``: (width, height) of the copies; ``uris`` by key."""

    label: str
    size: tuple[int, int]
    box: Box | None = None  # shares of the photo's width and height
    uris: dict[str, str] = field(default_factory=dict)


def views(files: Mapping[str, Path], faces: Sequence[Box], aligned: bool) -> tuple[list[View], dict[str, str]]:
    """Copies of ``files`` (key -> file; the first gives the size), and what could not be read, by key.

    ``faces``: boxes in pixels of the first file; with ``aligned`` the photo is the face.
    """
    found: list[View] = []
    problems: dict[str, str] = {}
    for key, path in files.items():
        try:
            photo = read_photo(path)
        except PhotoError as error:
            problems[key] = str(error)
            continue
        pixels = photo.pixels if photo.pixels.dtype == np.uint8 else (photo.pixels >> 8).astype(np.uint8)
        picture = Image.fromarray(pixels)
        if not found:
            found = _plan(picture.size, () if aligned else faces)
        for view in found:
            view.uris[key] = _uri(_cut(picture, view), photo.icc)
    return found, problems


def map_uri(path: Path) -> str:
    """A map of uncertainty. Raises PhotoError."""
    photo = read_photo(path)
    return _uri(Image.fromarray(photo.pixels), None)


def _plan(size: tuple[int, int], faces: Sequence[Box]) -> list[View]:
    width, height = size
    scale = min(1.0, LARGEST / max(size))
    planned = [View("whole photo", (max(1, round(width * scale)), max(1, round(height * scale))))]
    for number, (x0, y0, x1, y1) in enumerate(faces[:FACES], 1):
        side = min(_AROUND * max(x1 - x0, y1 - y0), width, height)
        left = min(max((x0 + x1 - side) / 2, 0), width - side)
        top = min(max((y0 + y1 - side) / 2 - 0.05 * side, 0), height - side)
        box = (left / width, top / height, (left + side) / width, (top + side) / height)
        planned.append(View(f"face {number}", (FACE, FACE), box))
    return planned


def _cut(picture: Image.Image, view: View) -> Image.Image:
    if view.box is None:
        return (
            picture
            if picture.size == view.size
            else picture.resize(view.size, Image.Resampling.LANCZOS, reducing_gap=3)
        )
    x0, y0, x1, y1 = view.box
    box = (x0 * picture.width, y0 * picture.height, x1 * picture.width, y1 * picture.height)
    return picture.resize(view.size, Image.Resampling.BICUBIC, box=box)


def _uri(picture: Image.Image, icc: bytes | None) -> str:
    stream = io.BytesIO()
    extra: dict[str, Any] = {"icc_profile": icc} if icc else {}
    picture.convert("RGB").save(stream, "JPEG", quality=QUALITY, subsampling=0, **extra)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
