"""IDM as it is used: the reverse chain from noise to a face, conditioned on the degraded one (papers/001, 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likeness.diffusion import ancestral_step, ddim_step, eps_of, refinement_step, seeded_noise, spread_evenly
from likeness.methods.card import OptionError
from likeness.methods.idm.card import CARD
from likeness.methods.idm.network import Denoiser
from likeness.methods.progress import tell

ANCESTRAL, DDIM, REFINEMENT = range(3)


def steps_asked(total: int, steps: int) -> np.ndarray:
    """The steps of ``total`` at which the network is asked: from the last, evenly, down to the first.

    papers/001 trains with 1000 and samples with 10, but does not say which ten. A single one is the last, pure noise.
    """
    return total - 1 - spread_evenly(total, steps)


def reverse_chain(
    x0_at: Callable[[Tensor, int], Tensor],
    gammas: Sequence[float],
    noise: Callable[[], Tensor],
    sampler: int = ANCESTRAL,
    eta: float = 0.0,
) -> Tensor:
    """From noise to the last estimate of the picture.

    ``gammas`` rise towards the picture; ``x0_at(x_t, i)`` is the estimate at ``gammas[i]``. The last is returned as it
    is: all three samplers end there, for none of them adds noise in its last step. An estimate of eps is that which
    belongs to x0, so a clamped x0 counts for DDIM and eq. 8 too (the paper is silent).
    """
    x_t = noise()
    for i, gamma in enumerate(gammas):
        x0 = x0_at(x_t, i)
        tell(i + 1, len(gammas))
        if i + 1 == len(gammas):
            break
        after = gammas[i + 1]
        if sampler == ANCESTRAL:
            x_t = ancestral_step(x_t, x0, gamma, after, noise())
        elif sampler == DDIM:
            x_t = ddim_step(x0, eps_of(x_t, x0, gamma), gamma, after, eta, noise() if eta > 0 else None)
        else:
            x_t = refinement_step(x_t, eps_of(x_t, x0, gamma), gamma, after, noise())
    return x0


class IDMRestorer:
    """Restores aligned crops. ``fingerprint`` is the sha256 of the weights."""

    card = CARD

    def __init__(self, denoiser: Denoiser, device: torch.device, dtype: torch.dtype, fingerprint: str) -> None:
        self.device, self.dtype, self.fingerprint = device, dtype, fingerprint
        self.denoiser = denoiser
        self.net = denoiser.net.eval().requires_grad_(False).to(device)

    @torch.inference_mode()
    def restore(self, crops: Tensor, *, seed: int = 0, **options: Any) -> Tensor:
        """(B, 3, 512, 512) float32 RGB in [0, 1] -> the same, restored; other multiples of the network's factor too.

        ``steps``: evaluations of the network; ``sampler``: 0 ancestral (Ho et al. 2020), 1 DDIM with ``eta``, 2 the
        refinement of papers/001 eq. 8. Raises OptionError for an option that is not there, out of range, or for more
        steps than the network was trained with; ValueError for another shape.
        """
        chosen = self.card.choose(options)
        steps, total, factor = int(chosen["steps"]), len(self.denoiser.schedule), self.net.factor
        if crops.ndim != 4 or crops.shape[1] != 3 or crops.shape[2] % factor or crops.shape[3] % factor:
            raise ValueError(f"expected (B, 3, H, W) with H and W multiples of {factor}, got {tuple(crops.shape)}")
        if steps > total:
            raise OptionError(f"steps must be in [1, {total}] with these weights, got {steps}")
        degraded = crops.to(self.device, torch.float32) * 2 - 1
        indices = steps_asked(total, steps).tolist()
        gammas = [float(self.denoiser.schedule.gammas[index]) for index in indices]
        noise = seeded_noise(degraded.shape[1:], [seed] * len(crops), self.device)

        def x0_at(x_t: Tensor, i: int) -> Tensor:
            return self.denoiser.x0(x_t, degraded, indices[i], self.dtype)

        restored = reverse_chain(x0_at, gammas, noise, int(chosen["sampler"]), float(chosen["eta"]))
        return restored.add(1).div(2).to(crops)


def load_idm(device: torch.device, dtype: torch.dtype, weights: Path | None) -> IDMRestorer:
    """See ``likeness.methods.idm.load``."""
    from likeness.methods.idm.checkpoint import read_denoiser
    from likeness.weights.load import WeightsError, fingerprint

    if weights is None:
        raise WeightsError("no weights of idm are published: train it, then name the file of your training (--weights)")
    return IDMRestorer(read_denoiser(weights), device, dtype, fingerprint(weights))
