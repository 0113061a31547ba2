"""GFPGAN (Wang et al. 2021): 1.2, 1.3 and 1.4 ("clean"), and 1, the model of the paper ("original")."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.gfpgan.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.one_pass import OnePass, OnePassRestorer

__all__ = ["CARD", "load", "method", "networks"]


def method() -> OnePass:
    """How GFPGAN is read and run."""
    from likeness.methods.gfpgan.run import recognise, run, unpack
    from likeness.methods.one_pass import OnePass

    return OnePass(CARD, unpack, recognise, run)


def networks() -> dict[str, nn.Module]:
    """``{"clean": GFPGANClean, "original": GFPGANOriginal}``, freshly built as released."""
    from likeness.methods.gfpgan.clean import GFPGANClean
    from likeness.methods.gfpgan.original import GFPGANOriginal

    return {"clean": GFPGANClean(), "original": GFPGANOriginal()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> OnePassRestorer:
    """The restorer with the weights of ``weights`` (any of the releases), or the catalogue's. Raises WeightsError."""
    from likeness.methods.one_pass import load_one_pass

    return load_one_pass(method(), device, dtype, weights)
