"""What a metric gets to see of a file: the whole picture, or its aligned face."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from likeness.faces import Detector, Face, crop_face, select_faces
from likeness.memory import sha256
from likeness.photo import PhotoError, read_photo

_HELD = 6  # pictures decoded at once: a pair, its degraded one, and those of the next


class NoFaceError(ValueError):
    """There is no face in a picture that should show one."""


class Views:
    """Reads files, finds their faces, and keeps the last few in memory.

    ``detector``: None when the pictures are aligned faces already. Else the largest face counts; where a picture has
    a counterpart, the face is looked for there, since a restored face must not move its own frame.
    """

    def __init__(self, detector: Detector | None) -> None:
        self.detector = detector
        self._pixels: OrderedDict[Path, np.ndarray] = OrderedDict()
        self._sha: dict[Path, str] = {}
        self._transforms: dict[Path, np.ndarray] = {}

    def sha(self, path: Path) -> str:
        """sha256 of the file. Raises PhotoError."""
        if path not in self._sha:
            try:
                self._sha[path] = sha256(path)
            except OSError as error:
                raise PhotoError(f"{path}: {error.strerror}") from error
        return self._sha[path]

    def photo(self, path: Path) -> Tensor:
        """(1, 3, H, W) float32 RGB in [0, 1]. Raises PhotoError."""
        return _tensor(self._read(path))

    def face(self, path: Path, frame: Path) -> Tensor:
        """The aligned face (1, 3, 512, 512) of ``path``, where it is in ``frame``. Raises PhotoError, NoFaceError."""
        pixels = self._read(path)
        if frame != path and self.detector is not None and self._read(frame).shape != pixels.shape:
            raise PhotoError(f"{path} and {frame} differ in size")
        return _tensor(
            crop_face(_levels(pixels), self._transform(pixels if frame == path else self._read(frame), frame))
        )

    def seen_as(self, path: Path, frame: Path) -> str:
        """What ``face`` depends on beside the file itself, for the memory of measured values."""
        return "aligned" if self.detector is None else f"{self.detector.name} {self.sha(frame)}"

    def _transform(self, pixels: np.ndarray, path: Path) -> np.ndarray:
        if path not in self._transforms:
            height, width = pixels.shape[:2]
            if self.detector is None:
                if height != width:
                    raise PhotoError(f"{path}: an aligned face must be square, this is {width}x{height}")
                self._transforms[path] = Face.aligned(height, width).transform
            else:
                found = select_faces(self.detector.detect(_levels(pixels)), "largest", 0.0)
                chosen = [face for face, reason in found if reason is None]
                if not chosen:
                    raise NoFaceError(f"{path}: no face found")
                self._transforms[path] = chosen[0].transform
        return self._transforms[path]

    def _read(self, path: Path) -> np.ndarray:
        if path in self._pixels:
            self._pixels.move_to_end(path)
        else:
            self._pixels[path] = read_photo(path).as_float()
            while len(self._pixels) > _HELD:
                self._pixels.popitem(last=False)
        return self._pixels[path]


def _levels(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(pixels * 255), np.uint8)


def _tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32))[None]
