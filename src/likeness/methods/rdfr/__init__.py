"""RDFR, "Rethinking Deep Face Restoration": quantised skip features, gated fusion and noise (papers/003)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.rdfr.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.one_pass import OnePass, OnePassRestorer

__all__ = ["CARD", "load", "method", "networks"]


def method() -> OnePass:
    """How RDFR is read and run."""
    from likeness.methods.one_pass import OnePass
    from likeness.methods.rdfr.restorer import recognise, run, unpack

    return OnePass(CARD, unpack, recognise, run)


def networks() -> dict[str, nn.Module]:
    """``{"unet": RDFR}``, freshly built at the size of the paper, 512 pixels."""
    from likeness.methods.rdfr.network import RDFR

    return {"unet": RDFR()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> OnePassRestorer:
    """The restorer with the weights of ``weights``; none are published. Raises WeightsError."""
    from likeness.methods.one_pass import load_one_pass
    from likeness.weights.errors import WeightsError

    if weights is None:
        raise WeightsError(
            "no weights of rdfr are published: train it, then name the file of your training (--weights)"
        )
    return load_one_pass(method(), device, dtype, weights)
