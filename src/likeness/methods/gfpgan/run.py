"""Reading GFPGAN's files, and its inference between an aligned crop and the restored crop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from likeness.methods.gfpgan.clean import GFPGANClean
from likeness.methods.gfpgan.network import GFPGAN
from likeness.methods.gfpgan.original import GFPGANOriginal
from likeness.methods.one_pass import Options
from likeness.nets.stylegan2 import length
from likeness.nets.stylegan2_generator import generator_shape
from likeness.nets.upfirdn import to_size


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The released files hold the averaged weights under "params_ema", else under "params"; a flat mapping passes."""
    for nest in ("params_ema", "params"):
        if isinstance(checkpoint.get(nest), Mapping):
            checkpoint = checkpoint[nest]
            break
    return {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}


def recognise(tensors: Mapping[str, Tensor]) -> GFPGAN | None:
    """The network of either release that these keys and shapes belong to, unfilled; None for another method."""
    decoder = "stylegan_decoder"
    if f"{decoder}.constant_input.weight" not in tensors:
        return None
    original = f"{decoder}.style_conv1.activate.bias" in tensors
    size, mlp_layers = 4, 0
    while f"toRGB.{size.bit_length() - 3}.weight" in tensors:
        size *= 2
    while f"{decoder}.style_mlp.{mlp_layers * (1 if original else 2) + 1}.weight" in tensors:
        mlp_layers += 1
    arguments = generator_shape(
        size,
        mlp_layers,
        narrow=length(tensors, f"{decoder}.constant_input.weight", 1, 512) / 512,
        at_64=length(tensors, f"{decoder}.style_convs.6.modulated_conv.weight", 1, 512),
        style_dim=length(tensors, f"{decoder}.style_conv1.modulated_conv.modulation.weight", 1, 512),
    )
    if arguments is None:
        return None
    return GFPGANOriginal(**arguments) if original else GFPGANClean(**arguments)


def run(net: nn.Module, x: Tensor, options: Options, seed: int) -> Tensor:
    """(B, 3, H, H) RGB in [-1, 1] -> the same, restored. The noise is the same for all samples of the batch."""
    assert isinstance(net, GFPGAN)
    noise = net.draw_noise(seed) if options["randomize_noise"] else None
    inputs = to_size(x, net.size).contiguous(memory_format=torch.channels_last)
    return to_size(net(inputs, noise), x.shape[-1])
