"""New networks of PMRF by a recipe's sizes."""

from __future__ import annotations

from torch import nn

from likeness.methods.pmrf.network import FlowConfig, FlowNetwork, NetworkConfig, PMRFNet
from likeness.nets.swinir import SwinIRConfig
from likeness.train.objectives.estimator.networks import start_swinir
from likeness.train.objectives.flow.settings import PMRFNetworkConfig

ZERO = ("out_proj.weight", "down_proj.weight", "norm.linear.weight", "patch_out.proj.weight")


def pmrf_network(config: PMRFNetworkConfig) -> PMRFNet:
    """Both networks, fresh; the flow's first velocity is zero."""
    network = PMRFNet(NetworkConfig(FlowConfig(**config.flow.model_dump()), SwinIRConfig(**config.mean.model_dump())))
    start_flow(network.model)
    start_swinir(network.mmse_model)
    return network


def start_flow(network: FlowNetwork) -> None:
    """As Crowson et al. 2024: what is added by a branch, what the time scales by and the output begin at zero."""
    for name, parameter in network.named_parameters():
        if name.endswith(ZERO):
            nn.init.zeros_(parameter)
