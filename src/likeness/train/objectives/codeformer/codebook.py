"""CodeFormer's stage I (section 3.1): the encoder, the codebook and the decoder learn from clean faces.

The transformer and the fusion are in the file already, as they were made or loaded, and learn later.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from likeness.methods.codeformer.network import CodeFormerNet
from likeness.train.objectives.autoencoder import AutoencoderObjective
from likeness.train.objectives.codeformer.settings import CodeFormerCodebookConfig
from likeness.train.objectives.codeformer.whole import load_network, new_network
from likeness.train.objectives.networks import plain
from likeness.train.objectives.perceptual import Perceptual
from likeness.train.objectives.vqgan import quantise

LEARNING = ("encoder", "quantize", "generator")


class CodebookObjective(AutoencoderObjective):
    """See the module; ``size``: of the pictures."""

    config: CodeFormerCodebookConfig

    def __init__(self, config: CodeFormerCodebookConfig, size: int, perceptual: Perceptual | None = None) -> None:
        super().__init__(config, perceptual)
        self.size = size
        self._take(new_network(config.network))

    def _take(self, network: CodeFormerNet) -> None:
        network.requires_grad_(False)
        for part in LEARNING:
            network.get_submodule(part).requires_grad_(True)
        self.generator = network

    def load(self, path: Path) -> None:
        self._take(load_network(path, self.size))

    def reconstruct(self, network: nn.Module, clean: Tensor) -> tuple[Tensor, Tensor]:
        net = plain(network, CodeFormerNet)
        codes, loss = quantise(net.quantize, net.encoder(clean, ())[0], self.config.commitment)
        return net.decode(codes, {}, 0.0), loss

    def last_layer(self) -> Tensor:
        decoder = plain(self.generator, CodeFormerNet).generator
        return decoder.get_parameter(f"blocks.{len(decoder.blocks) - 1}.weight")
