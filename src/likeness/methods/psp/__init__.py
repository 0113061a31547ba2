"""pSp (Richardson et al. 2021): a face as latents of StyleGAN2; super resolution."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.psp.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.one_pass import OnePass, OnePassRestorer

__all__ = ["CARD", "load", "method", "networks"]


def method() -> OnePass:
    """How pSp is read and run."""
    from likeness.methods.one_pass import OnePass
    from likeness.methods.psp.network import recognise
    from likeness.methods.psp.run import run, unpack

    return OnePass(CARD, unpack, recognise, run, one_call=False)


def networks() -> dict[str, nn.Module]:
    """``{"net": PSp}``, freshly built as released (1024 pixels), without the average latent."""
    from likeness.methods.psp.network import PSp

    return {"net": PSp()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> OnePassRestorer:
    """The restorer with the weights of ``weights``, or the catalogue's. Raises WeightsError.

    Also when the average latent is not in the file: without it the network would make faces of nobody.
    """
    from likeness.methods.one_pass import load_one_pass
    from likeness.weights.load import WeightsError

    restorer = load_one_pass(method(), device, dtype, weights)
    if restorer.net.latent_avg is None:
        raise WeightsError(f"{weights or 'the catalogue file of psp'} does not hold latent_avg")
    return restorer
