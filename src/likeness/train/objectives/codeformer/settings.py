"""What a recipe may say of CodeFormer's three stages."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from likeness.train.objectives.image_settings import CodebookConfig, ImageConfig
from likeness.train.strict import Strict

GROUPS, HEAD_DIM = 32, 64  # of the norms, and of an attention head, in the network


class CodeFormerNetworkConfig(Strict):
    """The sizes of a new network; one that starts from a file has the file's."""

    size: Literal[64, 128, 256, 512] = Field(512, description="of the whole face, pixels: data.size")
    widths: tuple[int, ...] = Field((64, 128, 128, 256, 256, 512), min_length=2, description="halving at each step")
    codes: int = Field(1024, ge=2)
    code_dim: int = Field(256, ge=8)
    dim: int = Field(512, ge=64, multiple_of=HEAD_DIM, description="of the transformer")
    layers: int = Field(9, ge=1)
    feedforward: int = Field(1024, ge=8)
    fused: tuple[int, ...] = Field((32, 64, 128, 256), min_length=1, description="sizes in pixels that are fused")

    @model_validator(mode="after")
    def _fits(self) -> CodeFormerNetworkConfig:
        if any(width % GROUPS or width <= 0 for width in self.widths):
            raise ValueError(f"widths must be multiples of {GROUPS}")
        sizes = [self.size >> level for level in range(len(self.widths))]
        if sizes[-1] < 2:
            raise ValueError(f"{len(self.widths)} widths are too many for {self.size} pixels")
        wrong = [one for one in self.fused if one not in sizes[:-1]]
        if wrong:
            raise ValueError(f"fused must be among {sizes[:-1]}, got {wrong[0]}")
        return self


class CodeFormerCodebookConfig(CodebookConfig):
    """Stage I; see objectives/codeformer/codebook.py."""

    method: ClassVar[str] = "codeformer"
    name: Literal["codeformer-codebook"] = "codeformer-codebook"
    network: CodeFormerNetworkConfig = CodeFormerNetworkConfig()
    adversarial_from: int = Field(30_000, ge=0, description="step before which the adversarial loss is off")
    adversarial_most: float = Field(1.0, gt=0, description="largest ratio of the gradients")
    discriminator_layers: int = Field(4, ge=1, le=6, description="that halve the picture")
    discriminator_rate: float = Field(7e-5, gt=0)


class CodeFormerTransformerConfig(Strict):
    """Stage II, eq. 3 and 4; see objectives/codeformer/transformer.py. Sizes are those of ``init``."""

    method: ClassVar[str] = "codeformer"
    name: Literal["codeformer-transformer"] = "codeformer-transformer"
    hq: Path | None = Field(None, description="stage I's weights: the encoder of clean faces; default: init, if it is")
    token: float = Field(0.5, ge=0, description="lambda: cross-entropy of the codes")
    feature: float = Field(1.0, ge=0, description="squared distance of the encoder's output to the clean face's codes")


class CodeFormerFusionConfig(ImageConfig):
    """Stage III; see objectives/codeformer/fusion.py. Sizes are those of ``init``."""

    method: ClassVar[str] = "codeformer"
    name: Literal["codeformer-fusion"] = "codeformer-fusion"
    hq: Path | None = Field(None, description="stage I's weights, for the losses of codes")
    encoder: bool = Field(True, description="whether the encoder learns beside the fusion, as in the paper")
    transformer: bool = Field(False, description="whether the transformer does, too, as in the authors' options")
    token: float = Field(0.5, ge=0, description="as in stage II; counts only when what guesses the codes learns")
    feature: float = Field(1.0, ge=0, description="as in stage II; counts only when the encoder learns")
    adversarial_most: float = Field(1.0, gt=0, description="largest ratio of the gradients")
    discriminator_layers: int = Field(4, ge=1, le=6, description="that halve the picture")
    discriminator_rate: float = Field(5e-5, gt=0)

    @property
    def needs_hq(self) -> bool:
        """Whether a loss of codes can move anything."""
        return (self.encoder and self.feature > 0) or ((self.encoder or self.transformer) and self.token > 0)
