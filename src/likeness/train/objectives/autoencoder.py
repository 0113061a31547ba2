"""The first stage of CodeFormer and RestoreFormer: clean faces to codes of a codebook, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likeness.train.draws import Draws
from likeness.train.objectives import Batch
from likeness.train.objectives.image_settings import CodebookConfig
from likeness.train.objectives.perceptual import Perceptual
from likeness.train.objectives.vqgan import (
    adversarial_loss,
    discriminator_hinge,
    image_loss,
    patch_discriminator,
)


class AutoencoderObjective:
    """The losses of VQGAN on the clean pictures alone. A method says how its network reconstructs.

    ``perceptual`` is VGG-19's distance, or None.
    """

    generator: nn.Module

    def __init__(self, config: CodebookConfig, perceptual: Perceptual | None = None) -> None:
        self.config, self.perceptual = config, perceptual
        self.discriminator: nn.Module | None = patch_discriminator(config)
        self.discriminator_rate = config.discriminator_rate

    def reconstruct(self, network: nn.Module, clean: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) in [-1, 1] -> the picture that its codes give, not clipped, and the codes' loss."""
        raise NotImplementedError

    def last_layer(self) -> Tensor:
        """The weight of the layer that makes the picture."""
        raise NotImplementedError

    def load(self, path: Path) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Nothing to prepare."""

    def facts(self) -> dict[str, Any]:
        """Nothing: keys and shapes tell everything."""
        return {}

    def generator_loss(self, batch: Batch, step: int, draws: Draws) -> tuple[Tensor, dict[str, float], Any]:
        config, clean = self.config, batch["clean"]
        picture, codes = self.reconstruct(self.generator, clean)
        picture = picture.float()
        seen, terms = image_loss(config, self.perceptual, picture, clean)
        loss = seen + config.code * codes
        terms["code"] = codes.item()
        if self.discriminator is not None and step >= config.adversarial_from:
            judged, more = adversarial_loss(config, self.discriminator, picture, seen, self.last_layer())
            loss, terms = loss + judged, {**terms, **more}
        return loss, {"loss": loss.item(), **terms}, picture.detach()

    def discriminator_loss(
        self, batch: Batch, carried: Any, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, float]]:
        assert self.discriminator is not None
        return discriminator_hinge(self.config, self.discriminator, batch["clean"], carried, step)

    @torch.no_grad()
    def restore(self, network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
        """ "codes": the pictures as the autoencoder gives them back; this stage does not restore yet."""
        return {"codes": self.reconstruct(network, degraded)[0].float().clamp(-1, 1)}
