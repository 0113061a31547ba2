"""CodeFormer's network for training: from a file or new, and the encoder of clean faces that stage II learns from."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from likeness.methods.codeformer import method
from likeness.methods.codeformer.network import CodeFormerNet, Encoder, NetworkConfig
from likeness.nets.vq import Codebook
from likeness.train.objectives.codeformer.settings import HEAD_DIM, CodeFormerNetworkConfig
from likeness.train.objectives.vqgan import start_codes
from likeness.weights.checkpoint import fill_strict, read_checkpoint
from likeness.weights.load import WeightsError

CODES, ENCODER = "quantize.embedding.weight", "encoder."


def new_network(config: CodeFormerNetworkConfig) -> CodeFormerNet:
    """A network of this recipe, with fresh weights."""
    sizes = NetworkConfig(
        widths=config.widths,
        codes=config.codes,
        code_dim=config.code_dim,
        tokens=(config.size >> (len(config.widths) - 1)) ** 2,
        dim=config.dim,
        heads=config.dim // HEAD_DIM,
        layers=config.layers,
        feedforward=config.feedforward,
        fused=tuple(sorted(config.fused)),
    )
    network = CodeFormerNet(sizes)
    start_codes(network.quantize)
    return network


def load_network(path: Path, size: int) -> CodeFormerNet:
    """The network of ``path``, the released file or one of ours. Raises WeightsError, also when not of ``size``."""
    network, _ = method().load(path)
    assert isinstance(network, CodeFormerNet)
    if network.config.size != size:
        raise WeightsError(f"{path} is for faces of {network.config.size} pixels: set data.size to that, not {size}")
    return network


class CleanCodes(nn.Module):
    """Frozen: ``forward(clean, book)``, (B, 3, size, size) -> the codes of clean faces, indices (B, h, w).

    Read from ``path``, weights of stage I: the authors' vqgan_code1024.pth, or ours. Raises WeightsError.
    """

    def __init__(self, path: Path, config: NetworkConfig) -> None:
        super().__init__()
        self.path = path
        tensors = method().unpack(read_checkpoint(path))
        held = {key.removeprefix(ENCODER): value for key, value in tensors.items() if key.startswith(ENCODER)}
        self.encoder = Encoder(config)
        fill_strict(self.encoder, held, f"the encoder in {path}")
        self._codes = tensors.get(CODES)
        self.requires_grad_(False).eval()

    def check(self, book: Codebook) -> None:
        """Raises WeightsError unless ``book`` is the codebook that this encoder was trained with."""
        wanted, codes = book.embedding.weight.detach().float().cpu(), self._codes
        if codes is None or codes.shape != wanted.shape or not torch.allclose(codes.float(), wanted, atol=1e-3):
            raise WeightsError(f"{self.path} has another codebook than init: objective.hq must be the stage I of it")

    @torch.no_grad()
    def forward(self, clean: Tensor, book: Codebook) -> Tensor:
        return book.nearest(self.encoder(clean, ())[0])
