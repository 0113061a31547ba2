"""Flow matching: following a velocity field from its source (t = 0) to the data (t = 1)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def euler_flow(velocity: Callable[[Tensor, float], Tensor], x: Tensor, steps: int) -> Tensor:
    """``steps`` Euler steps of dx/dt = velocity(x, t) from t = 0 to 1, asked at t = i / steps.

    Raises ValueError for ``steps`` < 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    for i in range(steps):
        x = x + velocity(x, i / steps) / steps
    return x
