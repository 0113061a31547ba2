"""dlib's five points of an aligned face. Offline, CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from likeness.faces.models import LANDMARKS_5, model_path
from likeness.faces.template import DLIB_BOX


class FivePoints:
    """Corners of the eyes and the base of the nose, in the order of ``template.DLIB5_TEMPLATE``.

    Source: V. Kazemi and J. Sullivan, "One Millisecond Face Alignment with an Ensemble of Regression Trees", CVPR 2014,
    in dlib. Thread-safe: finding only reads what was loaded. Raises FileNotFoundError if the model is absent.
    """

    def __init__(self) -> None:
        import dlib

        x0, y0, x1, y1 = DLIB_BOX
        self._box: Any = dlib.rectangle(x0, y0, x1 - 1, y1 - 1)
        self._predict: Any = dlib.shape_predictor(str(model_path(LANDMARKS_5)))

    def find(self, crop: np.ndarray) -> np.ndarray:
        """(512, 512, 3) RGB in [0, 1] of an aligned face -> (5, 2), in whole pixels of the crop."""
        levels = np.rint(crop * 255.0).astype(np.uint8)
        return np.array([(part.x, part.y) for part in self._predict(levels, self._box).parts()], dtype=np.float64)
