"""PMRF: the posterior mean, carried to a clean face by a rectified flow (Ohayon et al., ICLR 2025)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.pmrf.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.one_pass import OnePass, OnePassRestorer

__all__ = ["CARD", "load", "method", "networks"]


def method() -> OnePass:
    """How its checkpoint is read and its networks run."""
    from likeness.methods.pmrf.restorer import METHOD

    return METHOD


def networks() -> dict[str, nn.Module]:
    """``{"pmrf": PMRFNet}``, freshly built: both networks, which are released in one file."""
    from likeness.methods.pmrf.network import PMRFNet

    return {"pmrf": PMRFNet()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> OnePassRestorer:
    """The restorer with the released weights, or those of ``weights``. Raises WeightsError."""
    from likeness.methods.one_pass import load_one_pass

    return load_one_pass(method(), device, dtype, weights)
