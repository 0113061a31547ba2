"""Sensor noise."""

from __future__ import annotations

import numpy as np


def gaussian_noise(image: np.ndarray, sigma: float, seed: int, grey: bool = False) -> np.ndarray:
    """Add white Gaussian noise of standard deviation ``sigma`` in 1/255; one plane for all channels if ``grey``."""
    rng = np.random.default_rng(seed)
    shape = (*image.shape[:2], 1) if grey else image.shape
    noise = rng.standard_normal(shape, dtype=np.float32) * np.float32(sigma / 255.0)
    return np.asarray(np.clip(image + noise, 0.0, 1.0))


def poisson_noise(image: np.ndarray, peak: float, seed: int) -> np.ndarray:
    """Shot noise: white counts ``peak`` photons, each value is drawn from a Poisson law with that mean."""
    if peak <= 0:
        raise ValueError(f"peak must be positive, got {peak}")
    rng = np.random.default_rng(seed)
    counts = rng.poisson(np.clip(image, 0.0, 1.0).astype(np.float64) * peak)
    return np.asarray(np.clip(counts / peak, 0.0, 1.0), np.float32)
