"""Colour and light."""

from __future__ import annotations

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601


def colour_shift(image: np.ndarray, shift: tuple[float, float, float]) -> np.ndarray:
    """Add ``shift`` (R, G, B; in 1/255) to the channels, clipped: the colour jitter of GFPGAN."""
    return np.asarray(np.clip(image + np.asarray(shift, np.float32) / np.float32(255.0), 0.0, 1.0))


def grey(image: np.ndarray) -> np.ndarray:
    """Luminance in all three channels."""
    return np.repeat((image @ LUMA)[..., None], 3, axis=-1)


def fade(image: np.ndarray, contrast: float, black: float, tint: tuple[float, float, float]) -> np.ndarray:
    """A faded print: contrast times ``contrast``, blacks lifted to ``black``, multiplied by ``tint`` (R, G, B)."""
    faded = (black + (1.0 - black) * (0.5 + (image - 0.5) * contrast)) * np.asarray(tint, np.float32)
    return np.clip(faded, 0.0, 1.0).astype(np.float32)


def low_light(image: np.ndarray, exposure: float, gamma: float) -> np.ndarray:
    """Under-exposure: ``image ** gamma * exposure`` with gamma >= 1 and exposure in (0, 1]."""
    dark = np.clip(np.power(np.clip(image, 0.0, 1.0), gamma) * exposure, 0.0, 1.0)
    return np.asarray(dark, np.float32)
