"""The photograph of the degradation tests."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def degrade_astronaut() -> np.ndarray:
    data = pytest.importorskip("skimage.data", reason="needs scikit-image for its portrait photograph")
    return np.ascontiguousarray(data.astronaut())
