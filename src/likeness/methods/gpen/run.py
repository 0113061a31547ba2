"""GPEN's inference between an aligned crop and the restored crop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from likeness.methods.gpen.network import GPEN
from likeness.methods.one_pass import Options
from likeness.nets.upfirdn import to_size


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The released file is the bare state dict."""
    return {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}


def run(net: nn.Module, x: Tensor, options: Options, seed: int) -> Tensor:
    """(B, 3, H, H) RGB in [-1, 1] -> the same, restored; resized to the network's size and back. No randomness."""
    assert isinstance(net, GPEN)
    inputs = to_size(x, net.size).contiguous(memory_format=torch.channels_last)
    return torch.lerp(x, to_size(net(inputs), x.shape[-1]), float(options["alpha"]))
