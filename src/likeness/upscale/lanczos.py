"""Enlarging by a Lanczos kernel: no weights, no invention."""

from __future__ import annotations

import numpy as np


def check_image(image: np.ndarray) -> None:
    """Raise ValueError unless ``image`` is (H, W, 3) float32, uint8 or uint16 with at least one pixel."""
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"image must be (H, W, 3), got {image.shape}")
    if image.dtype not in (np.float32, np.uint8, np.uint16):
        raise ValueError(f"image must be float32, uint8 or uint16, got {image.dtype}")


def resize_lanczos(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1], uint8 or uint16 -> (height, width, 3), clipped to the range of its type.

    Lanczos-4 of OpenCV, which does not average: not for reducing by much.
    """
    import cv2

    if image.shape[:2] == (height, width):
        return image
    resized = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LANCZOS4))
    return np.clip(resized, 0.0, 1.0, out=resized) if resized.dtype == np.float32 else resized


class LanczosUpscaler:
    """Enlarges ``scale`` times by Lanczos-4, as the field does where no up-sampler is chosen.

    Raises ValueError for a scale below 1.
    """

    name = "lanczos"

    def __init__(self, scale: int = 2) -> None:
        if scale < 1:
            raise ValueError(f"scale must be at least 1, got {scale}")
        self.scale = scale

    def upscale(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) float32 RGB in [0, 1], uint8 or uint16 -> (H * scale, W * scale, 3) of the same type.

        Raises ValueError for other shapes or types.
        """
        check_image(image)
        return resize_lanczos(image, image.shape[0] * self.scale, image.shape[1] * self.scale)
