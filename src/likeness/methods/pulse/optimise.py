"""PULSE's search: Adam on spheres, over the latent vectors and the coarse noise maps of one face."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from likeness.methods.pulse.gaussian import GaussianFit
from likeness.methods.pulse.objective import Losses, Weights, losses
from likeness.methods.pulse.synthesis import SynthesisConfig

Generate = Callable[[Tensor, Sequence[Tensor]], Tensor]  # latents, noises -> picture in [-1, 1]
FIXED, UP_AND_DOWN, WITH_DROP = range(3)


@dataclass(frozen=True)
class Step:
    """What one step saw before its update: the picture (1, 3, H, W), nominally in [0, 1], and its losses."""

    image: Tensor
    losses: Losses
    learning_rate: float


class Search:
    """The state of a search for one face: ``latent`` (1, layers, latent) and ``noises``, changed by each ``step``."""

    def __init__(
        self,
        generate: Generate,
        fit: GaussianFit,
        reference: Tensor,
        start: tuple[Tensor, list[Tensor]],
        weights: Weights,
        trained: Sequence[int],
        steps: int,
        learning_rate: float = 0.4,
        schedule: int = WITH_DROP,
    ) -> None:
        """``reference`` (1, 3, h, w) in [0, 1]; ``start``: see ``first_state``; ``trained``: layers whose noise too."""
        self.generate, self.fit, self.reference, self.weights = generate, fit, reference, weights
        self.latent, self.noises = start
        self.trained = [self.latent, *(self.noises[layer] for layer in trained)]
        for tensor in self.trained:
            tensor.requires_grad_()
        self.radii = [_radius(tensor.detach()) for tensor in self.trained]
        self.optimiser = torch.optim.Adam(self.trained, lr=learning_rate)
        self.learning_rate, self.schedule, self.steps, self.done = learning_rate, schedule, steps, 0

    def step(self) -> Step:
        """Make the picture, then update. Gradients must be enabled."""
        latents = self.fit.latents(self.latent)
        image = (self.generate(latents, self.noises) + 1) / 2
        found = losses(image, latents, self.reference, self.weights)
        rate = self.learning_rate * scheduled(self.schedule, self.done, self.steps)
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.zero_grad()
        found.total.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self._project()
        self.done += 1
        seen = Losses(found.total.detach(), found.l2.detach(), found.geocross.detach(), found.reached)
        return Step(image.detach(), seen, rate)

    @torch.no_grad()
    def _project(self) -> None:
        """Back to the spheres on which the search began: one for each latent vector and each noise map."""
        for tensor, radius in zip(self.trained, self.radii, strict=True):
            tensor.copy_(tensor / _radius(tensor) * radius)


@dataclass(frozen=True)
class Found:
    """The pictures of the last step and of the lowest total loss, and whether any step was within eps."""

    last: Tensor
    best: Tensor
    reached: bool


def run(
    search: Search, seconds: float = 0.0, patience: int = 0, told: Callable[[int], None] = lambda done: None
) -> Found:
    """All steps of ``search``, or fewer: until ``seconds`` are over, or by ``patience`` (0: never; see the card).

    ``told(done)`` is called after each step.
    """
    began, best, lowest, best_at, reached = time.monotonic(), None, float("nan"), 0, False
    while True:
        step = search.step()
        told(search.done)
        total, reached = float(step.losses.total), reached or step.losses.reached
        if best is None or total < lowest:
            best, lowest, best_at = step.image, total, search.done
        late = 0 < seconds <= time.monotonic() - began
        enough = patience > 0 and (step.losses.reached or search.done - best_at >= patience)
        if search.done == search.steps or late or enough:
            return Found(step.image, best, reached)


def _radius(x: Tensor) -> Tensor:
    return (x.square().sum(dim=tuple(range(2, x.ndim)), keepdim=True) + 1e-9).sqrt()


def scheduled(schedule: int, done: int, steps: int) -> float:
    """The factor of the learning rate after ``done`` of ``steps``: up from 0.1 to 1 and down again, or constant 1.

    With the drop this takes the first nine tenths, after which the factor falls from 0.1 to 0.001.
    """
    if schedule == FIXED:
        return 1.0
    cycle = 0.9 * steps if schedule == WITH_DROP else float(steps)
    if done < cycle:
        return (9 * (1 - 2 * abs(done / cycle - 0.5)) + 1) / 10
    return 0.1 + (done - cycle) / (steps - cycle) * (0.001 - 0.1)


def count_numbers(config: SynthesisConfig, quiet: int) -> int:
    """How many random numbers a search starts from."""
    maps = sum(config.noise_side(layer) ** 2 for layer in range(config.layers) if layer != quiet)
    return config.layers * config.latent + maps


def first_state(config: SynthesisConfig, numbers: Tensor, quiet: int) -> tuple[Tensor, list[Tensor]]:
    """``numbers`` (``count_numbers``,), N(0, 1) -> latent (1, layers, latent) and the noise maps (1, 1, side, side).

    The map of the layer ``quiet`` is zero and takes no numbers.
    """
    sides = [0 if layer == quiet else config.noise_side(layer) for layer in range(config.layers)]
    latent, *maps = torch.split(numbers, [config.layers * config.latent, *(side**2 for side in sides)])
    noises = [m.clone().view(1, 1, side, side) for m, side in zip(maps, sides, strict=True)]
    if 0 <= quiet < config.layers:
        noises[quiet] = numbers.new_zeros(1, 1, *[config.noise_side(quiet)] * 2)
    return latent.clone().view(1, config.layers, config.latent), noises
