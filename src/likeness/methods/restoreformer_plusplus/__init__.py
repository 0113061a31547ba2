"""RestoreFormer++: RestoreFormer that asks at two sizes (Wang et al., TPAMI 2023)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.restoreformer_plusplus.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.one_pass import OnePass, OnePassRestorer

__all__ = ["CARD", "load", "method", "networks"]


def method() -> OnePass:
    """How its checkpoint is read and its network run."""
    from likeness.methods.restoreformer_plusplus.restorer import METHOD

    return METHOD


def networks() -> dict[str, nn.Module]:
    """``{"net": RestoreFormerNet}``, freshly built."""
    from likeness.methods.restoreformer_plusplus.restorer import RELEASED
    from likeness.nets.restoreformer import RestoreFormerNet

    return {"net": RestoreFormerNet(RELEASED)}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> OnePassRestorer:
    """The restorer with the released weights, or those of ``weights``. Raises WeightsError."""
    from likeness.methods.one_pass import load_one_pass

    return load_one_pass(method(), device, dtype, weights)
