"""CodeFormer's stage III (section 3.3): the controllable feature transformation learns, at fidelity 1.

Losses of stage I on the picture and of stage II on the codes; codebook and decoder stay. In the paper the encoder
learns on, too, and in the authors' options the transformer. When neither does, the losses of the codes are left out,
since nothing that learns can change them, and no weights of stage I are needed: so a released file is adapted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likeness.methods.codeformer.network import CodeFormerNet
from likeness.train.draws import Draws
from likeness.train.objectives import Batch
from likeness.train.objectives.codeformer.settings import CodeFormerFusionConfig
from likeness.train.objectives.codeformer.transformer import LEARNING, code_losses
from likeness.train.objectives.codeformer.whole import CleanCodes, load_network
from likeness.train.objectives.networks import plain
from likeness.train.objectives.perceptual import Perceptual
from likeness.train.objectives.vqgan import adversarial_loss, discriminator_hinge, image_loss, patch_discriminator

FIDELITY = 1.0


class FusionObjective:
    """See the module. ``init``: where the network is read from at once; ``hq``: stage I's weights, or None."""

    generator: nn.Module

    def __init__(
        self,
        config: CodeFormerFusionConfig,
        size: int,
        init: Path,
        hq: Path | None,
        perceptual: Perceptual | None = None,
    ) -> None:
        self.config, self.size, self.perceptual = config, size, perceptual
        self.load(init)
        self.hq = None if hq is None else CleanCodes(hq, plain(self.generator, CodeFormerNet).config)
        self.discriminator: nn.Module | None = patch_discriminator(config)
        self.discriminator_rate = config.discriminator_rate

    def load(self, path: Path) -> None:
        network = load_network(path, self.size)
        network.requires_grad_(False)
        network.fuse_convs_dict.requires_grad_(True)
        network.encoder.requires_grad_(self.config.encoder)
        if self.config.transformer:
            for part in LEARNING[1:]:
                network.get_submodule(part).requires_grad_(True)
            network.position_emb.requires_grad_(True)
        self.generator = network

    def start(self) -> None:
        """Raises WeightsError when stage I had another codebook."""
        if self.hq is not None:
            self.hq.check(plain(self.generator, CodeFormerNet).quantize)

    def facts(self) -> dict[str, Any]:
        """Nothing: keys and shapes tell everything."""
        return {}

    def generator_loss(self, batch: Batch, step: int, draws: Draws) -> tuple[Tensor, dict[str, float], Any]:
        config, clean = self.config, batch["clean"]
        network = plain(self.generator, CodeFormerNet)
        lq, features = network.encoder(batch["degraded"], network.config.fused)
        logits = network.predict_codes(lq)
        codes = network.quantize.look_up(logits.argmax(-1).view(-1, *lq.shape[2:]))
        picture = network.decode(codes, features, FIDELITY).float()
        loss, terms = image_loss(config, self.perceptual, picture, clean)
        if self.discriminator is not None and step >= config.adversarial_from:
            judged, more = adversarial_loss(config, self.discriminator, picture, loss, self._last(network))
            loss, terms = loss + judged, {**terms, **more}
        if self.hq is not None:
            token, feature, right = code_losses(network, lq, logits, self.hq(clean, network.quantize))
            loss = loss + config.token * token + config.feature * feature
            terms.update(token=token.item(), feature=feature.item(), right=right)
        return loss, {"loss": loss.item(), **terms}, picture.detach()

    def discriminator_loss(
        self, batch: Batch, carried: Any, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, float]]:
        assert self.discriminator is not None
        return discriminator_hinge(self.config, self.discriminator, batch["clean"], carried, step)

    @torch.no_grad()
    def restore(self, network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
        """ "restored": as users get it, fidelity 0.5; "faithful": fidelity 1."""
        return {
            "restored": network(degraded, 0.5, True).float().clamp(-1, 1),
            "faithful": network(degraded, FIDELITY, True).float().clamp(-1, 1),
        }

    @staticmethod
    def _last(network: CodeFormerNet) -> nn.Parameter:
        """The layer that learns last on the way to the picture: the shift at the largest size."""
        return network.get_parameter(f"fuse_convs_dict.{max(network.config.fused)}.shift.2.weight")
