"""PMRF's flow (Ohayon, Michaeli, Elad, ICLR 2025): the velocity from the posterior mean to the pictures it stands for.

z0 = clip(mean(y)) + noise, z_t = (1 - t) z0 + t x, and the squared error of the velocity x - z0; t is uniform, one from
each of as many equal parts of [0, 1) as the batch has samples. Pictures are in [0, 1]; the mean's network stays as it
is, so it comes from ``init``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.diffusion import seeded_noise
from likeness.methods.pmrf.network import PMRFNet
from likeness.methods.pmrf.restorer import METHOD, follow, posterior_mean
from likeness.train.draws import Draws
from likeness.train.log import say
from likeness.train.objectives import Batch
from likeness.train.objectives.flow.networks import pmrf_network
from likeness.train.objectives.flow.settings import PMRFFlowConfig
from likeness.train.objectives.networks import plain


class FlowObjective:
    """See the module."""

    discriminator: nn.Module | None = None
    discriminator_rate = 0.0

    def __init__(self, config: PMRFFlowConfig) -> None:
        self.config = config
        self.generator: nn.Module
        self._known = False  # whether the mean's network has learnt anything
        self._take(pmrf_network(config.network))

    def _take(self, network: nn.Module) -> None:
        self.generator = network
        network.get_submodule("mmse_model").requires_grad_(False)

    def load(self, path: Path) -> None:
        """Both networks of a released file or of ours, at whatever sizes they have. Raises WeightsError."""
        network, _ = METHOD.load(path)
        self._take(network)
        self._known = True

    def start(self) -> None:
        if not self._known:
            say("the posterior mean is untrained and stays so: name a checkpoint of pmrf-mean in init")

    def facts(self) -> dict[str, Any]:
        """Nothing: keys and shapes tell everything."""
        return {}

    def generator_loss(self, batch: Batch, step: int, draws: Draws) -> tuple[Tensor, dict[str, float], Any]:
        degraded, clean = ((batch[name] + 1) / 2 for name in ("degraded", "clean"))
        with torch.no_grad():
            mean = posterior_mean(plain(self.generator, PMRFNet), degraded).float()
        z0 = mean + self.config.noise * draws.normal(*clean.shape).to(clean)
        t = stratified(len(clean), draws).to(clean)
        z_t = torch.lerp(z0, clean, t[:, None, None, None])
        velocity = plain(self.generator, PMRFNet).model(z_t, t).float()
        loss = F.mse_loss(velocity, clean - z0)
        return loss, {"velocity": loss.item(), "mean_l2": F.mse_loss(mean, clean).item()}, None

    def discriminator_loss(
        self, batch: Batch, carried: Any, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, float]]:
        raise NotImplementedError("the flow has no discriminator")

    @torch.no_grad()
    def restore(self, network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
        """ "mean", where the flow begins, and "restored", by the noise of seed 0."""
        net = plain(network, PMRFNet)
        mean = posterior_mean(net, (degraded + 1) / 2).float()
        noise = seeded_noise(degraded.shape[1:], [0] * len(degraded), degraded.device)()
        restored = follow(net, mean + self.config.noise * noise, self.config.steps).float()
        return {name: picture.clamp(0, 1) * 2 - 1 for name, picture in (("mean", mean), ("restored", restored))}


def stratified(count: int, draws: Draws) -> Tensor:
    """(count,) times in [0, 1]: of the whole batch, of all processes, one in each of as many equal parts."""
    part = torch.arange(count) * draws.world + draws.rank
    return (part + draws.uniform(count)) / (count * draws.world)
