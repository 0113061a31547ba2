"""What a recipe may say of RestoreFormer's two stages."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from likeness.train.objectives.image_settings import CodebookConfig
from likeness.train.strict import Strict

GROUPS = 32  # of the norms in the network, each of whose attention blocks has 8 heads


class RestoreFormerNetworkConfig(Strict):
    """The sizes of a new network; one that starts from a file has the file's."""

    widths: tuple[int, ...] = Field((64, 128, 128, 256, 256, 512), min_length=2, description="halving at each step")
    blocks: int = Field(2, ge=1, description="residual blocks per size in the encoder; one more in the decoder")
    codes: int = Field(1024, ge=2)
    code_dim: int = Field(256, ge=8)

    @model_validator(mode="after")
    def _fits(self) -> RestoreFormerNetworkConfig:
        if any(width % GROUPS or width <= 0 for width in self.widths):
            raise ValueError(f"widths must be multiples of {GROUPS}")
        return self


class RestoreFormerDictionaryConfig(CodebookConfig):
    """The first stage; see objectives/restoreformer/dictionary.py."""

    method: ClassVar[str] = "restoreformer"
    name: Literal["restoreformer-dictionary"] = "restoreformer-dictionary"
    network: RestoreFormerNetworkConfig = RestoreFormerNetworkConfig()
    adversarial: float = Field(
        0.75, ge=0, description="times the ratio of the gradients at the last layer; 0 trains without a discriminator"
    )


class RestoreFormerRestoreConfig(CodebookConfig):
    """The second stage, with weights of the authors' released options; see objectives/restoreformer/restore.py."""

    method: ClassVar[str] = "restoreformer"
    name: Literal["restoreformer-restore"] = "restoreformer-restore"
    network: RestoreFormerNetworkConfig = RestoreFormerNetworkConfig()
    fixed_dictionary: bool = Field(True, description="whether the codes stay as init has them")
    adversarial: float = Field(
        0.75, ge=0, description="times the ratio of the gradients at the last layer; 0 trains without a discriminator"
    )
    component: float = Field(1.0, ge=0, description="adversarial, of eyes and mouth; whole faces only")
    component_style: float = Field(10.0, ge=0, description="styles of eyes and mouth; whole faces only")
    component_width: int = Field(64, ge=4)
    identity: float = Field(1.0, ge=0, description="relative distance of dlib's features; whole faces only")
