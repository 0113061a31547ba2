"""HiFaceGAN: content-adaptive suppression of the degradation, then replenishment of detail from coarse to fine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.hifacegan.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.one_pass import OnePass, OnePassRestorer

__all__ = ["CARD", "load", "method", "networks"]


def method() -> OnePass:
    """Unpacking, recognising and running."""
    from likeness.methods.hifacegan.restorer import METHOD

    return METHOD


def networks() -> dict[str, nn.Module]:
    """``{"net": HiFaceGAN}``, freshly built."""
    from likeness.methods.hifacegan.network import HiFaceGAN

    return {"net": HiFaceGAN()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> OnePassRestorer:
    """The restorer with the weights of ``weights``, or of the catalogue's file. Raises WeightsError."""
    from likeness.methods.hifacegan.restorer import METHOD
    from likeness.methods.one_pass import load_one_pass
    from likeness.nets.spectral import fold_spectral_norm, power_iteration

    restorer = load_one_pass(METHOD, device, dtype, weights)
    power_iteration(restorer.net)  # see HiFaceGAN
    fold_spectral_norm(restorer.net)
    return restorer
