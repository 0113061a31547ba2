"""Find faces with SCRFD: insightface's det_10g.onnx (scrfd_10g_bnkps) or scrfd_2.5g_bnkps.onnx, run by onnxruntime.

Source: Guo, Deng, Lattas, Zafeiriou, "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022.
The released networks are for non-commercial research only. Importing this loads numpy only; onnxruntime is in
``likeness[fast]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from likeness.faces.candidates import best_rows, check_photo, check_settings, each_stride, faces_of
from likeness.faces.letterbox import check_sides, look
from likeness.faces.onnx_session import open_session
from likeness.faces.types import Face
from likeness.weights.errors import WeightsError

STRIDES = (8, 16, 32)
ANCHORS = 2  # of each cell; both have the same centre
PARTS = {"scores": 1, "boxes": 4, "landmarks": 10}  # what each anchor says, and its numbers
SIDE = 640

Network = Callable[[np.ndarray], Sequence[np.ndarray]]  # (1, 3, S, S) float32 RGB, (x - 127.5) / 128 -> the outputs


def decode(outputs: Sequence[np.ndarray], side: int, threshold: float) -> np.ndarray:
    """What the network said of a square frame -> rows (K, 15), float64, in frame pixels, of ``threshold`` or more.

    outputs: the scores of the three strides, then the boxes (distances to the left, top, right and bottom edge), then
    the landmarks, all in strides from the anchor's centre (column * stride, row * stride); each is (N, C) or (1, N, C)
    with N = 2 (side / stride)^2, row by row, the two anchors of a cell together. A row is x0, y0, x1, y1, score, then
    the landmarks in the template's order. Raises ValueError for other shapes.
    """
    signs = np.array([-1, -1, 1, 1])
    levels = []
    for stride, cell, (scores, boxes, points) in each_stride(outputs, side, STRIDES, PARTS, ANCHORS):
        sure = scores[:, 0] >= threshold
        cell = cell[sure]
        corners = (np.tile(cell, 2) + signs * boxes[sure]) * stride
        landmarks = (np.tile(cell, 5) + points[sure]) * stride
        levels.append(np.hstack([corners, scores[sure], landmarks]))
    return np.concatenate(levels)


class ScrfdDetector:
    """SCRFD as a detector; ``load_scrfd`` makes one from the file.

    threshold: smallest score, in [0, 1] (0.5). overlap: intersection over union above which the weaker of two boxes
    goes (0.4; both as insightface has them). smallest: faces whose eyes are closer together (photo pixels) are dropped
    (5.0). sides: pixels, multiples of 32 up to 4096; the photo is looked at once for each, resized, also enlarged, so
    that its long side has so many pixels: (640,), as insightface has it. A larger side finds smaller faces, at a cost
    that grows with its square; a smaller one beside it, as in (640, 320), finds more of the faces that fill the photo.

    Deterministic. Raises ValueError for settings out of range.
    """

    name = "scrfd"

    def __init__(
        self,
        net: Network,
        *,
        threshold: float = 0.5,
        overlap: float = 0.4,
        smallest: float = 5.0,
        sides: Sequence[int] = (SIDE,),
    ) -> None:
        check_settings(threshold, overlap, smallest)
        self._sides = check_sides(sides)
        self._net, self._threshold, self._overlap, self._smallest = net, threshold, overlap, smallest

    def detect(self, pixels: np.ndarray) -> list[Face]:
        """Faces in (H, W, 3) uint8 RGB pixels, sorted by box area descending, then x. Deterministic.

        Boxes and landmarks are photo pixels. Raises ValueError for other shapes or types, WeightsError if the file
        is for frames of another size, RuntimeError if onnxruntime fails, as when memory does not suffice.
        """
        check_photo(pixels)
        rows = look(pixels, self._sides, True, self._find)
        return faces_of(best_rows(rows, self._overlap), self._smallest)

    def _find(self, frame: np.ndarray) -> np.ndarray:
        return decode(self._net(_blob(frame)), len(frame), self._threshold)


def _blob(frame: np.ndarray) -> np.ndarray:
    """The network takes red, green, blue, shifted and scaled to about -1..1."""
    return (np.ascontiguousarray(frame.transpose(2, 0, 1)[None], dtype=np.float32) - 127.5) / np.float32(128.0)


def read_network(path: Path) -> Network:
    """The network in the file ``path``, run by onnxruntime on the processor. It is tried once.

    Raises WeightsError when onnxruntime is not installed, or when the file is not there, is damaged, or is another
    network.
    """
    if not path.is_file():
        raise WeightsError(f"weights {path} are not there")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror or error}") from error
    session = open_session(data, path, "the detector scrfd")
    sizes = [size for size in session.shape[2:] if isinstance(size, int)]  # others are free

    def run(blob: np.ndarray) -> Sequence[np.ndarray]:
        side = blob.shape[-1]
        if any(size != side for size in sizes):
            raise WeightsError(f"{path} is for frames of {sizes} pixels, not of {side}")
        return session.run(blob)

    side = sizes[0] if sizes else SIDE
    try:
        decode(run(np.zeros((1, 3, side, side), dtype=np.float32)), side, 1.0)
    except WeightsError:
        raise
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"{path} is not SCRFD with landmarks: {error}") from error
    return run


def load_scrfd(path: Path) -> ScrfdDetector:
    """The detector with the network of ``path``. Raises WeightsError as ``read_network`` does."""
    return ScrfdDetector(read_network(path))
