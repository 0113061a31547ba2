"""Low-rank adapters (LoRA: Hu et al. 2022), with the keys that the peft library gives them."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

Layer = nn.Linear | nn.Conv2d


class Adapted(nn.Module):
    """A layer and its correction: base(x) + scale B(A(x)), where A leads to ``rank`` channels and B back.

    For a convolution A has its kernel, stride and padding, and B is 1x1. ``scale`` is not stored in files: it is
    alpha / rank with alpha = rank // 2.
    """

    def __init__(self, base: Layer, rank: int, adapter: str) -> None:
        super().__init__()
        self.adapter, self.scale = adapter, (rank // 2) / rank
        self.base_layer = base
        down, up = _low_rank(base, rank)
        self.lora_A = nn.ModuleDict({adapter: down})
        self.lora_B = nn.ModuleDict({adapter: up})

    def forward(self, x: Tensor) -> Tensor:
        correction = self.lora_B[self.adapter](self.lora_A[self.adapter](x))
        return self.base_layer(x) + self.scale * correction  # type: ignore[no-any-return]

    def merged(self) -> Layer:
        """The layer with the correction added to its weight, in at least float32; the bias is shared."""
        base = self.base_layer
        down, up = (_wide(part[self.adapter]).flatten(1) for part in (self.lora_A, self.lora_B))
        weight = _wide(base)
        base.weight = nn.Parameter(weight + self.scale * (up @ down).view_as(weight), requires_grad=False)
        return base


def _low_rank(base: Layer, rank: int) -> tuple[Layer, Layer]:
    if isinstance(base, nn.Linear):
        return nn.Linear(base.in_features, rank, bias=False), nn.Linear(rank, base.out_features, bias=False)
    sizes = (base.kernel_size, base.stride, base.padding)
    down = nn.Conv2d(base.in_channels, rank, *sizes, bias=False)  # type: ignore[arg-type]
    return down, nn.Conv2d(rank, base.out_channels, 1, bias=False)


def _wide(layer: nn.Module) -> Tensor:
    """Its weight in at least float32."""
    weight = layer.get_parameter("weight").detach()
    return weight.to(torch.promote_types(weight.dtype, torch.float32))


def adapt(network: nn.Module, targets: Collection[str], rank: int, adapter: str) -> None:
    """Put an adapter on every linear layer and convolution whose name is, or ends in a dot and, one of ``targets``."""
    for name, module in list(network.named_modules()):
        if isinstance(module, Layer) and any(name == target or name.endswith(f".{target}") for target in targets):
            _replace(network, name, Adapted(module, rank, adapter))


def merge(network: nn.Module) -> None:
    """Take all adapters into the weights: the same function, rounding aside, without their cost."""
    for name, module in list(network.named_modules()):
        if isinstance(module, Adapted):
            _replace(network, name, module.merged())


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, module)
