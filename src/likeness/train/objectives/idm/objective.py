"""IDM's intrinsic training: a diffusion model that is shown the degraded picture (papers/001, eq. 6 and 7).

L = E |f(x_d, x^, gamma) - x0|^p with x^ = sqrt(gamma) x0 + sqrt(1 - gamma) eps, or the same against eps. The paper says
neither which noise schedule nor how f is told the noise: Ho's linear one of 1000 steps, and the step t, drawn evenly;
or, as in SR3, sqrt(gamma) drawn evenly between the levels of two neighbouring steps. That a network is asked by the
sampler what it was asked here is what ``methods.idm.network.Denoiser`` says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.diffusion import Schedule, diffuse, seeded_noise
from likeness.methods.idm.checkpoint import BARE, facts, read_denoiser, read_schedule
from likeness.methods.idm.ddpm_unet import DDPMConfig
from likeness.methods.idm.network import Denoiser, build
from likeness.methods.idm.restorer import ANCESTRAL, DDIM, reverse_chain, steps_asked
from likeness.train.draws import Draws
from likeness.train.objectives import Batch
from likeness.train.objectives.idm.settings import IDMConfig, IDMNetworkConfig
from likeness.weights.checkpoint import read_checkpoint
from likeness.weights.errors import WeightsError

SAMPLERS = {"ddpm": ANCESTRAL, "ddim": DDIM}


class IDMObjective:
    """See the module. ``schedule``: of the noise; ``config.prediction`` is that of the network, too."""

    discriminator: nn.Module | None = None
    discriminator_rate = 0.0

    def __init__(self, config: IDMConfig) -> None:
        self.config = config
        self.generator: nn.Module = build(sizes_of(config.network, config.conditioning))
        self._facts: dict[str, Any] = {
            "prediction": config.prediction,
            "schedule": BARE["schedule"],
            "conditioning": config.conditioning,
        }
        self.schedule: Schedule = read_schedule(self._facts["schedule"], Path("recipe"))

    def load(self, path: Path) -> None:
        """Any file that ``methods.idm`` restores with: its sizes, noise and conditioning hold from now on.

        Raises WeightsError, too when the file predicts something else than the recipe trains.
        """
        denoiser = read_denoiser(path)
        if denoiser.prediction != self.config.prediction:
            raise WeightsError(f"{path} predicts {denoiser.prediction}: set objective.prediction to the same")
        self.generator, self.schedule = denoiser.net, denoiser.schedule
        self._facts = {**facts(path, read_checkpoint(path)), "conditioning": denoiser.net.conditioning}

    def start(self) -> None:
        """Nothing to prepare."""

    def facts(self) -> dict[str, Any]:
        """The config that ``methods.idm.checkpoint`` reads."""
        return dict(self._facts)

    def generator_loss(self, batch: Batch, step: int, draws: Draws) -> tuple[Tensor, dict[str, float], Any]:
        degraded, clean = batch["degraded"], batch["clean"]
        denoiser = self.denoiser(self.generator)
        if clean.shape[2] % denoiser.net.factor or clean.shape[3] % denoiser.net.factor:
            raise ValueError(f"idm's network needs sides of multiples of {denoiser.net.factor}: set data.crop to one")
        level, gamma = self.draw(denoiser, len(clean), draws)
        noise = draws.normal(*clean.shape).to(clean)
        answer = denoiser(diffuse(clean, gamma.to(clean), noise), degraded, level.to(clean)).float()
        wanted = clean if self.config.prediction == "x0" else noise
        l1, l2 = F.l1_loss(answer, wanted), F.mse_loss(answer, wanted)
        return (l1 if self.config.distortion == "l1" else l2), {"l1": l1.item(), "l2": l2.item()}, None

    def discriminator_loss(
        self, batch: Batch, carried: Any, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, float]]:
        raise NotImplementedError("idm has no discriminator")

    @torch.no_grad()
    def restore(self, network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
        """ "restored": by the noise of seed 0, as users get it with these steps and this sampler."""
        denoiser, kind = self.denoiser(network), degraded.device.type
        indices = steps_asked(len(self.schedule), min(self.config.steps, len(self.schedule))).tolist()
        noise = seeded_noise(degraded.shape[1:], [0] * len(degraded), degraded.device)
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
        restored = reverse_chain(
            lambda x_t, i: denoiser.x0(x_t, degraded, indices[i], dtype),
            [float(self.schedule.gammas[index]) for index in indices],
            noise,
            SAMPLERS[self.config.sampler],
        )
        return {"restored": restored}

    def denoiser(self, network: nn.Module) -> Denoiser:
        """``network`` with what it is trained for."""
        return Denoiser(network, self.config.prediction, self.schedule)  # type: ignore[arg-type]

    def draw(self, denoiser: Denoiser, count: int, draws: Draws) -> tuple[Tensor, Tensor]:
        """What ``count`` samples' noise is told to the network as, and their gamma: (count,) each, float32."""
        total = len(self.schedule)
        index = (draws.uniform(count).double() * total).long().clamp_max(total - 1).numpy()
        if denoiser.net.conditioning == "t":
            return torch.from_numpy(self.schedule.times[index]).float(), _float(self.schedule.gammas[index])
        high, low = np.sqrt(self.schedule.gammas_before[index]), np.sqrt(self.schedule.gammas[index])
        level = low + draws.uniform(count).numpy() * (high - low)
        return _float(level), _float(level**2)


def _float(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))


def sizes_of(config: IDMNetworkConfig, conditioning: str) -> DDPMConfig:
    """The sizes of a new network of this recipe."""
    return DDPMConfig(**config.model_dump(), conditioning=conditioning)
