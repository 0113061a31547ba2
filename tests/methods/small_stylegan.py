"""Small networks of the StyleGAN2 family for tests: every parameter does something, so that every part counts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SMALL: dict[str, Any] = {"size": 64, "style_dim": 16, "mlp_layers": 2, "narrow": 1 / 32}


def awake(net: nn.Module) -> nn.Module:
    """``net`` with the same random numbers every time, of a scale that lets the face through; for inference."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in net.modules():
            plain = isinstance(module, nn.Conv2d | nn.Linear)
            for tensor in module.parameters(recurse=False):
                noise = torch.randn(tensor.shape, generator=generator)
                if tensor.numel() == max(tensor.shape):  # biases, gains, strengths
                    tensor.copy_(0.2 * noise) if plain else tensor.add_(0.2 * noise)  # torch draws a plain bias itself
                else:
                    scale = 1.4 / tensor[0].numel() ** 0.5 if plain else 1 / getattr(module, "lr_mul", 1)
                    tensor.copy_(noise * scale)
            for buffer in (b for b in module.buffers(recurse=False) if b.ndim == 4):
                buffer.copy_(torch.randn(buffer.shape, generator=generator))
    return net.eval().requires_grad_(False)


def faces(batch: int, size: int, seed: int = 0) -> Tensor:
    """(batch, 3, size, size) in [-1, 1]; each sample depends on the seed and its place only."""
    rows = [torch.rand(3, size, size, generator=torch.Generator().manual_seed(seed + i)) for i in range(batch)]
    return torch.stack(rows) * 2 - 1


def assert_same(got: Tensor, wanted: Tensor) -> None:
    """Equal but for rounding, measured by the spread of ``wanted``."""
    assert got.shape == wanted.shape
    assert (got - wanted).abs().max() <= 1e-4 * wanted.std()
