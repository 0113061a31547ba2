"""DifFace filling holes: the parts of a face that are missing are sampled, all others stay as they are (papers/002)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.difface.card import INPAINTING as CARD

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from likeness.methods.difface.filler import InpaintingRestorer
    from likeness.methods.released import Released

__all__ = ["CARD", "black_pixels", "load", "method", "networks"]


def method() -> Released:
    """How the U-Net's file is read."""
    from likeness.methods.difface.filler import METHOD

    return METHOD


def networks() -> dict[str, nn.Module]:
    """``{"unet": UNet, "lama": Lama}``, freshly built."""
    from likeness.methods.difface.lama import Lama
    from likeness.methods.difface.unet import INPAINTING, UNet

    return {"unet": UNet(INPAINTING), "lama": Lama()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> InpaintingRestorer:
    """The restorer with the released weights, or the U-Net in ``weights`` and the estimator that lies beside it.

    Raises WeightsError.
    """
    from likeness.methods.difface.filler import load_restorer

    return load_restorer(device, dtype, weights)


def black_pixels(crops: Tensor) -> Tensor:
    """The hole as the authors find it: (B, 3, H, W) -> (B, 1, H, W), 1 where R + G + B is exactly 0, else 0."""
    return (crops.sum(dim=1, keepdim=True) == 0).to(crops.dtype)
