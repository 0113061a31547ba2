"""The interface between the pipeline and what a method needs beside the face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from likeness.faces import Face
from likeness.photo import Photo

Cut = tuple[Face, np.ndarray]  # a face and its crop, (512, 512, 3) float32 RGB in [0, 1]


@dataclass(frozen=True)
class Given:
    """What one face gets: ``value`` for a batch of one, under the condition's name; ``note`` for its record.

    ``replace``: (H, W) bool of the photo, when exactly these pixels are to be replaced instead of the whole face.
    """

    value: Any
    note: str | None = None
    replace: np.ndarray | None = None


@dataclass(frozen=True)
class Missing:
    """Why a face cannot be restored by this method: it failed, or it is kept as it was."""

    status: Literal["kept", "failed"]
    reason: str


class Condition(Protocol):
    """One of ``MethodCard.needs``; ``name`` is the keyword of ``Restorer.restore`` that takes it."""

    name: str

    def of(self, photo: Photo, file: str, faces: Sequence[Cut]) -> list[Given | Missing]:
        """For each face of the photo, whose file is called ``file``, what it gets or why there is nothing.

        Raises PhotoError for what concerns the whole photo.
        """
        ...

    def describe(self) -> Any:
        """Plain data that changes when its files change: for the report, and for whether a photo is done already."""
        ...
