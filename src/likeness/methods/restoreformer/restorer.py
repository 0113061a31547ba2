"""RestoreFormer as it is used: which of the family's networks it is, and how it is run."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from likeness.methods.one_pass import OnePass, Options
from likeness.methods.restoreformer.card import CARD
from likeness.nets.restoreformer import RestoreFormerConfig, RestoreFormerNet, read_config, released_tensors

RELEASED = RestoreFormerConfig()


def recognise(tensors: Mapping[str, Tensor]) -> nn.Module | None:
    """RestoreFormer is the one whose decoder asks at the coarsest size only."""
    config = read_config(tensors, RELEASED.heads)
    if config is None or config.asking > 1:
        return None
    return RestoreFormerNet(config)


def run(net: nn.Module, x: Tensor, options: Options, seed: int) -> Tensor:
    """(B, 3, 512, 512) RGB in [-1, 1] -> restored. No options and no noise."""
    restored: Tensor = net(x)
    return restored


METHOD = OnePass(CARD, released_tensors, recognise, run)
