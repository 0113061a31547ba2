"""What a recipe may say of each objective; the names are the keys of ``build.OBJECTIVES``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from likeness.train.objectives.codeformer.settings import (
    CodeFormerCodebookConfig,
    CodeFormerFusionConfig,
    CodeFormerTransformerConfig,
)
from likeness.train.objectives.estimator.settings import DifFaceEstimatorConfig
from likeness.train.objectives.flow.settings import PMRFFlowConfig, PMRFMeanConfig
from likeness.train.objectives.gfpgan.settings import GFPGANConfig
from likeness.train.objectives.idm.settings import IDMConfig
from likeness.train.objectives.rdfr.settings import RDFRConfig
from likeness.train.objectives.restoreformer.settings import RestoreFormerDictionaryConfig, RestoreFormerRestoreConfig
from likeness.train.strict import Strict


class DenoiseConfig(Strict):
    """The built-in model's denoiser; see train/objectives/denoise.py."""

    method: ClassVar[str] = "likeness"
    name: Literal["denoise"] = "denoise"
    distortion: Literal["l1", "psnr"] = Field("l1", description="L1 as in papers/001, or PSNR itself")
    mean_share: float = Field(0.6, ge=0, le=1, description="share of samples trained at gamma = 0")
    identity: float = Field(0.0, ge=0, description="distance of identity features; whole frames only")


class SharpenConfig(Strict):
    """Weights of the terms of the built-in model's sharpener; see train/objectives/sharpen.py."""

    method: ClassVar[str] = "likeness"
    name: Literal["sharpen"] = "sharpen"
    from_denoiser: bool = Field(False, description="a new run starts with the denoiser's weights in the sharpener")
    distortion: float = Field(0.15, ge=0, description="negative PSNR, in units of 10 dB")
    texture: float = Field(2.0, ge=0, description="local contrast, in three octaves")
    quantile: float = Field(0.5, gt=0, lt=1, description="of the plausible contrasts; more is rougher")
    grid: float = Field(4.0, ge=0, description="against a pattern of the network's 4x4 cells passing for texture")
    identity: float = Field(0.0, ge=0, description="distance of identity features; whole frames only")
    embedding: float = Field(1.0, ge=0, description="weight of the embedding, when each level of features has 1")
    motion: float = Field(0.0, ge=0, description="how far identity's cut of the face is moved; 1 is 4 degrees, 5 %")
    adversarial: float = Field(0.0, ge=0)
    adversarial_from: int = Field(0, ge=0, description="step at which the generator hears of the discriminator")
    feature_matching: float = Field(0.0, ge=0, description="counts only with an adversarial term")
    patch: int = Field(256, ge=64, multiple_of=16, description="side of the square the discriminator sees, pixels")
    fixed_point: float = Field(0.0, ge=0, description="f(f(x)) = f(x), papers/001 eq. 3")
    fixed_point_every: int = Field(4, ge=1, description="steps")
    discriminator_rate: float = Field(3e-4, gt=0)


ObjectiveConfig = (
    DenoiseConfig
    | SharpenConfig
    | RDFRConfig
    | IDMConfig
    | DifFaceEstimatorConfig
    | PMRFMeanConfig
    | PMRFFlowConfig
    | GFPGANConfig
    | CodeFormerCodebookConfig
    | CodeFormerTransformerConfig
    | CodeFormerFusionConfig
    | RestoreFormerDictionaryConfig
    | RestoreFormerRestoreConfig
)
