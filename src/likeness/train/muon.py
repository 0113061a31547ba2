"""Muon: momentum whose every direction is made equally long, for matrices and convolutions.

Jordan et al., Muon: an optimizer for hidden layers in neural networks (2024); scaled to the size of AdamW's steps as in
Liu et al., Muon is scalable for LLM training (2025), so that rates are those of AdamW. ``torch.optim.Muon`` takes
matrices only, and a U-Net is made of convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)  # pulls singular values towards 1 fast, to between 0.7 and 1.2
ADAMW_SIZE = 0.2  # root mean square of AdamW's steps, in units of its rate


class Muon(torch.optim.Optimizer):
    """Muon for the parameters of two and more dimensions, AdamW for biases and norms.

    A convolution (out, in, h, w) counts as a matrix (out, in h w). ``momentum`` is Nesterov's. The rate is that of a
    parameter group, ``lr``, as everywhere in torch.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        rounds: int = 5,
    ) -> None:
        every = list(parameters)
        groups = [
            {"params": [p for p in every if p.ndim >= 2], "matrices": True},
            {"params": [p for p in every if p.ndim < 2], "matrices": False},
        ]
        defaults = {"lr": lr, "betas": betas, "momentum": momentum, "weight_decay": weight_decay, "rounds": rounds}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step for every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            move = self._matrix if group["matrices"] else self._vector
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    move(parameter, parameter.grad, group)
        return loss

    def _matrix(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        update = gradient.lerp(state["momentum"], group["momentum"]).flatten(1)
        step = orthogonal(update, group["rounds"]).view_as(parameter)
        parameter.add_(step.to(parameter), alpha=-group["lr"] * ADAMW_SIZE * max(update.shape) ** 0.5)

    def _vector(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (first, second) = self.state[parameter], group["betas"]
        if not state:
            state.update(mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter), steps=0)
        state["steps"] += 1
        state["mean"].lerp_(gradient, 1 - first)
        state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        size = (state["square"] / (1 - second ** state["steps"])).sqrt_().add_(1e-8)
        parameter.addcdiv_(state["mean"], size, value=-group["lr"] / (1 - first ** state["steps"]))


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """The matrix (m, n) with all its singular values near 1, by Newton and Schulz's iteration in bfloat16; float32."""
    a, b, c = QUINTIC
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).float()
