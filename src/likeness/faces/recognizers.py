"""What the recognisers that see ArcFace's chip have in common. Importing this loads numpy only.

Their vectors have length 1, so that the L2 distance d and the cosine c of two of them say the same: d^2 = 2 - 2 c.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np

from likeness.faces.arcface import CHIP_SIDE, arcface_chips
from likeness.faces.identity import check_crops

Network = Callable[[np.ndarray], np.ndarray]  # (B, 3, S, S) float32 -> (B, D), of any length

BATCH = 32  # chips held at once


def distance_of(cosine: float) -> float:
    """The L2 distance of two vectors of length 1 with this cosine."""
    return sqrt(2.0 - 2.0 * cosine)


# Conventional thresholds, for orientation: none was measured here, and each data set has its own best one.
ARCFACE_SAME = distance_of(0.28)  # 1.2; 0.28 to 0.36 are in use, and insightface's demonstrations draw the line here
ADAFACE_SAME = distance_of(0.28)  # its authors state none; this is ArcFace's, whose loss it refines
SFACE_SAME = 1.128  # stated by OpenCV's documentation, as is the cosine 0.363


class ChipRecognizer:
    """A recogniser made of a network that takes ArcFace's chip.

    net: (B, 3, side, side) float32 of numbers (x - offset) / scale, x in 0..255, red, green, blue or, with bgr, blue,
    green, red -> (B, dimensions). fingerprint: says which weights these are (sha256 of their file), for caches.
    As thread-safe as ``net``.
    """

    def __init__(
        self,
        net: Network,
        name: str,
        dimensions: int,
        same_person: float,
        *,
        side: int = CHIP_SIDE,
        bgr: bool = False,
        offset: float = 127.5,
        scale: float = 127.5,
        fingerprint: str = "",
    ) -> None:
        self.name, self.dimensions, self.same_person = name, dimensions, same_person
        self.fingerprint = fingerprint
        self._net, self._side, self._bgr = net, side, bgr
        self._offset, self._scale = np.float32(offset), np.float32(scale)

    def embed(self, crops: np.ndarray) -> np.ndarray:
        """(B, 512, 512, 3) float32 RGB in [0, 1], aligned -> (B, dimensions) float32, each of length 1.

        Raises ValueError for other shapes or types, for crops that are not finite, and where the network's answer is
        not finite or zero, hence without a direction.
        """
        check_crops(crops)
        vectors = np.empty((len(crops), self.dimensions), dtype=np.float32)
        for start in range(0, len(crops), BATCH):
            chips = arcface_chips(crops[start : start + BATCH], self._side)
            answer = self._net(self._blob(chips))
            try:
                vectors[start : start + BATCH] = _unit(check_answer(answer, len(chips), self.dimensions))
            except ValueError as error:
                raise ValueError(f"the recognizer {self.name}: {error}") from error
        return vectors

    def _blob(self, chips: np.ndarray) -> np.ndarray:
        ordered = chips[..., ::-1] if self._bgr else chips
        levels = np.ascontiguousarray(ordered.transpose(0, 3, 1, 2)) * np.float32(255.0)
        return (levels - self._offset) / self._scale


def check_answer(answer: np.ndarray, count: int, dimensions: int | None = None) -> np.ndarray:
    """The network's answer if it is (count, dimensions), any number of them by default, and finite; else ValueError."""
    answer = np.asarray(answer)
    fits = answer.ndim == 2 and len(answer) == count and answer.shape[1] >= 1
    if not fits or (dimensions is not None and answer.shape[1] != dimensions):
        wanted = f"({count}, {dimensions or 'D'})"
        raise ValueError(f"its answer to {count} faces has the shape {answer.shape}, not {wanted}")
    if not np.isfinite(answer).all():
        raise ValueError("its answer has values that are not finite")
    return answer


def _unit(vectors: np.ndarray) -> np.ndarray:
    exact = vectors.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError("its answer is zero")
    return np.asarray(exact / lengths, dtype=np.float32)
