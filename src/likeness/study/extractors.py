"""All extractors by name: the measuring wing's own, and the recognisers of the faces' wing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from likeness import parts
from likeness.faces import Recognizer
from likeness.faces.points import FivePoints
from likeness.measure.extractors import find_extractor
from likeness.measure.metric import Extractor

RECOGNISERS = {"arcface": "arcface", "adaface": "adaface-ir50"}


@dataclass(frozen=True)
class FaceExtractor:
    """A recogniser of aligned faces as an extractor."""

    recognizer: Recognizer
    faces: bool = field(default=True, init=False)

    @property
    def name(self) -> str:
        return self.recognizer.name

    @property
    def version(self) -> str:
        """The sha256 of the recogniser's weights; dlib's come with a pinned package."""
        return str(getattr(self.recognizer, "fingerprint", "1"))

    def extract(self, pictures: Tensor) -> np.ndarray:
        """See ``measure.metric.Extractor``; (B, 3, 512, 512)."""
        crops = np.ascontiguousarray(pictures.permute(0, 2, 3, 1).float().cpu().numpy())
        return self.recognizer.embed(crops)


class PointsExtractor:
    """dlib's five points of aligned faces as an extractor."""

    name, faces, version = "five-points", True, "1"

    def __init__(self) -> None:
        self.points = FivePoints()

    def extract(self, pictures: Tensor) -> np.ndarray:
        """(B, 3, 512, 512) in [0, 1] -> (B, 10): x, y of each point, pixels."""
        crops = pictures.permute(0, 2, 3, 1).float().cpu().numpy()
        return np.stack([self.points.find(crop).ravel() for crop in crops])


class Extractors:
    """Loads each once. ``recognizer``: the one that "recognizer" means. Raises ValueError for an unknown one."""

    def __init__(self, recognizer: str = "dlib", device: torch.device | str = "cpu") -> None:
        if recognizer not in parts.RECOGNIZERS:
            raise ValueError(f"unknown recognizer {recognizer!r}; choose one of: {', '.join(parts.RECOGNIZERS)}")
        self.recognizer, self.device = recognizer, device
        self._loaded: dict[str, Extractor] = {}

    def find(self, name: str) -> Extractor:
        """The extractor called ``name``. Raises ValueError, WeightsError."""
        name = self.recognizer if name == "recognizer" else RECOGNISERS.get(name, name)
        if name not in self._loaded:
            if name in parts.RECOGNIZERS:
                self._loaded[name] = FaceExtractor(parts.find_recognizer(name, self.device))
            elif name == PointsExtractor.name:
                self._loaded[name] = PointsExtractor()
            else:
                self._loaded[name] = find_extractor(name, self.device)
        return self._loaded[name]
