"""What the published single-pass methods share: one network, one call, pictures in [-1, 1].

A method's module makes one ``OnePass`` constant; everything else (weights, precision, range, options) is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likeness.methods.released import Released

Options = Mapping[str, int | float]


@dataclass(frozen=True)
class OnePass(Released):
    """A published method of one call.

    ``run(net, x, options, seed)``: (B, 3, 512, 512) RGB in [-1, 1] -> the same, restored, not clipped.
    """

    run: Callable[[nn.Module, Tensor, Options, int], Tensor]


class OnePassRestorer:
    """Restores aligned crops by one call of the network. ``fingerprint`` is the sha256 of the weights."""

    def __init__(
        self, method: OnePass, net: nn.Module, device: torch.device, dtype: torch.dtype, fingerprint: str
    ) -> None:
        self.method, self.card = method, method.card
        self.device, self.dtype, self.fingerprint = device, dtype, fingerprint
        self.net = net.eval().requires_grad_(False).to(device)

    @torch.inference_mode()
    def restore(self, crops: Tensor, *, seed: int = 0, **options: Any) -> Tensor:
        """(B, 3, 512, 512) float32 RGB in [0, 1] -> the same, restored. Raises OptionError, or ValueError (shape)."""
        chosen = self.card.choose(options)
        if crops.ndim != 4 or crops.shape[1:] != (3, 512, 512):
            raise ValueError(f"expected (B, 3, 512, 512), got {tuple(crops.shape)}")
        x = crops.to(self.device, torch.float32) * 2 - 1
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            restored = self.method.run(self.net, x, chosen, seed)
        return restored.float().clamp(-1, 1).add(1).div(2).to(crops)


def load_one_pass(
    method: OnePass, device: torch.device, dtype: torch.dtype, weights: Path | None = None
) -> OnePassRestorer:
    """The restorer with the weights of ``weights``, or of the catalogue's file for this method. Raises WeightsError."""
    net, sha256 = method.load(weights)
    return OnePassRestorer(method, net, device, dtype, sha256)
