"""Enlarge whole pictures: what lies around the faces. Knows nothing of faces.

Importing this loads numpy only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from likeness.upscale.lanczos import LanczosUpscaler

if TYPE_CHECKING:
    import torch

UPSCALERS = ("lanczos", "realesrgan")

__all__ = ["UPSCALERS", "LanczosUpscaler", "Upscaler", "load_upscaler"]


class Upscaler(Protocol):
    """Enlarges pictures by ``scale``; ``name`` is what users write."""

    name: str
    scale: int

    def upscale(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) RGB -> (H * scale, W * scale, 3) of the same type: float32 in [0, 1], or uint8 or uint16, which
        save memory. Raises ValueError for other shapes or types."""
        ...


def load_upscaler(
    name: str, scale: int = 2, weights: Path | None = None, device: torch.device | str = "cpu"
) -> Upscaler:
    """The up-sampler called ``name``. "lanczos" takes the ``scale``, "realesrgan" has that of its ``weights``.

    Raises ValueError naming the choices, or if Real-ESRGAN lacks weights or they are of another scale; WeightsError.
    """
    if name == "lanczos":
        return LanczosUpscaler(scale)
    if name == "realesrgan":
        if weights is None:
            raise ValueError("realesrgan needs a file of weights, such as RealESRGAN_x2plus.pth")
        from likeness.upscale.realesrgan import load_realesrgan

        loaded = load_realesrgan(weights, device)
        if loaded.scale != scale:
            raise ValueError(f"{weights} enlarges {loaded.scale} times, not {scale} times")
        return loaded
    raise ValueError(f"unknown up-sampler {name!r}; choose one of: {', '.join(UPSCALERS)}")
