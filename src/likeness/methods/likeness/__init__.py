"""The built-in method: a compact conditional diffusion model that runs on a CPU, offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.likeness.card import CARD

if TYPE_CHECKING:
    import torch
    from torch import nn

    from likeness.methods.likeness.restorer import LikenessRestorer

__all__ = ["CARD", "load", "networks"]


def networks() -> dict[str, nn.Module]:
    """``{"net": LikenessNet}``, freshly built."""
    from likeness.methods.likeness.network import LikenessNet

    return {"net": LikenessNet()}


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> LikenessRestorer:
    """The restorer with the built-in weights, or those of ``weights``. Raises WeightsError."""
    from likeness.methods.likeness.network import with_new_blocks
    from likeness.methods.likeness.restorer import LikenessRestorer
    from likeness.weights.builtin import builtin_path
    from likeness.weights.checkpoint import fill_strict, read_checkpoint
    from likeness.weights.load import fingerprint

    path = weights or builtin_path("likeness")
    net = networks()["net"]
    fill_strict(net, with_new_blocks(read_checkpoint(path), net), str(path))
    return LikenessRestorer(net, device, dtype, fingerprint(path))
