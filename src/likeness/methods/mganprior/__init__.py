"""mGANprior: several codes of a generator are mixed until their picture, reduced, is the photo (CVPR 2020)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.mganprior.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.mganprior.restorer import MGANPriorRestorer
    from likeness.methods.released import Released

__all__ = ["CARD", "load", "method", "networks"]


def method() -> Released:
    """How the generator's file is read."""
    from likeness.methods.mganprior.restorer import METHOD

    return METHOD


def networks() -> dict[str, nn.Module]:
    """``{"pggan": PGGAN, "vgg16": VGGFeatures}``, freshly built."""
    from likeness.methods.mganprior.pggan import PGGAN
    from likeness.nets.vgg import VGGFeatures

    return {"pggan": PGGAN(), "vgg16": VGGFeatures(16)}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> MGANPriorRestorer:
    """The restorer with the generator in ``weights``, and VGG16 from beside it or the store if it is there.

    Raises WeightsError.
    """
    from likeness.methods.mganprior.restorer import load_mganprior

    return load_mganprior(device, dtype, weights)
