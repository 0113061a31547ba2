"""The one door to OpenCV, which decodes 16-bit colour where Pillow gives 8 bits."""

from __future__ import annotations

import threading

import numpy as np

_lock = threading.Lock()


def decode_deep(data: bytes, height: int, width: int, channels: int) -> np.ndarray:
    """Decode a 16-bit PNG or TIFF whose header promises this shape.

    Returns:
        (H,W,C) uint16: grey, RGB or RGB and alpha, as stored.

    Raises:
        ValueError: damaged, or OpenCV makes something else of it.
    """
    import cv2  # loads slowly, and few photos need it

    with _lock:  # the log level is global
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error as error:
            raise ValueError(f"OpenCV: {error}") from None
        finally:
            cv2.utils.logging.setLogLevel(level)
    if array is None or array.dtype != np.uint16 or array.size != height * width * channels:
        raise ValueError("the image data cannot be decoded")
    array = array.reshape(height, width, channels)
    return array if channels == 1 else np.ascontiguousarray(array[:, :, [2, 1, 0, 3][:channels]])
