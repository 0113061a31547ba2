"""What a recipe may say of IDM's training."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from likeness.train.strict import Strict


class IDMNetworkConfig(Strict):
    """The sizes of a new network; one that starts from a file has the file's. The defaults are those for 512 pixels."""

    ch: int = Field(128, ge=32, multiple_of=32, description="channels that the multiples are of")
    ch_mult: tuple[int, ...] = Field((1, 1, 1, 2, 2, 4, 4), min_length=1, description="width of each level")
    num_res_blocks: int = Field(2, ge=1, description="of each level")
    attention: tuple[int, ...] = Field((4, 5, 6), description="levels that have it; the middle always does")
    dropout: float = Field(0.0, ge=0, lt=1)

    @property
    def factor(self) -> int:
        """What height and width must be multiples of."""
        return 1 << (len(self.ch_mult) - 1)


class IDMConfig(Strict):
    """Eq. 6 or 7 of papers/001; see train/objectives/idm/objective.py."""

    method: ClassVar[str] = "idm"
    name: Literal["idm"] = "idm"
    network: IDMNetworkConfig = IDMNetworkConfig()
    conditioning: Literal["t", "gamma"] = Field("t", description="the step, or SR3's noise level; a file's, with init")
    prediction: Literal["x0", "eps"] = Field("x0", description="eq. 7 or eq. 6; with init that of the file")
    distortion: Literal["l1", "l2"] = Field("l1", description="p of eq. 6 and 7")
    steps: int = Field(10, ge=1, le=1000, description="evaluations of the network in validation")
    sampler: Literal["ddpm", "ddim"] = Field("ddpm", description="of validation")
