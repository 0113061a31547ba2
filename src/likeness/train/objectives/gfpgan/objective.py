"""GFPGAN's training (Wang et al. 2021, section 3.5): L_rec + L_adv + L_comp + L_id.

Two things differ from the paper. Eyes and mouth are cut out where the template of aligned faces has them (see
``objectives.components``), and faces are compared by dlib's recognition network, which everyone has, instead of
ArcFace (see ``train.identity``). The authors drop the pyramid's loss at once after 50,000 steps; here it falls to 0
over them. Discriminators always start fresh.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.gfpgan import method
from likeness.methods.gfpgan.clean import GFPGANClean
from likeness.methods.gfpgan.network import GFPGAN
from likeness.methods.gfpgan.original import GFPGANOriginal
from likeness.nets.stylegan2_discriminator import StyleGAN2Discriminator
from likeness.nets.upfirdn import full_precision
from likeness.train.draws import Draws
from likeness.train.identity import IdentityFeatures
from likeness.train.objectives import Batch
from likeness.train.objectives.adversarial import non_saturating_discriminator, non_saturating_generator, r1
from likeness.train.objectives.components import ComponentDiscriminators
from likeness.train.objectives.gfpgan.settings import GFPGANConfig, GFPGANNetworkConfig
from likeness.train.objectives.losses import feature_distance
from likeness.train.objectives.networks import frozen, judge, plain
from likeness.train.objectives.perceptual import Perceptual
from likeness.weights.load import WeightsError


class GFPGANObjective:
    """See the module. ``size``: of the pictures; ``perceptual``: VGG-19's distances, ``identity``: a frozen network
    (B, 3, size, size) in [-1, 1] -> list of features, or None."""

    def __init__(
        self,
        config: GFPGANConfig,
        size: int,
        perceptual: Perceptual | None = None,
        identity: IdentityFeatures | None = None,
    ) -> None:
        self.config, self.size, self.perceptual, self.identity = config, size, perceptual, identity
        self.generator: nn.Module
        self._take(new_network(config.network))
        judges: dict[str, nn.Module] = {}
        if config.adversarial:
            judges["face"] = StyleGAN2Discriminator(
                size, config.discriminator_multiplier, config.discriminator_narrow, config.group
            )
        if config.component or config.component_style:
            judges["parts"] = ComponentDiscriminators(config.component_width)
        self.discriminator: nn.Module | None = nn.ModuleDict(judges) if judges else None
        self.discriminator_rate = config.discriminator_rate

    def _take(self, network: GFPGAN) -> None:
        network.stylegan_decoder.requires_grad_(not self.config.fixed_decoder)
        network.stylegan_decoder.style_mlp.requires_grad_(False)  # never run
        network.toRGB.requires_grad_(self.config.pyramid > 0 and self.config.pyramid_until > 0)
        self.generator = network

    def load(self, path: Path) -> None:
        """Any release of the authors', or a file of ours. Raises WeightsError."""
        network, _ = method().load(path)
        assert isinstance(network, GFPGAN)
        if network.size != self.size:
            raise WeightsError(f"{path} is for faces of {network.size} pixels: set data.size to that, not {self.size}")
        self._take(network)

    def start(self) -> None:
        """Nothing to prepare."""

    def facts(self) -> dict[str, Any]:
        """Nothing: keys and shapes tell everything."""
        return {}

    def generator_loss(self, batch: Batch, step: int, draws: Draws) -> tuple[Tensor, dict[str, float], Any]:
        config, clean = self.config, batch["clean"]
        network = plain(self.generator, GFPGAN)
        encoded = network.encode(batch["degraded"])
        stored = network.stylegan_decoder.noises.stored()
        noises = [draws.normal(len(clean), *noise.shape[1:]).to(clean) for noise in stored]
        picture = network.stylegan_decoder(encoded.latents, encoded.conditions, noises).float()

        l1 = F.l1_loss(picture, clean)
        loss, terms = config.l1 * l1, {"l1": l1.item()}
        falling = max(0.0, 1 - step / config.pyramid_until) if config.pyramid_until else 0.0
        if config.pyramid * falling:
            distance = pyramid_distance(network.intermediate_rgbs(encoded.features), clean)
            loss, terms["pyramid"] = loss + config.pyramid * falling * distance, distance.item()
        if self.perceptual is not None:
            content, style = self.perceptual(picture, clean)
            loss = loss + config.perceptual * content + config.style * style
            terms.update(perceptual=content.item(), style=style.item())
        if self.identity is not None:
            distance = feature_distance(self.identity, picture, clean)
            loss, terms["identity"] = loss + config.identity * distance, distance.item()
        face = judge(self.discriminator, "face", StyleGAN2Discriminator)
        parts = judge(self.discriminator, "parts", ComponentDiscriminators)
        if face is not None:
            with frozen(face):
                adversarial = non_saturating_generator(face(picture))
            loss, terms["adversarial"] = loss + config.adversarial * adversarial, adversarial.item()
        if parts is not None:
            adversarial, style = parts.judge(picture, clean)
            loss = loss + config.component * adversarial + config.component_style * style
            terms.update(component=adversarial.item(), component_style=style.item())
        return loss, {"loss": loss.item(), **terms}, picture.detach()

    def discriminator_loss(
        self, batch: Batch, carried: Any, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, float]]:
        """Of the face, every ``r1_every`` steps with R1 as much the more, in float32; and of its parts."""
        config, real = self.config, batch["clean"]
        face = judge(self.discriminator, "face", StyleGAN2Discriminator)
        parts = judge(self.discriminator, "parts", ComponentDiscriminators)
        loss = real.new_zeros(())
        terms: dict[str, float] = {}
        if face is not None:
            one = non_saturating_discriminator(face(real), face(carried))
            loss, terms["discriminator"] = loss + one, one.item()
            if config.r1 and step % config.r1_every == 0:
                with full_precision(real):
                    leaf = real.float().clone().requires_grad_(True)
                    penalty = r1(face(leaf), leaf)
                loss, terms["r1"] = loss + config.r1 / 2 * config.r1_every * penalty, penalty.item()
        if parts is not None:
            one = parts.loss(real, carried)
            loss, terms["parts_discriminator"] = loss + one, one.item()
        return loss, terms

    @torch.no_grad()
    def restore(self, network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
        """As users get it, with the noise of seed 0."""
        assert isinstance(network, GFPGAN)
        return {"restored": network(degraded, network.draw_noise(0)).float().clamp(-1, 1)}


def pyramid_distance(colours: list[Tensor], clean: Tensor) -> Tensor:
    """L1 between the colours of each size, from 8 pixels to the whole, and the picture halved to it; summed."""
    total, wanted = clean.new_zeros(()), clean
    for colour in reversed(colours):
        total = total + F.l1_loss(colour.float(), wanted)
        wanted = F.avg_pool2d(wanted, 2)
    return total


def new_network(config: GFPGANNetworkConfig) -> GFPGAN:
    """A network of this recipe, with fresh weights."""
    build = GFPGANOriginal if config.release == "original" else GFPGANClean
    return build(config.size, config.style, config.multiplier, config.narrow, config.mapping)
