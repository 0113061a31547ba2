"""A network that answers a degraded picture with an estimate of the clean one, by regression.

``difface-estimator`` is DifFace's (papers/002; L1). ``pmrf-mean`` is PMRF's first stage (Ohayon et al., ICLR 2025): the
posterior mean, which squared error asks for; the flow network beside it is saved as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.difface.restorer import ESTIMATOR
from likeness.methods.pmrf.restorer import METHOD
from likeness.train.draws import Draws
from likeness.train.objectives import Batch
from likeness.train.objectives.estimator.networks import swinir_network
from likeness.train.objectives.estimator.settings import DifFaceEstimatorConfig
from likeness.train.objectives.flow.networks import pmrf_network
from likeness.train.objectives.flow.settings import PMRFMeanConfig


class EstimatorObjective:
    """See the module."""

    discriminator: nn.Module | None = None
    discriminator_rate = 0.0

    def __init__(self, config: DifFaceEstimatorConfig | PMRFMeanConfig) -> None:
        self.config = config
        self.generator: nn.Module
        if isinstance(config, PMRFMeanConfig):
            self._take(pmrf_network(config.network))
        else:
            self._take(swinir_network(config.network))

    def _take(self, network: nn.Module) -> None:
        self.generator = network
        if self._part:
            network.requires_grad_(False)
            network.get_submodule(self._part).requires_grad_(True)

    @property
    def _part(self) -> str:
        """What of the generator is trained; "": all."""
        return "mmse_model" if isinstance(self.config, PMRFMeanConfig) else ""

    def load(self, path: Path) -> None:
        """A released file or one of ours, at whatever sizes it has. Raises WeightsError."""
        network, _ = (METHOD if self._part else ESTIMATOR).load(path)
        self._take(network)

    def start(self) -> None:
        """Nothing to prepare."""

    def facts(self) -> dict[str, Any]:
        """Nothing: keys and shapes tell everything."""
        return {}

    def generator_loss(self, batch: Batch, step: int, draws: Draws) -> tuple[Tensor, dict[str, float], Any]:
        """Both pictures in [0, 1], as the networks see them."""
        degraded, clean = ((batch[name] + 1) / 2 for name in ("degraded", "clean"))
        estimate = self._estimate(self.generator, degraded)
        l1, l2 = F.l1_loss(estimate, clean), F.mse_loss(estimate, clean)
        return (l1 if self.config.distortion == "l1" else l2), {"l1": l1.item(), "l2": l2.item()}, None

    def discriminator_loss(
        self, batch: Batch, carried: Any, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, float]]:
        raise NotImplementedError("an estimator has no discriminator")

    @torch.no_grad()
    def restore(self, network: nn.Module, degraded: Tensor) -> dict[str, Tensor]:
        return {"mean": self._estimate(network, (degraded + 1) / 2).clamp(0, 1) * 2 - 1}

    def _estimate(self, network: nn.Module, degraded: Tensor) -> Tensor:
        estimate: Tensor = (getattr(network, self._part) if self._part else network)(degraded)
        return estimate.float()
