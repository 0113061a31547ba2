"""One file per trainable method: what is minimised."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from likeness.train.draws import Draws

Batch = dict[str, Tensor]


class Objective(Protocol):
    """What the loop needs of a method's training.

    ``generator`` has exactly the keys of the method's checkpoint; what requires a gradient is trained, averaged over
    the steps and saved. ``discriminator``, if any, learns at ``discriminator_rate``. Neither is ever wrapped: their
    parts may be called, too. Losses are means over the samples of the batch.
    """

    generator: nn.Module
    discriminator: nn.Module | None
    discriminator_rate: float

    def load(self, path: Path) -> None:
        """Take the weights of ``path``, the recipe's ``init``. Raises WeightsError."""
        ...

    def start(self) -> None:
        """Called once, when a run begins (not when it resumes), after ``load``."""
        ...

    def generator_loss(self, batch: Batch, step: int, draws: Draws) -> tuple[Tensor, dict[str, float], Any]:
        """The loss to minimise, its terms for the log, and what ``discriminator_loss`` needs.

        ``batch``: "degraded" and "clean", (B, 3, c, c) in [-1, 1], and "place"; all randomness comes from ``draws``.
        """
        ...

    def discriminator_loss(
        self, batch: Batch, carried: Any, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, float]]:
        """The discriminator's loss; called only when there is a discriminator."""
        ...

    def restore(self, network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
        """Named restorations of ``degraded`` (B, 3, size, size) in [-1, 1], clipped, for validation.

        ``network``: the averaged generator; size: the recipe's ``data.size``.
        """
        ...

    def facts(self) -> dict[str, Any]:
        """What the weights need beside their tensors, as plain data: the ``config`` of the file."""
        ...
