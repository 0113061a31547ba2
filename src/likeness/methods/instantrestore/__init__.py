"""InstantRestore: a face restored in one step with photographs of the same person (SIGGRAPH 2025)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.instantrestore.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.instantrestore.restorer import InstantRestoreRestorer
    from likeness.methods.released import Released

__all__ = ["CARD", "load", "method", "networks"]


def method() -> Released:
    """How its checkpoint is read."""
    from likeness.methods.instantrestore.restorer import METHOD

    return METHOD


def networks() -> dict[str, nn.Module]:
    """``{"net": InstantRestoreNet}`` without memory, on the meta device: ``load_state_dict`` takes over the tensors it
    is given. Raises WeightsError when the diffusers library is not installed."""
    from likeness.methods.instantrestore.network import InstantRestoreNet

    return {"net": InstantRestoreNet()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> InstantRestoreRestorer:
    """The restorer with the released weights, or those of ``weights``. Raises WeightsError."""
    from likeness.methods.instantrestore.restorer import load_released

    return load_released(device, dtype, weights)
