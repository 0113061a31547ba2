"""What a recipe may say of GFPGAN's training."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from likeness.train.strict import Strict


class GFPGANNetworkConfig(Strict):
    """The sizes of a new network; one that starts from a file has the file's."""

    release: Literal["clean", "original"] = Field("clean", description="layers of 1.2 to 1.4, or of 1, the paper's")
    size: Literal[64, 128, 256, 512] = Field(512, description="of the whole face, pixels: data.size")
    multiplier: float = Field(2.0, ge=0.5, le=4, description="channels from 64 pixels on; 1 in the paper's model")
    narrow: float = Field(1.0, ge=1 / 64, le=1, description="all channels, relative to 512 up to 32 pixels")
    style: int = Field(512, ge=4, description="length of the latent vectors")
    mapping: int = Field(8, ge=1, le=16, description="layers of the unused mapping network, which files hold")


class GFPGANConfig(Strict):
    """Weights of section 3.5, as in the paper and the authors' released options; see objectives/gfpgan/objective.py."""

    method: ClassVar[str] = "gfpgan"
    name: Literal["gfpgan"] = "gfpgan"
    network: GFPGANNetworkConfig = GFPGANNetworkConfig()
    fixed_decoder: bool = Field(True, description="whether the StyleGAN2 generator stays as init has it")
    l1: float = Field(0.1, ge=0)
    perceptual: float = Field(1.0, ge=0, description="VGG-19; off, and said so, without its weights")
    style: float = Field(50.0, ge=0, description="Gram matrices of VGG-19's features; counts only with the perceptual")
    vgg: Path | None = Field(None, description="a file of VGG-19's weights, for those that are not pulled")
    pyramid: float = Field(1.0, ge=0, description="L1 of the U-Net's colours at each size from 8 pixels on")
    pyramid_until: int = Field(50_000, ge=0, description="step at which that weight has fallen to 0")
    adversarial: float = Field(0.1, ge=0, description="0 trains without a discriminator of the whole face")
    component: float = Field(1.0, ge=0, description="adversarial, of eyes and mouth; 0 with component_style: without")
    component_style: float = Field(200.0, ge=0, description="Gram matrices of the parts' discriminators' features")
    identity: float = Field(10.0, ge=0, description="relative distance of dlib's features, for ArcFace's in the paper")
    r1: float = Field(10.0, ge=0, description="gamma: half of it times the squared gradient at real pictures")
    r1_every: int = Field(16, ge=1, description="steps; the term counts that much more then")
    group: int = Field(4, ge=1, description="samples whose deviation the discriminator sees; 1: each alone")
    discriminator_multiplier: float = Field(1.0, ge=0.5, le=4, description="channels from 64 pixels on")
    discriminator_narrow: float = Field(1.0, ge=1 / 64, le=1)
    component_width: int = Field(64, ge=4)
    discriminator_rate: float = Field(2e-3, gt=0)
