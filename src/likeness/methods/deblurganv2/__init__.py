"""DeblurGAN-v2: a feature pyramid that predicts what to add to a blurred picture (any picture, not only faces)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.deblurganv2.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.one_pass import OnePass, OnePassRestorer

__all__ = ["CARD", "load", "method", "networks"]


def method() -> OnePass:
    """Unpacking, recognising (which of the two backbones) and running."""
    from likeness.methods.deblurganv2.restorer import METHOD

    return METHOD


def networks() -> dict[str, nn.Module]:
    """``{"fpn_inception": FPNInception, "fpn_mobilenet": FPNMobileNet}``, freshly built."""
    from likeness.methods.deblurganv2.inception import FPNInception
    from likeness.methods.deblurganv2.mobilenet import FPNMobileNet

    return {"fpn_inception": FPNInception(), "fpn_mobilenet": FPNMobileNet()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> OnePassRestorer:
    """The restorer with the weights of ``weights``, of either network. Raises WeightsError."""
    from likeness.methods.deblurganv2.restorer import METHOD
    from likeness.methods.one_pass import load_one_pass

    return load_one_pass(METHOD, device, dtype, weights)
