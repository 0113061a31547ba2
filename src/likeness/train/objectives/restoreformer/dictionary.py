"""RestoreFormer's first stage (section 3.2): the dictionary of undegraded faces, by an autoencoder of clean pictures.

The decoder's attention asks its own maps here. Asked by the encoder's, as in the second stage, the picture could pass
by the codes, and they would learn little.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from likeness.nets.restoreformer import RestoreFormerNet
from likeness.train.objectives.autoencoder import AutoencoderObjective
from likeness.train.objectives.networks import plain
from likeness.train.objectives.perceptual import Perceptual
from likeness.train.objectives.restoreformer.settings import RestoreFormerDictionaryConfig
from likeness.train.objectives.restoreformer.whole import load_network, new_network
from likeness.train.objectives.vqgan import quantise

NOBODY_ASKS: dict[Any, Any] = {"mid": None}


class DictionaryObjective(AutoencoderObjective):
    """See the module. Crops do as well as whole faces."""

    def __init__(self, config: RestoreFormerDictionaryConfig, perceptual: Perceptual | None = None) -> None:
        super().__init__(config, perceptual)
        self.generator = new_network(config.network)

    def load(self, path: Path) -> None:
        self.generator = load_network(path)

    def reconstruct(self, network: nn.Module, clean: Tensor) -> tuple[Tensor, Tensor]:
        net = plain(network, RestoreFormerNet)
        z, _ = net.encoder(clean)
        codes, loss = quantise(net.quantize, net.quant_conv(z), self.config.commitment)
        return net.decoder(net.post_quant_conv(codes), NOBODY_ASKS), loss

    def last_layer(self) -> Tensor:
        return plain(self.generator, RestoreFormerNet).decoder.conv_out.weight
