"""New estimators by a recipe's sizes."""

from __future__ import annotations

from torch import nn

from likeness.nets.swinir import SwinIR, SwinIRConfig, WindowAttention
from likeness.train.objectives.estimator.settings import SwinIRNetworkConfig

DEVIATION = 0.02  # of the first weights of all linear layers and of the biases of places (Liang et al. 2021)


def swinir_network(config: SwinIRNetworkConfig) -> SwinIR:
    """SwinIR with its authors' first weights."""
    network = SwinIR(SwinIRConfig(**config.model_dump()))
    start_swinir(network)
    return network


def start_swinir(network: SwinIR) -> None:
    """Normal weights, cut off at two units, in what is not a convolution."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=DEVIATION, a=-2, b=2)
            nn.init.zeros_(module.bias)
        elif isinstance(module, WindowAttention):
            nn.init.trunc_normal_(module.relative_position_bias_table, std=DEVIATION, a=-2, b=2)
