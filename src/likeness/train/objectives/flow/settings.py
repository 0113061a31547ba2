"""What a recipe may say of PMRF's training."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from likeness.train.objectives.estimator.settings import SwinIRNetworkConfig
from likeness.train.strict import Strict


class FlowNetworkConfig(Strict):
    """The sizes of a new flow network, from the finest level to the coarsest. The defaults are the released ones."""

    widths: tuple[int, ...] = Field((256, 512, 1024), min_length=2)
    depths: tuple[int, ...] = Field((2, 2, 8), description="layers of each level")
    heads: tuple[int, ...] = Field((4, 8, 16), description="of each level; a head has a multiple of 8 channels")
    feedforward: tuple[int, ...] = Field((768, 1536, 3072), description="hidden channels of each level")
    patch: int = Field(4, ge=1, description="pixels along the side of a token of the finest level")
    mapping_width: int = Field(768, ge=2, multiple_of=2)
    mapping_depth: int = Field(2, ge=1)
    mapping_feedforward: int = Field(2304, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> FlowNetworkConfig:
        if not len(self.widths) == len(self.depths) == len(self.heads) == len(self.feedforward):
            raise ValueError("widths, depths, heads and feedforward must name the same levels")
        if any(width % (8 * heads) for width, heads in zip(self.widths, self.heads, strict=True)):
            raise ValueError("each width must be a multiple of 8 times its heads")
        return self


class PMRFNetworkConfig(Strict):
    """The sizes of both networks when they are new; those that come from a file have the file's."""

    mean: SwinIRNetworkConfig = SwinIRNetworkConfig()
    flow: FlowNetworkConfig = FlowNetworkConfig()


class PMRFMeanConfig(Strict):
    """PMRF's posterior mean, its first stage; see train/objectives/estimator/objective.py."""

    method: ClassVar[str] = "pmrf"
    name: Literal["pmrf-mean"] = "pmrf-mean"
    network: PMRFNetworkConfig = PMRFNetworkConfig()
    distortion: Literal["l1", "l2"] = Field("l2", description="squared error, whose optimum the posterior mean is")


class PMRFFlowConfig(Strict):
    """PMRF's flow, its second stage; see train/objectives/flow/objective.py."""

    method: ClassVar[str] = "pmrf"
    name: Literal["pmrf-flow"] = "pmrf-flow"
    network: PMRFNetworkConfig = PMRFNetworkConfig()
    noise: float = Field(0.1, ge=0, le=1, description="deviation of the noise on the mean; restoring uses 0.1")
    steps: int = Field(25, ge=1, le=1000, description="of the flow, in validation")
