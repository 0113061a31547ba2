"""Metrics of pictures against the truth: (H, W, 3) float arrays in [0, 1]."""

from __future__ import annotations

import cv2
import numpy as np


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels; inf for equal pictures.

    >>> float(round(psnr(np.zeros((8, 8, 3)), np.full((8, 8, 3), 0.1)), 3))
    20.0
    """
    _same_shape(image, truth)
    mse = float(np.mean((image.astype(np.float64) - truth.astype(np.float64)) ** 2))
    return float("inf") if mse == 0 else float(-10.0 * np.log10(mse))


def ssim(image: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004): Gaussian window 11x11, sigma 1.5, mean over channels and pixels.

    The border that the window does not cover is left out, as in the authors' code. Raises ValueError for pictures
    smaller than the window.
    """
    _same_shape(image, truth)
    if min(image.shape[:2]) < 11:
        raise ValueError(f"pictures must be at least 11x11 pixels for SSIM, got {image.shape}")
    x, y = image.astype(np.float64), truth.astype(np.float64)
    c1, c2 = 0.01**2, 0.03**2

    def mean(a: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(a, (11, 11), 1.5)[5:-5, 5:-5]

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    value = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(value.mean())


def gradient_energy(image: np.ndarray) -> float:
    """Mean squared difference of neighbouring pixels of the luminance: how sharp (or noisy) a picture is.

    >>> gradient_energy(np.zeros((8, 8, 3)))
    0.0
    """
    luma = image.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return float(np.mean(np.diff(luma, axis=0) ** 2) + np.mean(np.diff(luma, axis=1) ** 2))


def _same_shape(image: np.ndarray, truth: np.ndarray) -> None:
    if image.shape != truth.shape:
        raise ValueError(f"pictures differ in shape: {image.shape} and {truth.shape}")
