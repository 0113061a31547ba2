"""Diffused error contraction (papers/002): an estimate is noised to a middle level, and denoised from there.

The noise covers the estimate's errors, which the sampler then cannot tell from its own; what remains of the picture
says whose face it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor

from likeness.diffusion import Schedule, ddim_step, diffuse, strided, x0_of

# The authors' inference visits every fourth of the 1000 levels of the training.
SCHEDULE = Schedule.linear().respaced(strided(1000, 250))


class Step(NamedTuple):
    """What a step believes the picture to be, and the less noisy picture that it leaves. (B, 3, H, W) in [-1, 1]."""

    x0: Tensor
    x: Tensor


def diffused(estimate: Tensor, schedule: Schedule, start: int, noise: Tensor) -> Tensor:
    """The estimate (B, 3, H, W) in [0, 1], noised to the level with index ``start`` (papers/002, the transition)."""
    return diffuse(estimate * 2 - 1, float(schedule.gammas[start]), noise)


def denoised(
    predict: Callable[[Tensor, int], Tensor],
    x: Tensor,
    schedule: Schedule,
    start: int,
    eta: float,
    noise: Callable[[], Tensor],
    correct: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[Step]:
    """DDIM from ``x``, noised to index ``start``, to the picture: ``start`` steps, the last one's ``x`` is the answer.

    ``predict(x, time)`` gives the noise in x; ``correct(x0)`` a better x0, in [-1, 1]. As the authors do it, the first
    call is told the level below the one that ``x`` is at, and the step goes on with the noise as predicted, not with
    what it would be for the clipped x0.
    """
    for index in range(start - 1, -1, -1):
        level, below = float(schedule.gammas[index]), float(schedule.gammas_before[index])
        eps = predict(x, int(schedule.times[index]))
        x0 = x0_of(x, eps, level).clamp(-1, 1)
        if correct is not None:
            x0 = correct(x0)
        x = ddim_step(x0, eps, level, below, eta, noise() if index and eta else None)
        yield Step(x0, x)
