"""mGANprior's search: plain gradient descent over several codes and the weights of their channels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from likeness.methods.mganprior.objective import Objective, Terms

Generate = Callable[[Tensor, Tensor], Tensor]  # codes (N, latent), alpha (N, C) -> picture in [-1, 1]
DESCENT, ADAM = range(2)


class Search:
    """The state of a search for one face: ``z`` (N, latent) and ``alpha`` (N, C), changed by each ``step``."""

    def __init__(
        self,
        generate: Generate,
        objective: Objective,
        z: Tensor,
        channels: int,
        optimiser: int = DESCENT,
        learning_rate: float = 1.0,
    ) -> None:
        """``z``: where the codes begin, N(0, 1); ``alpha`` begins at 1 / N."""
        self.generate, self.objective = generate, objective
        self.z = z.detach().clone().requires_grad_()
        self.alpha = torch.full((len(z), channels), 1 / len(z), device=z.device, requires_grad=True)
        kind = torch.optim.Adam if optimiser == ADAM else torch.optim.SGD
        self.optimiser = kind([self.z, self.alpha], lr=learning_rate)

    def step(self) -> Terms:
        """Update once; returns what the objective was before. Gradients must be enabled."""
        terms = self.objective.terms(self.generate(self.z, self.alpha))
        self.optimiser.zero_grad()
        terms.total.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return Terms(terms.l1.detach(), terms.l2.detach(), terms.perceptual.detach(), terms.total.detach())

    @torch.no_grad()
    def picture(self) -> Tensor:
        """(1, 3, size, size) of the present codes, nominally in [-1, 1]."""
        return self.generate(self.z, self.alpha)
