"""Embeddings of scalars that condition a network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class NoiseLevelEmbedding(nn.Module):
    """Continuous noise level to a vector: Fourier features of sqrt(gamma), then two linear layers (SR3, WaveGrad).

    ``forward(gamma)``: (B,) in [0, 1] -> (B, width) float32.
    """

    def __init__(self, width: int, features: int = 32) -> None:
        super().__init__()
        frequencies = torch.exp(torch.linspace(0.0, math.log(64.0), features // 2)) * math.pi
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.frequencies: Tensor
        self.mlp = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, gamma: Tensor) -> Tensor:
        angle = gamma.clamp(0, 1).sqrt()[:, None] * self.frequencies
        return self.mlp(torch.cat([angle.sin(), angle.cos()], dim=1))  # type: ignore[no-any-return]
