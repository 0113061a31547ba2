"""Lossy codecs as degradations."""

from __future__ import annotations

import cv2
import numpy as np


def _through(image: np.ndarray, suffix: str, flag: int, quality: int) -> np.ndarray:
    bgr = np.rint(np.clip(image[..., ::-1], 0.0, 1.0) * 255.0).astype(np.uint8)
    ok, data = cv2.imencode(suffix, bgr, [flag, int(quality)])
    if not ok:
        raise RuntimeError(f"OpenCV could not encode {suffix}")
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return np.ascontiguousarray(decoded[..., ::-1]).astype(np.float32) / np.float32(255.0)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Encode and decode as JPEG (4:2:0) with ``quality`` 1 to 100."""
    return _through(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)


def webp(image: np.ndarray, quality: int) -> np.ndarray:
    """Encode and decode as lossy WebP with ``quality`` 1 to 100."""
    return _through(image, ".webp", cv2.IMWRITE_WEBP_QUALITY, quality)
