"""RestoreFormer's second stage (sections 3.3 and 3.4): the degraded face asks, the dictionary answers.

L1 + perceptual + adversarial of patches + eyes and mouth + identity, and the distance between the encoder's output
and its codes; the dictionary stays unless the recipe says otherwise, and what is left of that distance pulls the
encoder to the codes. Eyes and mouth are cut out by the template (see ``objectives.components``), and faces are compared
by dlib's network instead of ArcFace (see ``train.identity``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likeness.nets.restoreformer import RestoreFormerNet
from likeness.train.draws import Draws
from likeness.train.identity import IdentityFeatures
from likeness.train.objectives import Batch
from likeness.train.objectives.components import ComponentDiscriminators
from likeness.train.objectives.losses import feature_distance
from likeness.train.objectives.networks import judge, plain
from likeness.train.objectives.perceptual import Perceptual
from likeness.train.objectives.restoreformer.settings import RestoreFormerRestoreConfig
from likeness.train.objectives.restoreformer.whole import load_network, new_network
from likeness.train.objectives.vqgan import (
    PatchGAN,
    adversarial_loss,
    discriminator_hinge,
    image_loss,
    patch_discriminator,
    quantise,
)


class RestoreObjective:
    """See the module. ``perceptual``: VGG-19's distance, ``identity``: a frozen network giving features, or None."""

    generator: nn.Module

    def __init__(
        self,
        config: RestoreFormerRestoreConfig,
        perceptual: Perceptual | None = None,
        identity: IdentityFeatures | None = None,
    ) -> None:
        self.config, self.perceptual, self.identity = config, perceptual, identity
        self._take(new_network(config.network))
        judges: dict[str, nn.Module] = {}
        patches = patch_discriminator(config)
        if patches is not None:
            judges["patches"] = patches
        if config.component or config.component_style:
            judges["parts"] = ComponentDiscriminators(config.component_width)
        self.discriminator: nn.Module | None = nn.ModuleDict(judges) if judges else None
        self.discriminator_rate = config.discriminator_rate

    def _take(self, network: RestoreFormerNet) -> None:
        network.quantize.requires_grad_(not self.config.fixed_dictionary)
        self.generator = network

    def load(self, path: Path) -> None:
        """A released file, or one of ours of either stage. Raises WeightsError."""
        self._take(load_network(path))

    def start(self) -> None:
        """Nothing to prepare."""

    def facts(self) -> dict[str, Any]:
        """Nothing: keys and shapes tell everything."""
        return {}

    def generator_loss(self, batch: Batch, step: int, draws: Draws) -> tuple[Tensor, dict[str, float], Any]:
        config, clean = self.config, batch["clean"]
        network = plain(self.generator, RestoreFormerNet)
        z, asks = network.encoder(batch["degraded"])
        codes, quantisation = quantise(network.quantize, network.quant_conv(z), config.commitment)
        picture = network.decoder(network.post_quant_conv(codes), asks).float()
        seen, terms = image_loss(config, self.perceptual, picture, clean)
        loss = seen + config.code * quantisation
        terms["code"] = quantisation.item()
        patches = judge(self.discriminator, "patches", PatchGAN)
        parts = judge(self.discriminator, "parts", ComponentDiscriminators)
        if patches is not None and step >= config.adversarial_from:
            last = network.decoder.conv_out.weight
            judged, more = adversarial_loss(config, patches, picture, seen, last)
            loss, terms = loss + judged, {**terms, **more}
        if parts is not None:
            adversarial, style = parts.judge(picture, clean)
            loss = loss + config.component * adversarial + config.component_style * style
            terms.update(component=adversarial.item(), component_style=style.item())
        if self.identity is not None:
            distance = feature_distance(self.identity, picture, clean)
            loss, terms["identity"] = loss + config.identity * distance, distance.item()
        return loss, {"loss": loss.item(), **terms}, picture.detach()

    def discriminator_loss(
        self, batch: Batch, carried: Any, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, float]]:
        """Of patches, and of eyes and mouth."""
        clean = batch["clean"]
        patches = judge(self.discriminator, "patches", PatchGAN)
        parts = judge(self.discriminator, "parts", ComponentDiscriminators)
        loss = clean.new_zeros(())
        terms: dict[str, float] = {}
        if patches is not None:
            one, terms = discriminator_hinge(self.config, patches, clean, carried, step)
            loss = loss + one
        if parts is not None:
            one = parts.loss(clean, carried)
            loss, terms["parts_discriminator"] = loss + one, one.item()
        return loss, terms

    @torch.no_grad()
    def restore(self, network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
        return {"restored": network(degraded).float().clamp(-1, 1)}
