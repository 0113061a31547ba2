"""DFDNet: eyes, nose and mouth are matched with dictionaries of good ones, whose features are carried over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.dfdnet.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.dfdnet.restorer import DFDNetRestorer
    from likeness.methods.released import Released

__all__ = ["CARD", "load", "method", "networks"]


def method() -> Released:
    """How its checkpoint is read; the dictionaries are files of their own."""
    from likeness.methods.dfdnet.restorer import METHOD

    return METHOD


def networks() -> dict[str, nn.Module]:
    """``{"net": DFDNet}``, freshly built."""
    from likeness.methods.dfdnet.network import DFDNet

    return {"net": DFDNet()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> DFDNetRestorer:
    """The restorer with the weights of ``weights`` and the folder ``DictionaryCenter512`` beside it.

    Raises WeightsError.
    """
    from likeness.methods.dfdnet.restorer import load_dfdnet

    return load_dfdnet(device, dtype, weights)
