"""What a recipe may say of training an estimator."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from likeness.train.strict import Strict


class SwinIRNetworkConfig(Strict):
    """The sizes of a new SwinIR; one that starts from a file has the file's. The defaults are the released ones."""

    img_size: int = Field(64, ge=8, description="places along a side for which the masks are stored: pixels / scale")
    embed_dim: int = Field(180, ge=2)
    depths: tuple[int, ...] = Field((6,) * 8, min_length=1, description="blocks of each group")
    num_heads: tuple[int, ...] = Field((6,) * 8, min_length=1, description="of each group; divisors of embed_dim")
    window: int = Field(8, ge=2)
    mlp_dim: int = Field(360, ge=1)
    scale: Literal[2, 4, 8, 16] = Field(8, description="of folding; sides are multiples of scale x window")
    features: int = Field(64, ge=1, description="channels while unfolding")


class DifFaceEstimatorConfig(Strict):
    """DifFace's estimator; see train/objectives/estimator/objective.py."""

    method: ClassVar[str] = "difface"
    name: Literal["difface-estimator"] = "difface-estimator"
    network: SwinIRNetworkConfig = SwinIRNetworkConfig()
    distortion: Literal["l1", "l2"] = Field("l1", description="L1 as the authors of DifFace")
