"""Changes of size with three kernels."""

from __future__ import annotations

import cv2
import numpy as np

KERNELS = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


def resize(image: np.ndarray, height: int, width: int, kernel: str = "bicubic") -> np.ndarray:
    """Resize to ``(height, width)``; the values are clipped to [0, 1] (bicubic overshoots).

    ``bilinear`` and ``bicubic`` sample without a prefilter, as the published pipelines do (OpenCV);
    ``area`` averages. Raises KeyError for another kernel.
    """
    out = cv2.resize(image, (width, height), interpolation=KERNELS[kernel])
    return np.clip(out, 0.0, 1.0)


def antialiased_bicubic(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bicubic with the kernel widened when reducing (Pillow), the convention of super-resolution benchmarks."""
    from PIL import Image

    planes = [
        np.asarray(Image.fromarray(image[..., c]).resize((width, height), Image.Resampling.BICUBIC))
        for c in range(image.shape[2])
    ]
    return np.asarray(np.clip(np.stack(planes, axis=-1), 0.0, 1.0), np.float32)
