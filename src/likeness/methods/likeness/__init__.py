"""The built-in method: a compact conditional diffusion model that runs on a CPU, offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.methods.likeness.card import CARD

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor, nn

    from likeness.methods.likeness.restorer import LikenessRestorer

__all__ = ["CARD", "complete", "load", "networks"]


def networks() -> dict[str, nn.Module]:
    """``{"net": LikenessNet}``, freshly built."""
    from likeness.methods.likeness.network import LikenessNet

    return {"net": LikenessNet()}


def complete(tensors: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """``tensors`` of a file from when the network had fewer blocks, as ``net`` takes them."""
    from likeness.methods.likeness.network import with_new_blocks

    return with_new_blocks(tensors, net)


def load(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> LikenessRestorer:
    """The restorer with the built-in weights, or those of ``weights``. Raises WeightsError."""
    from likeness.methods.likeness.restorer import LikenessRestorer
    from likeness.weights.builtin import builtin_path
    from likeness.weights.checkpoint import fill_strict, read_checkpoint
    from likeness.weights.load import fingerprint

    path = weights or builtin_path("likeness")
    net = networks()["net"]
    fill_strict(net, complete(read_checkpoint(path), net), str(path))
    return LikenessRestorer(net, device, dtype, fingerprint(path))
