"""Blur: Gaussian (isotropic and anisotropic) and motion."""

from __future__ import annotations

import cv2
import numpy as np

KERNEL_SIZE = 41  # pixels, as in the GFPGAN pipeline that papers/001 and 003 follow


def gaussian_kernel(sigma_x: float, sigma_y: float, angle: float = 0.0, size: int = KERNEL_SIZE) -> np.ndarray:
    """A normalised ``(size, size)`` Gaussian with standard deviations in pixels, rotated by ``angle`` radians."""
    if sigma_x <= 0 or sigma_y <= 0 or size % 2 == 0:
        raise ValueError(f"sigmas must be positive and size odd, got {sigma_x}, {sigma_y}, {size}")
    radius = size // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = -x * np.sin(angle) + y * np.cos(angle)
    kernel = np.exp(-0.5 * ((u / sigma_x) ** 2 + (v / sigma_y) ** 2))
    return np.asarray(kernel / kernel.sum(), np.float32)


def motion_kernel(length: float, angle: float = 0.0) -> np.ndarray:
    """A straight motion path of ``length`` pixels in direction ``angle`` radians, one pixel wide, normalised."""
    if length < 1:
        raise ValueError(f"length must be at least 1 pixel, got {length}")
    size = int(np.ceil(length)) // 2 * 2 + 3
    scale = 8  # drawn larger and averaged, so that the ends and slopes are smooth
    canvas = np.zeros((size * scale, size * scale), np.float32)
    centre, half = size * scale / 2, length * scale / 2
    dx, dy = half * np.cos(angle), half * np.sin(angle)
    start = (round(centre - dx), round(centre - dy))
    end = (round(centre + dx), round(centre + dy))
    cv2.line(canvas, start, end, 1.0, thickness=scale)
    kernel = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(kernel / kernel.sum(), np.float32)


def blur(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Correlate each channel with ``kernel``; the border is mirrored."""
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)


def gaussian_blur(image: np.ndarray, sigma_x: float, sigma_y: float | None = None, angle: float = 0.0) -> np.ndarray:
    """Gaussian blur with a 41-pixel kernel; isotropic when ``sigma_y`` is None (then separable, and fast)."""
    if sigma_y is None:
        size = (KERNEL_SIZE, KERNEL_SIZE)
        return cv2.GaussianBlur(image, size, sigma_x, borderType=cv2.BORDER_REFLECT_101)
    return blur(image, gaussian_kernel(sigma_x, sigma_y, angle))


def motion_blur(image: np.ndarray, length: float, angle: float) -> np.ndarray:
    """Blur along a straight path of ``length`` pixels in direction ``angle`` radians."""
    return blur(image, motion_kernel(length, angle))
