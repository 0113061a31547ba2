"""VQFR, versions 1 and 2: textures of a codebook, moved to where the photograph has them (Gu et al., ECCV 2022)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.vqfr.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.one_pass import OnePass, OnePassRestorer

__all__ = ["CARD", "load", "method", "networks"]


def method() -> OnePass:
    """How its checkpoints are read and its networks run."""
    from likeness.methods.vqfr.restorer import METHOD

    return METHOD


def networks() -> dict[str, nn.Module]:
    """``{"v1": VQFRv1, "v2": VQFRv2}``, freshly built."""
    from likeness.methods.vqfr.v1 import VQFRv1
    from likeness.methods.vqfr.v2 import VQFRv2

    return {"v1": VQFRv1(), "v2": VQFRv2()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> OnePassRestorer:
    """The restorer with the released weights, or those of ``weights``, of either version. Raises WeightsError."""
    from likeness.methods.one_pass import load_one_pass

    return load_one_pass(method(), device, dtype, weights)
