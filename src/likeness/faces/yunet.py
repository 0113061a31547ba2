"""Find faces with YuNet, a network of a quarter of a megabyte: OpenCV Zoo's face_detection_yunet_2023mar.onnx.

OpenCV runs the network; the decoding is ours, so that large faces are found as well (OpenCV's own class looks once)
and each output is checked. Source: Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence
Research 2023. Importing this loads numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from likeness.faces.candidates import best_rows, check_photo, check_settings, each_stride, faces_of
from likeness.faces.letterbox import check_sides, look
from likeness.faces.types import Face
from likeness.weights.errors import WeightsError

STRIDES = (8, 16, 32)
PARTS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}  # what each cell of each stride says, and its numbers
OUTPUTS = tuple(f"{part}_{stride}" for part in PARTS for stride in STRIDES)
SIDES = (640, 320)

Network = Callable[[np.ndarray], Sequence[np.ndarray]]  # (1, 3, S, S) float32 BGR in 0..255 -> OUTPUTS, in this order


def decode(outputs: Sequence[np.ndarray], side: int, threshold: float) -> np.ndarray:
    """What the network said of a square frame -> rows (K, 15), float64, in frame pixels, of ``threshold`` or more.

    outputs: as OUTPUTS, each (N, C) or (1, N, C) with N = (side / stride)^2 cells, row by row. A row is x0, y0, x1,
    y1, score, then the landmarks; the person's right eye is the left one of the picture, so that the network's order
    is the template's. Raises ValueError for other shapes.
    """
    levels = []
    for stride, cell, (kind, face, boxes, points) in each_stride(outputs, side, STRIDES, PARTS):
        scores = np.sqrt(kind.clip(0.0, 1.0) * face.clip(0.0, 1.0))
        sure = scores[:, 0] >= threshold
        cell = cell[sure]
        centres = (cell + boxes[sure, :2]) * stride
        with np.errstate(over="ignore"):  # a box without end is left out later
            extents = np.exp(boxes[sure, 2:]) * stride
        landmarks = (np.tile(cell, 5) + points[sure]) * stride
        levels.append(np.hstack([centres - extents / 2, centres + extents / 2, scores[sure], landmarks]))
    return np.concatenate(levels)


class YuNetDetector:
    """YuNet as a detector; ``load_yunet`` makes one from the file.

    threshold: smallest score, in [0, 1]; OpenCV's class has 0.9, which is for sharp faces, here it is 0.6, as in
    OpenCV Zoo's own. overlap: intersection over union above which the weaker of two boxes goes (0.3, as OpenCV has
    it). smallest: faces whose eyes are closer together (photo pixels) are dropped (5.0). sides: pixels, multiples of
    32 up to 4096; the photo is looked at once for each, its long side reduced to so many pixels; smaller photos are
    not enlarged. YuNet is trained for faces of about 10 to 300 pixels, so that the second look, at 320, is there for
    faces that fill the picture, and the first, at 640, for those down to 1/64 of the long side.

    Deterministic. Not thread-safe: one object per thread. Raises ValueError for settings out of range.
    """

    name = "yunet"

    def __init__(
        self,
        net: Network,
        *,
        threshold: float = 0.6,
        overlap: float = 0.3,
        smallest: float = 5.0,
        sides: Sequence[int] = SIDES,
    ) -> None:
        check_settings(threshold, overlap, smallest)
        self._sides = check_sides(sides)
        self._net, self._threshold, self._overlap, self._smallest = net, threshold, overlap, smallest

    def detect(self, pixels: np.ndarray) -> list[Face]:
        """Faces in (H, W, 3) uint8 RGB pixels, sorted by box area descending, then x. Deterministic.

        Boxes and landmarks are photo pixels. Raises ValueError for other shapes or types.
        """
        check_photo(pixels)
        rows = look(pixels, self._sides, False, self._find)
        return faces_of(best_rows(rows, self._overlap), self._smallest)

    def _find(self, frame: np.ndarray) -> np.ndarray:
        return decode(self._net(_blob(frame)), len(frame), self._threshold)


def _blob(frame: np.ndarray) -> np.ndarray:
    """The network takes blue, green, red in 0..255."""
    return np.ascontiguousarray(frame[..., ::-1].transpose(2, 0, 1)[None], dtype=np.float32)


def read_network(path: Path) -> Network:
    """The network in the file ``path``, run by OpenCV on the processor. It is tried once.

    Raises WeightsError when the file is not there, is damaged, or is another network.
    """
    import cv2

    if not path.is_file():
        raise WeightsError(f"weights {path} are not there")
    try:
        # From memory: OpenCV cannot open every path on every system.
        net = cv2.dnn.readNetFromONNX(np.frombuffer(path.read_bytes(), dtype=np.uint8))
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror or error}") from error
    except cv2.error as error:
        raise WeightsError(f"{path} is not an intact ONNX file") from error
    missing = sorted(set(OUTPUTS) - set(net.getUnconnectedOutLayersNames()))
    if missing:
        raise WeightsError(f"{path} is not YuNet of 2023: it has no output {missing[0]}")

    def run(blob: np.ndarray) -> Sequence[np.ndarray]:
        net.setInput(blob)
        return [np.asarray(output) for output in net.forward(OUTPUTS)]

    try:
        decode(run(np.zeros((1, 3, SIDES[0], SIDES[0]), dtype=np.float32)), SIDES[0], 1.0)
    except (cv2.error, ValueError) as error:
        raise WeightsError(f"{path} is not YuNet of 2023: {' '.join(str(error).split())}") from error
    return run


def load_yunet(path: Path) -> YuNetDetector:
    """The detector with the network of ``path``. Raises WeightsError as ``read_network`` does."""
    return YuNetDetector(read_network(path))
