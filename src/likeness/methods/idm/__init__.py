"""IDM: a diffusion model conditioned on the degraded face, which restores it step by step (Zhao et al., 2023)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.idm.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.idm.restorer import IDMRestorer
    from likeness.methods.released import Released

__all__ = ["CARD", "load", "method", "networks"]


def method() -> Released:
    """How its checkpoint is known by its keys. ``load`` reads more of it than the tensors."""
    from likeness.methods.idm.checkpoint import METHOD

    return METHOD


def networks() -> dict[str, nn.Module]:
    """``{"unet": DDPMUNet}`` of the configuration proposed for 512 pixels, freshly built."""
    from likeness.methods.idm.ddpm_unet import DDPMUNet

    return {"unet": DDPMUNet()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> IDMRestorer:
    """The restorer with the weights of ``weights``; none are published. Raises WeightsError.

    The formats that it takes are in ``likeness.methods.idm.checkpoint``.
    """
    from likeness.methods.idm.restorer import load_idm

    return load_idm(device, dtype, weights)
