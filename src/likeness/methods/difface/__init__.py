"""DifFace: an estimate of the face is noised halfway, and denoised by a diffusion model of faces (papers/002)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.difface.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.difface.restorer import DifFaceRestorer
    from likeness.methods.released import Released

__all__ = ["CARD", "load", "method", "networks"]


def method() -> Released:
    """How the U-Net's file is read, or an estimator's."""
    from likeness.methods.difface.restorer import METHOD

    return METHOD


def networks() -> dict[str, nn.Module]:
    """``{"unet": UNet, "swinir": SwinIR}``, freshly built."""
    from likeness.methods.difface.unet import UNet
    from likeness.nets.swinir import SwinIR

    return {"unet": UNet(), "swinir": SwinIR()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> DifFaceRestorer:
    """The restorer with the released weights, or the U-Net in ``weights`` and the estimator that lies beside it.

    ``weights`` may hold an estimator instead, such as a run of ``likeness train`` leaves: the U-Net is then the one
    beside it under its released name, or else the released one. Raises WeightsError.
    """
    from likeness.methods.difface.restorer import load_restorer

    return load_restorer(device, dtype, weights)
