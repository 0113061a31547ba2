"""Metrics: pure functions on float images in [0, 1]."""

from likeness.measure.functional import gradient_energy, psnr, ssim

__all__ = ["gradient_energy", "psnr", "ssim"]
