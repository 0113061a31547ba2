"""The built-in network: a denoiser, whose answer to pure noise is the posterior mean, and a sharpener."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from likeness.methods.likeness import denoiser, sharpener
from likeness.methods.likeness.trunk import TrunkConfig


class LikenessNet(nn.Module):
    """Both parts under one roof, so that weights and checkpoints are always whole.

    ``forward(part, *inputs)`` calls "denoiser", "sharpener", or "sharpener.parts" (one door for all: compilers and
    data-parallel wrappers look at ``forward`` only).
    """

    def __init__(self, first: TrunkConfig = denoiser.CONFIG, second: TrunkConfig = sharpener.CONFIG) -> None:
        super().__init__()
        self.denoiser = denoiser.Denoiser(first)
        self.sharpener = sharpener.Sharpener(second)

    def forward(self, part: str, *inputs: Tensor | None) -> Any:
        if part == "sharpener.parts":
            return self.sharpener.parts(*inputs)  # type: ignore[arg-type]
        return getattr(self, part)(*inputs)
