"""The denoiser of the built-in model: papers/001 eq. 7 (x0-prediction, L1) at continuous noise levels.

Clean inputs (papers/001 eq. 2) come from the data mixture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.diffusion import diffuse
from likeness.methods.likeness.network import LikenessNet, with_new_blocks
from likeness.train.checkpoint import load_averaged
from likeness.train.draws import Draws
from likeness.train.objectives import Batch
from likeness.train.objectives.losses import feature_distance, negative_psnr
from likeness.train.objectives.settings import DenoiseConfig
from likeness.weights.load import fill_strict


class DenoiseObjective:
    """See the module; ``identity`` is a frozen network (B, 3, 512, 512) in [-1, 1] -> list of features, or None."""

    discriminator: nn.Module | None = None
    discriminator_rate = 0.0

    def __init__(self, config: DenoiseConfig, identity: nn.Module | None = None) -> None:
        self.config, self.identity = config, identity
        self.generator: nn.Module = LikenessNet()
        self.generator.get_submodule("sharpener").requires_grad_(False)

    def load(self, path: Path) -> None:
        fill(self.generator, path)

    def start(self) -> None:
        """Nothing to prepare."""

    def facts(self) -> dict[str, Any]:
        return {}

    def generator_loss(self, batch: Batch, step: int, draws: Draws) -> tuple[Tensor, dict[str, float], Any]:
        degraded, clean, place = batch["degraded"], batch["clean"], batch["place"]
        count = len(clean)
        gamma = draws.uniform(count).to(clean)
        mean = draws.uniform(count).to(clean) < self.config.mean_share
        gamma = torch.where(mean, torch.zeros_like(gamma), gamma)
        noise = draws.normal(*clean.shape).to(clean)
        state = gamma.sqrt()[:, None, None, None] * diffuse(clean, gamma, noise)
        restored = self.generator("denoiser", degraded, state, gamma, place).float()
        l1 = F.l1_loss(restored, clean)
        loss = l1 if self.config.distortion == "l1" else negative_psnr(restored, clean)
        terms = {"l1": l1.item()}
        if self.identity is not None:
            distance = feature_distance(self.identity, restored, clean)
            loss, terms["identity"] = loss + self.config.identity * distance, distance.item()
        return loss, terms, None

    def discriminator_loss(
        self, batch: Batch, carried: Any, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, float]]:
        raise NotImplementedError("the denoiser has no discriminator")

    @torch.no_grad()
    def restore(self, network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
        return {"mean": posterior_mean(network, degraded, None)}


def fill(network: nn.Module, path: Path) -> None:
    """Both networks from a file or the averaged weights of a run, also from when they had fewer blocks."""
    fill_strict(network, with_new_blocks(load_averaged(path), network), str(path))


def posterior_mean(network: nn.Module, degraded: Tensor, place: Tensor | None) -> Tensor:
    """The denoiser's answer to pure noise, clipped to [-1, 1]; float32."""
    zero = torch.zeros(len(degraded)).to(degraded)
    mean = network("denoiser", degraded, torch.zeros_like(degraded), zero, place)
    return mean.float().clamp(-1, 1)  # type: ignore[no-any-return]
