"""From the authors' files to pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.deblurganv2.card import CARD
from likeness.methods.deblurganv2.inception import FPNInception
from likeness.methods.deblurganv2.mobilenet import FPNMobileNet
from likeness.methods.deblurganv2.pyramid import Deblurrer
from likeness.methods.one_pass import OnePass, Options

MULTIPLE = 32


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict lies under ``model``, each key behind the prefix ``module.`` of a parallel training."""
    inner = checkpoint.get("model", checkpoint)
    if not isinstance(inner, Mapping):
        inner = checkpoint
    return {key.removeprefix("module."): value for key, value in inner.items() if isinstance(value, Tensor)}


def recognise(tensors: Mapping[str, Tensor]) -> Deblurrer | None:
    """Which backbone, and the widths of pyramid and heads."""
    networks: dict[str, type[FPNInception | FPNMobileNet]] = {
        "fpn.inception.conv2d_1a.conv.weight": FPNInception,
        "fpn.features.0.0.weight": FPNMobileNet,
    }
    lateral, smooth = tensors.get("fpn.lateral4.weight"), tensors.get("smooth.0.weight")
    if lateral is None or smooth is None:
        return None
    for key, network in networks.items():
        if key in tensors:
            return network(pyramid=lateral.shape[0], width=smooth.shape[0])
    return None


def run(net: nn.Module, x: Tensor, options: Options, seed: int) -> Tensor:
    """One pass over the picture with a border of zeros (mid-grey) at the bottom and the right, up to the next
    multiple of 32. There is always one, as in the official script; it takes part in the statistics of the norms."""
    height, width = x.shape[2:]
    border = (0, MULTIPLE - width % MULTIPLE, 0, MULTIPLE - height % MULTIPLE)
    return net(F.pad(x, border))[..., :height, :width]  # type: ignore[no-any-return]


METHOD = OnePass(CARD, unpack, recognise, run)
