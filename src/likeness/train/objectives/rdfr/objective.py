"""RDFR's training: L = alpha L_ADV + L_REC + L_VQ (papers/003, eq. 7 to 10).

The codebooks see clean pictures only: at each step the encoder reads them, too, without a gradient, and the codes move
by what it finds there, before the degraded pictures are quantised with them. Codes begin as features of the first
batch, and codes that fall out of use become features of the present one; the paper is silent on both, and says of the
rest that it follows van den Oord et al. 2017.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.rdfr import method
from likeness.methods.rdfr.network import RDFR, Sizes, stylegan_widths
from likeness.methods.rdfr.quantise import Codebook
from likeness.methods.rdfr.restorer import draw_noises, restore
from likeness.nets.stylegan2_discriminator import StyleGAN2Discriminator
from likeness.nets.upfirdn import full_precision
from likeness.train.draws import Draws
from likeness.train.objectives import Batch
from likeness.train.objectives.adversarial import augment, non_saturating_discriminator, non_saturating_generator, r1
from likeness.train.objectives.networks import frozen, plain
from likeness.train.objectives.perceptual import Perceptual
from likeness.train.objectives.rdfr.settings import RDFRConfig, RDFRNetworkConfig
from likeness.train.processes import summed, world

OUT_OF_USE = 0.1  # a code is, when it is chosen less than this share of the mean


class RDFRObjective:
    """See the module; ``perceptual`` is VGG-19's distance, or None."""

    def __init__(self, config: RDFRConfig, perceptual: Perceptual | None = None) -> None:
        self.config, self.perceptual = config, perceptual
        self.discriminator_rate = config.discriminator_rate
        self.generator: nn.Module = RDFR(sizes_of(config.network))
        self.discriminator = self._judge(config.network.size) if config.adversarial else None

    def _judge(self, size: int) -> nn.Module:
        asked = self.config.network
        return StyleGAN2Discriminator(size, asked.multiplier, asked.width / 512, self.config.group)

    def load(self, path: Path) -> None:
        """The averaged weights of a file of ours, at whatever sizes it has. Raises WeightsError."""
        network, _ = method().load(path)
        assert isinstance(network, RDFR)
        self.generator = network
        if self.discriminator is not None and network.size != self.config.network.size:
            with torch.random.fork_rng():
                torch.manual_seed(0)  # every process begins with the same
                self.discriminator = self._judge(network.size)

    def start(self) -> None:
        """Nothing to prepare: the codebooks begin with the first batch."""

    def generator_loss(self, batch: Batch, step: int, draws: Draws) -> tuple[Tensor, dict[str, float], Any]:
        config, degraded, clean = self.config, batch["degraded"], batch["clean"]
        network = self._network(clean)
        terms: dict[str, float] = {}
        if network.sizes.quantise:
            terms["codes_used"] = self._move_codebooks(network, clean, step, draws)
        noises = [draws.normal(len(clean), *shape).to(clean) for shape in network.noise_shapes]
        picture, features, quantised = self.generator(degraded, noises, with_features=True)
        picture = picture.float()
        l1 = F.l1_loss(picture, clean)
        loss, terms["l1"] = config.l1 * l1, l1.item()
        if self.perceptual is not None:
            distance, _ = self.perceptual(picture, clean)
            loss, terms["perceptual"] = loss + config.perceptual * distance, distance.item()
        if quantised:
            vq = torch.stack([F.mse_loss(p.float(), c) for p, c in zip(features, quantised, strict=True)]).sum()
            loss, terms["vq"] = loss + config.quantisation * vq, vq.item()
        if self.discriminator is not None:
            with frozen(self.discriminator):
                adversarial = non_saturating_generator(self.discriminator(augment(picture, draws)))
            loss, terms["adversarial"] = loss + config.adversarial * adversarial, adversarial.item()
        return loss, terms, picture.detach()

    def discriminator_loss(
        self, batch: Batch, carried: Any, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, float]]:
        """Eq. 8, and every ``r1_every`` steps R1 as much the more, in float32."""
        assert self.discriminator is not None
        config, real = self.config, batch["clean"]
        logits, fake = self.discriminator(augment(real, draws)), self.discriminator(augment(carried, draws))
        loss = non_saturating_discriminator(logits, fake)
        terms = {"discriminator": loss.item()}
        if config.r1 and step % config.r1_every == 0:
            with full_precision(real):
                leaf = real.float().clone().requires_grad_(True)
                penalty = r1(self.discriminator(augment(leaf, draws)), leaf)
            loss = loss + config.r1 / 2 * config.r1_every * penalty
            terms["r1"] = penalty.item()
        return loss, terms

    @torch.no_grad()
    def restore(self, network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
        """ "restored": with the noise of seed 0, as users get it; "still": without noise, for a network that has it."""
        assert isinstance(network, RDFR)
        strengths = {"restored": 1.0, "still": 0.0} if network.sizes.noise else {"restored": 0.0}
        return {
            name: restore(network, degraded, draw_noises(network, 0, len(degraded), strength)).float().clamp(-1, 1)
            for name, strength in strengths.items()
        }

    def facts(self) -> dict[str, Any]:
        """Nothing: keys and shapes tell everything."""
        return {}

    def _network(self, clean: Tensor) -> RDFR:
        """The generator without torch.compile's wrapper, and that the pictures ``clean`` are of its size."""
        network = plain(self.generator, RDFR)
        if clean.shape[2:] != (network.size, network.size):
            raise ValueError(
                f"rdfr looks at whole faces: the network has {network.size} pixels, the data {clean.shape[-1]}; set "
                f"data.size and data.crop to {network.size}"
            )
        return network

    @torch.no_grad()
    def _move_codebooks(self, network: RDFR, clean: Tensor, step: int, draws: Draws) -> float:
        """By the features of the clean pictures of all processes; returns the share of the codes that they chose."""
        config, used = self.config, []
        _, _, features = network.encoder(clean)
        places = torch.Generator().manual_seed(draws.integer(0, 2**31))  # the same in all processes
        for book, p in zip(network.codebooks, features, strict=True):
            assert isinstance(book, Codebook)
            usual = p[:, 0].numel() * world() / len(book.codes)
            if step == 0 and not book.count.any():
                book.replace(torch.ones_like(book.count, dtype=torch.bool), _some(p, book, places, draws), usual)
            count, total = book.statistics(p)
            book.move(summed(count), summed(total), config.decay)
            used.append((summed(count) > 0).float().mean())
            if config.revive_every and (step + 1) % config.revive_every == 0:
                book.replace(book.count < OUT_OF_USE * usual, _some(p, book, places, draws), usual)
        return torch.stack(used).mean().item()


def _some(p: Tensor, book: Codebook, places: torch.Generator, draws: Draws) -> Tensor:
    """For each code a feature from a random place of a random sample of all processes: (K, d)."""
    sample, place = (
        torch.randint(most, (len(book.codes),), generator=places).to(p.device)
        for most in (len(p) * draws.world, p[0, 0].numel())
    )
    here = (sample % draws.world == draws.rank)[:, None]  # as Draws shares samples out
    return summed(torch.where(here, p.float().flatten(2)[sample // draws.world, :, place], 0.0))


def sizes_of(config: RDFRNetworkConfig) -> Sizes:
    """The sizes of a new network of this recipe."""
    widths = stylegan_widths(config.size, config.width, config.multiplier)
    same = ("style", "mapping", "skips", "codes", "fusion", "quantise", "noise")
    return Sizes(widths=widths, **{name: getattr(config, name) for name in same})
