"""RestoreFormer's network for training: new, or from a file."""

from __future__ import annotations

from pathlib import Path

from likeness.methods.restoreformer import method
from likeness.methods.restoreformer.restorer import RELEASED
from likeness.nets.restoreformer import RestoreFormerConfig, RestoreFormerNet
from likeness.train.objectives.restoreformer.settings import RestoreFormerNetworkConfig
from likeness.train.objectives.vqgan import start_codes


def new_network(config: RestoreFormerNetworkConfig) -> RestoreFormerNet:
    """A network of this recipe, with fresh weights."""
    sizes = RestoreFormerConfig(
        widths=config.widths,
        blocks=config.blocks,
        heads=RELEASED.heads,
        codes=config.codes,
        code_dim=config.code_dim,
    )
    network = RestoreFormerNet(sizes)
    start_codes(network.quantize)
    return network


def load_network(path: Path) -> RestoreFormerNet:
    """The network of ``path``: a released file, or one of ours. Raises WeightsError."""
    network, _ = method().load(path)
    assert isinstance(network, RestoreFormerNet)
    return network
