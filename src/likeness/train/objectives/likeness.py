"""The built-in model's objective.

papers/001 eq. 7 (x0-prediction, L1) at continuous noise levels, plus what its criterion of authenticity asks for
(eq. 2-3): clean inputs come from the data mixture, and ``fixed_point`` makes a restored picture its own
restoration. The sharp step may be finished adversarially (eq. 1, first term) and with identity features.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.diffusion import diffuse
from likeness.methods.likeness.network import LikenessNet
from likeness.nets.discriminator import PatchDiscriminator
from likeness.train.objectives import Batch
from likeness.train.recipe import ObjectiveConfig


class LikenessObjective:
    """See the module; ``identity`` is a frozen network (B, 3, 512, 512) in [-1, 1] -> list of features, or None."""

    def __init__(self, config: ObjectiveConfig, identity: nn.Module | None = None) -> None:
        self.config = config
        self.generator: nn.Module = LikenessNet()
        self.discriminator: nn.Module | None = PatchDiscriminator() if config.adversarial else None
        self.identity = identity

    def generator_loss(self, batch: Batch, step: int, rng: torch.Generator) -> tuple[Tensor, dict[str, float], Any]:
        if self.discriminator is None:
            return self._denoising(batch, rng)
        return self._adversarial(batch, step, rng)

    def _denoising(self, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, float], Any]:
        degraded, clean, place = batch["degraded"], batch["clean"], batch["place"]
        count = len(clean)
        gamma = torch.rand(count, generator=rng).to(clean)
        mean = torch.rand(count, generator=rng).to(clean) < self.config.mean_share
        gamma = torch.where(mean, torch.zeros_like(gamma), gamma)
        noise = torch.randn(clean.shape, generator=rng).to(clean)
        restored = self.generator(degraded, _state(clean, gamma, noise), gamma, place)
        loss = F.l1_loss(restored.float(), clean)
        terms = {"l1": loss.item()}
        if self.config.identity:
            loss, terms["identity"] = self._add_identity(loss, restored, clean)
        return loss, terms, None

    def _add_identity(self, loss: Tensor, restored: Tensor, clean: Tensor) -> tuple[Tensor, float]:
        assert self.identity is not None
        with torch.no_grad():
            wanted = self.identity(clean)
        got = self.identity(restored.float())
        distance = torch.stack([_relative(a, b) for a, b in zip(got, wanted, strict=True)]).mean()
        return loss + self.config.identity * distance, distance.item()

    def sharpen(
        self, network: nn.Module, degraded: Tensor, mean: Tensor, noise: Tensor, place: Tensor | None
    ) -> Tensor:
        """The second, sharp step: from the posterior mean, diffused to ``sharp_gamma``."""
        gamma = torch.full((len(degraded),), self.config.sharp_gamma).to(degraded)
        return network(degraded, _state(mean, gamma, noise), gamma, place).float()  # type: ignore[no-any-return]

    def _adversarial(self, batch: Batch, step: int, rng: torch.Generator) -> tuple[Tensor, dict[str, float], Any]:
        assert self.discriminator is not None
        degraded, clean, place = batch["degraded"], batch["clean"], batch["place"]
        noise = torch.randn(clean.shape, generator=rng).to(clean)
        nothing, zero = torch.zeros_like(clean), torch.zeros(len(clean)).to(clean)
        terms: dict[str, float] = {}
        loss = clean.new_zeros(())
        with torch.set_grad_enabled(step % self.config.mean_every == 0):
            mean = self.generator(degraded, nothing, zero, place).float()
        if mean.requires_grad:
            l1_mean = F.l1_loss(mean, clean)
            loss, terms["l1"] = loss + l1_mean, l1_mean.item()
        mean = mean.detach().clamp(-1, 1)
        sharp = self.sharpen(self.generator, degraded, mean, noise, place)
        l1 = F.l1_loss(sharp, clean)
        self.discriminator.requires_grad_(False)
        logits, features = self.discriminator(sharp, degraded)
        self.discriminator.requires_grad_(True)
        adversarial = -logits.float().mean()
        loss = loss + self.config.sharp_l1 * l1 + self.config.adversarial * adversarial
        terms.update(sharp_l1=l1.item(), adversarial=adversarial.item())
        if self.config.feature_matching:
            with torch.no_grad():
                _, wanted = self.discriminator(clean, degraded)
            pairs = zip(features, wanted, strict=True)
            matching = torch.stack([F.l1_loss(a.float(), b.float()) for a, b in pairs]).mean()
            loss = loss + self.config.feature_matching * matching
            terms["matching"] = matching.item()
        if self.config.texture:
            texture = texture_distance(sharp, clean)
            loss = loss + self.config.texture * texture
            terms["texture"] = texture.item()
        if self.config.fixed_point and (step + 1) % self.config.mean_every == 0:
            again = sharp.detach().clamp(-1, 1)
            # squared, unlike the rest: L1 would pull as hard at a drift too small to see
            drift = F.mse_loss(self.sharpen(self.generator, again, again, noise.flip(0), place), again)
            loss = loss + self.config.fixed_point * drift
            terms["drift"] = drift.item()
        if self.config.identity:
            loss, terms["identity"] = self._add_identity(loss, sharp, clean)
        return loss, terms, sharp.detach()

    def discriminator_loss(self, batch: Batch, carried: Any) -> tuple[Tensor, dict[str, float]]:
        """Hinge loss on real and restored pictures, each beside the degraded one."""
        assert self.discriminator is not None
        real, _ = self.discriminator(batch["clean"], batch["degraded"])
        fake, _ = self.discriminator(carried, batch["degraded"])
        loss = F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()
        return loss, {"discriminator": loss.item()}

    @torch.no_grad()
    def restore(self, network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
        zero = torch.zeros(len(degraded)).to(degraded)
        mean = network(degraded, torch.zeros_like(degraded), zero).float().clamp(-1, 1)
        noise = torch.randn(degraded.shape, generator=torch.Generator().manual_seed(0)).to(degraded)
        return {"mean": mean, "sharp": self.sharpen(network, degraded, mean, noise, None).clamp(-1, 1)}


def _state(x0: Tensor, gamma: Tensor, noise: Tensor) -> Tensor:
    """sqrt(gamma) x_t, what the network is shown of the noisy picture."""
    return gamma.sqrt()[:, None, None, None] * diffuse(x0, gamma, noise)


def texture_distance(a: Tensor, b: Tensor, octaves: int = 3, window: int = 9) -> Tensor:
    """How much the local contrast of two pictures (B, 3, H, W) differs: mean |std_a - std_b| over three octaves.

    The standard deviation of what a 3x3 average leaves, in windows of 9 pixels, then of the picture halved, and so
    on. Unlike a pixel loss it does not punish detail that is right in kind but not in place.
    """
    total = a.new_zeros(())
    for _ in range(octaves):
        total = total + F.l1_loss(_contrast(a, window), _contrast(b, window))
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return total / octaves


def _contrast(x: Tensor, window: int) -> Tensor:
    high = (x - F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)).float()
    return (F.avg_pool2d(high**2, window, window // 2) + 1e-6).sqrt()


def _relative(a: Tensor, b: Tensor) -> Tensor:
    """Distance of features relative to the wanted ones' size, averaged over the batch."""
    a, b = a.float().flatten(1), b.float().flatten(1)
    distance: Tensor = (a - b).norm(dim=1) / b.norm(dim=1).clamp_min(1e-6)
    return distance.mean()
