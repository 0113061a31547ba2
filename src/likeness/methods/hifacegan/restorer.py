"""From the authors' file to pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from likeness.methods.hifacegan.card import CARD
from likeness.methods.hifacegan.network import HiFaceGAN
from likeness.methods.one_pass import OnePass, Options


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The file is a bare state dict."""
    return {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}


def recognise(tensors: Mapping[str, Tensor]) -> HiFaceGAN | None:
    """The generator, from its width. The class LIPSPADE of the same authors has other keys and is not known."""
    head = tensors.get("encoder.head.0.weight")
    if head is None or "fc.weight" not in tensors or "G_middle_1.norm_0.mlp_shared.0.weight" not in tensors:
        return None
    return HiFaceGAN(head.shape[0])


def run(net: nn.Module, x: Tensor, options: Options, seed: int) -> Tensor:
    """One pass; ``load`` has taken the step of the power iteration with which the official scripts begin."""
    return net(x)  # type: ignore[no-any-return]


METHOD = OnePass(CARD, unpack, recognise, run)
