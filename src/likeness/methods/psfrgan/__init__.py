"""PSFRGAN: the face is parsed, and grown from a constant under the guidance of the photo and its parse map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.psfrgan.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.one_pass import OnePass, OnePassRestorer

__all__ = ["CARD", "load", "method", "networks"]


def method() -> OnePass:
    """Unpacking, recognising and running; ``run`` takes a ``PSFRGAN``, generator and parser together."""
    from likeness.methods.psfrgan.restorer import METHOD

    return METHOD


def networks() -> dict[str, nn.Module]:
    """``{"net": PSFRGenerator, "parse": ParseNet}``, freshly built."""
    from likeness.methods.psfrgan.network import PSFRGenerator
    from likeness.nets.parsenet import ParseNet

    return {"net": PSFRGenerator(), "parse": ParseNet()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> OnePassRestorer:
    """The restorer with the generator in ``weights`` and the parser that lies beside it. Raises WeightsError."""
    from likeness.methods.psfrgan.restorer import load_both

    return load_both(device, dtype, weights)
