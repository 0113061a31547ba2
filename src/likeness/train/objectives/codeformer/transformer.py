"""CodeFormer's stage II (section 3.2): the transformer and the encoder of degraded faces; codes and decoder stay.

L = lambda cross-entropy of the codes of the clean face + |z_l - sg(z_c)|^2 (eq. 3 and 4). The codes of the clean face
come from the frozen encoder of stage I, with which the encoder of degraded faces begins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.codeformer.network import CodeFormerNet
from likeness.train.draws import Draws
from likeness.train.objectives import Batch
from likeness.train.objectives.codeformer.settings import CodeFormerTransformerConfig
from likeness.train.objectives.codeformer.whole import CleanCodes, load_network
from likeness.train.objectives.networks import plain

LEARNING = ("encoder", "feat_emb", "ft_layers", "idx_pred_layer")


class TransformerObjective:
    """See the module. ``init``: where the network is read from at once, since its sizes are those of the file;
    ``hq``: stage I's weights; ``size``: of the pictures."""

    discriminator: nn.Module | None = None
    discriminator_rate = 0.0
    generator: nn.Module

    def __init__(self, config: CodeFormerTransformerConfig, size: int, init: Path, hq: Path) -> None:
        self.config, self.size = config, size
        self.load(init)
        self.hq = CleanCodes(hq, plain(self.generator, CodeFormerNet).config)

    def load(self, path: Path) -> None:
        network = load_network(path, self.size)
        network.requires_grad_(False)
        for part in LEARNING:
            network.get_submodule(part).requires_grad_(True)
        network.position_emb.requires_grad_(True)
        self.generator = network

    def start(self) -> None:
        """Raises WeightsError when stage I had another codebook."""
        self.hq.check(plain(self.generator, CodeFormerNet).quantize)

    def facts(self) -> dict[str, Any]:
        """Nothing: keys and shapes tell everything."""
        return {}

    def generator_loss(self, batch: Batch, step: int, draws: Draws) -> tuple[Tensor, dict[str, float], Any]:
        network = plain(self.generator, CodeFormerNet)
        lq, _ = network.encoder(batch["degraded"], ())
        index = self.hq(batch["clean"], network.quantize)
        token, feature, right = code_losses(network, lq, network.predict_codes(lq), index)
        loss = self.config.token * token + self.config.feature * feature
        return loss, {"loss": loss.item(), "token": token.item(), "feature": feature.item(), "right": right}, None

    def discriminator_loss(
        self, batch: Batch, carried: Any, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, float]]:
        raise NotImplementedError("this stage has no discriminator")

    @torch.no_grad()
    def restore(self, network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
        """From the codes alone: nothing is fused yet."""
        return {"restored": network(degraded, 0.0, True).float().clamp(-1, 1)}


def code_losses(network: CodeFormerNet, lq: Tensor, logits: Tensor, index: Tensor) -> tuple[Tensor, Tensor, float]:
    """Eq. 3 and 4: cross-entropy of ``logits`` (B, places, codes), the squared distance of the encoder's output ``lq``
    (B, dim, h, w) to the codes at ``index`` (B, h, w), which stay, and the share of codes that were guessed."""
    wanted = index.flatten(1)
    token = F.cross_entropy(logits.float().flatten(0, 1), wanted.flatten())
    feature = F.mse_loss(lq.float(), network.quantize.look_up(index).detach().float())
    return token, feature, (logits.argmax(-1) == wanted).float().mean().item()
