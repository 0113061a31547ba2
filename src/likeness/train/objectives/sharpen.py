"""The sharpener of the built-in model, on the posterior mean of a denoiser that stays as it is.

Distortion, local contrast, identity features and a small adversarial term (papers/001 eq. 1) together; ``fixed_point``
makes a restored picture its own restoration (eq. 3), and clean inputs come from the data mixture (eq. 2).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.likeness.denoiser import Denoiser
from likeness.methods.likeness.network import LikenessNet
from likeness.methods.likeness.sharpener import Sharpener
from likeness.nets.discriminator import PatchDiscriminator
from likeness.train.draws import Draws
from likeness.train.identity import small_motions
from likeness.train.objectives import Batch
from likeness.train.objectives.adversarial import hinge_discriminator, hinge_generator
from likeness.train.objectives.denoise import fill, posterior_mean
from likeness.train.objectives.losses import feature_distance, grid_distance, negative_psnr, texture_distance
from likeness.train.objectives.networks import frozen
from likeness.train.objectives.settings import SharpenConfig


class SharpenObjective:
    """See the module; ``identity`` is a frozen network (B, 3, 512, 512) in [-1, 1] -> list of features, or None."""

    def __init__(self, config: SharpenConfig, identity: nn.Module | None = None) -> None:
        self.config, self.identity = config, identity
        self.generator: nn.Module = LikenessNet()
        self.generator.get_submodule("denoiser").requires_grad_(False)
        self.discriminator: nn.Module | None = PatchDiscriminator() if config.adversarial else None
        self.discriminator_rate = config.discriminator_rate

    def load(self, path: Path) -> None:
        fill(self.generator, path)

    def start(self) -> None:
        """Called once, when a run begins from ``init``: the sharpener starts from what the denoiser knows."""
        if self.config.from_denoiser:
            sharpener, denoiser = (self.generator.get_submodule(part) for part in ("sharpener", "denoiser"))
            assert isinstance(sharpener, Sharpener)
            assert isinstance(denoiser, Denoiser)
            sharpener.start_from(denoiser)

    def generator_loss(self, batch: Batch, step: int, draws: Draws) -> tuple[Tensor, dict[str, float], Any]:
        config, degraded, clean, place = self.config, batch["degraded"], batch["clean"], batch["place"]
        grain = draws.normal(len(clean), 1, *clean.shape[2:]).to(clean)
        picture, detail = self.sharpen(self.generator, degraded, grain, place)
        sharp = picture + detail
        distortion = negative_psnr(sharp, clean)
        # of the texture alone: asked for contrast, the picture answers with dots
        texture = texture_distance(picture.detach() + detail, clean, config.quantile)
        loss = config.distortion * distortion + config.texture * texture
        terms = {"decibel": -10 * distortion.item(), "texture": texture.item()}
        if config.grid:
            grid = grid_distance(sharp, clean)
            loss, terms["grid"] = loss + config.grid * grid, grid.item()
        if self.identity is not None:
            moved = [small_motions(draws, len(clean), config.motion).to(clean)] if config.motion else []
            distance = feature_distance(self.identity, sharp, clean, *moved, last=config.embedding)
            loss, terms["identity"] = loss + config.identity * distance, distance.item()
        window = _window(clean.shape, config.patch, draws)
        if self.discriminator is not None and step >= config.adversarial_from:
            adversarial, matching = self._judged(sharp[window], clean[window], degraded[window])
            loss = loss + config.adversarial * adversarial + config.feature_matching * matching
            terms.update(adversarial=adversarial.item(), matching=matching.item())
        if config.fixed_point and step % config.fixed_point_every == 0:
            again = sharp.detach().clamp(-1, 1)
            once, more = self.sharpen(self.generator, again, grain.flip(3), place)
            drift = F.mse_loss(once + more, again)
            loss, terms["drift"] = loss + config.fixed_point * drift, drift.item()
        return loss, terms, (sharp.detach()[window], window)

    def sharpen(
        self, network: nn.Module, degraded: Tensor, grain: Tensor, place: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The whole restoration of (B, 3, H, W) in [-1, 1], not clipped: the face, and the texture to add; float32."""
        with torch.no_grad():
            mean = posterior_mean(network, degraded, place)
        picture, texture = network("sharpener.parts", degraded, mean, grain, place)
        return picture.float(), texture.float()

    def _judged(self, sharp: Tensor, clean: Tensor, degraded: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's adversarial loss and the distance of the discriminator's features."""
        assert self.discriminator is not None
        with frozen(self.discriminator):
            logits, features = self.discriminator(sharp, degraded)
            with torch.no_grad():
                _, wanted = self.discriminator(clean, degraded)
        pairs = zip(features, wanted, strict=True)
        matching = torch.stack([F.l1_loss(a.float(), b.float()) for a, b in pairs]).mean()
        return hinge_generator(logits), matching

    def discriminator_loss(
        self, batch: Batch, carried: Any, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, float]]:
        """Hinge loss on real and restored pictures, each beside the degraded one."""
        assert self.discriminator is not None
        sharp, window = carried
        real, _ = self.discriminator(batch["clean"][window], batch["degraded"][window])
        fake, _ = self.discriminator(sharp, batch["degraded"][window])
        loss = hinge_discriminator(real, fake)
        return loss, {"discriminator": loss.item()}

    def facts(self) -> dict[str, Any]:
        return {}

    @torch.no_grad()
    def restore(self, network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
        grain = torch.randn(len(degraded), 1, *degraded.shape[2:], generator=torch.Generator().manual_seed(0))
        picture, texture = self.sharpen(network, degraded, grain.to(degraded), None)
        return {"mean": posterior_mean(network, degraded, None), "sharp": (picture + texture).clamp(-1, 1)}


def _window(shape: torch.Size, side: int, draws: Draws) -> tuple[slice, ...]:
    """A square of ``side`` pixels somewhere in the picture (the whole picture when it is smaller)."""
    top, left = (draws.integer(0, max(1, length - side + 1)) for length in shape[2:])
    return (slice(None), slice(None), slice(top, top + side), slice(left, left + side))
