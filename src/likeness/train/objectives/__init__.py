"""One file per trainable method: what is minimised."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

Batch = dict[str, Tensor]


class Objective(Protocol):
    """What the loop needs of a method's training."""

    generator: nn.Module
    discriminator: nn.Module | None

    def start(self) -> None:
        """Called once, when a run begins (not when it resumes), after ``init`` was loaded."""
        ...

    def generator_loss(self, batch: Batch, step: int, rng: torch.Generator) -> tuple[Tensor, dict[str, float], Any]:
        """The loss to minimise, its terms for the log, and what ``discriminator_loss`` needs."""
        ...

    def discriminator_loss(self, batch: Batch, carried: Any) -> tuple[Tensor, dict[str, float]]:
        """The discriminator's loss; called only when there is a discriminator."""
        ...

    def restore(self, network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
        """Named restorations of ``degraded`` (B, 3, H, W) in [-1, 1], for validation."""
        ...
