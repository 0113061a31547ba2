"""Metrics: pure functions on float images in [0, 1], and the thin classes that say what their numbers mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["gradient_energy", "psnr", "ssim"]

if TYPE_CHECKING:
    from likeness.measure.functional import gradient_energy, psnr, ssim


def __getattr__(name: str) -> Any:  # the cards are read without OpenCV
    if name in __all__:
        from likeness.measure import functional

        return getattr(functional, name)
    raise AttributeError(f"module 'likeness.measure' has no attribute {name!r}")
