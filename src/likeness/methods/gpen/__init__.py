"""GPEN (Yang et al. 2021): a GAN prior in a U-shaped network; sizes 256 to 2048."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.gpen.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.one_pass import OnePass, OnePassRestorer

__all__ = ["CARD", "load", "method", "networks"]


def method() -> OnePass:
    """How GPEN is read and run."""
    from likeness.methods.gpen.network import recognise
    from likeness.methods.gpen.run import run, unpack
    from likeness.methods.one_pass import OnePass

    return OnePass(CARD, unpack, recognise, run)


def networks() -> dict[str, nn.Module]:
    """``{"net": GPEN}``, freshly built as released for 512 pixels."""
    from likeness.methods.gpen.network import GPEN

    return {"net": GPEN()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> OnePassRestorer:
    """The restorer with the weights of ``weights``, or the catalogue's. Raises WeightsError."""
    from likeness.methods.one_pass import load_one_pass

    return load_one_pass(method(), device, dtype, weights)
