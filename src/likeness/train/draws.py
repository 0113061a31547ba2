"""The randomness of one training step."""

from __future__ import annotations

import torch
from torch import Tensor


class Draws:
    """Random numbers that depend on the seed and the step alone, shared out over ``world`` processes.

    What one process draws for a batch of 4, two processes of 2 draw together: a process is given its own samples' rows,
    the ``rank``-th and every ``world``-th after it, as ``train.data`` gives it their pictures. float32, on the CPU.
    """

    def __init__(self, seed: int, step: int, rank: int = 0, world: int = 1) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank must be in [0, {world}), got {rank}")
        self.seed, self.rank, self.world = seed * 1_000_003 + step, rank, world
        self._generator = torch.Generator().manual_seed(self.seed)

    def normal(self, *shape: int) -> Tensor:
        """``shape`` standard normal numbers; the first dimension counts this process's samples."""
        return torch.randn(self._all(shape), generator=self._generator)[self.rank :: self.world]

    def uniform(self, *shape: int) -> Tensor:
        """``shape`` numbers in [0, 1); the first dimension counts this process's samples."""
        return torch.rand(self._all(shape), generator=self._generator)[self.rank :: self.world]

    def integer(self, low: int, high: int) -> int:
        """One number in [low, high), the same in all processes."""
        return int(torch.randint(low, high, (1,), generator=self._generator))

    def _all(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0] * self.world, *shape[1:])
