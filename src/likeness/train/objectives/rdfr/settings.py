"""What a recipe may say of RDFR's training."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from likeness.train.strict import Strict


class RDFRNetworkConfig(Strict):
    """The sizes of a new network; one that starts from a file has the file's. The paper's appendix is not public."""

    size: Literal[64, 128, 256, 512] = Field(512, description="of the whole face, pixels: data.size")
    width: int = Field(512, ge=8, multiple_of=8, description="channels up to 32 pixels")
    multiplier: float = Field(2.0, ge=0.5, le=4, description="channels from 64 pixels on, times 8192 / pixels at 512")
    style: int = Field(512, ge=8, description="length of the latent z")
    mapping: int = Field(8, ge=1, le=16, description="layers between the noise and the decoder")
    skips: int = Field(4, ge=1, le=6, description="skip connections, counted from 8x8 upward")
    codes: int = Field(1024, ge=2, description="of each codebook")
    fusion: bool = Field(True, description="linear gated fusion; else concatenation and a 1x1 convolution")
    quantise: bool = Field(True, description="codebooks in the skip connections")
    noise: bool = Field(True, description="noise in the decoder and, gated, in the skip connections")

    @model_validator(mode="after")
    def _fits(self) -> RDFRNetworkConfig:
        most = self.size.bit_length() - 4
        if self.skips > most:
            raise ValueError(f"skips must be at most {most} for {self.size} pixels, got {self.skips}")
        return self


class RDFRConfig(Strict):
    """Weights of the terms of eq. 7 and 10, and how the codebooks move; see train/objectives/rdfr/objective.py."""

    method: ClassVar[str] = "rdfr"
    name: Literal["rdfr"] = "rdfr"
    network: RDFRNetworkConfig = RDFRNetworkConfig()
    l1: float = Field(1.0, ge=0)
    perceptual: float = Field(1.0, ge=0, description="VGG-19; off, and said so, without its weights")
    vgg: Path | None = Field(None, description="a file of VGG-19's weights, for those that are not pulled")
    adversarial: float = Field(0.1, ge=0, description="alpha of eq. 7; 0 trains without a discriminator")
    quantisation: float = Field(1.0, ge=0, description="second term of eq. 3")
    decay: float = Field(0.99, ge=0, lt=1, description="of the codebooks' moving averages")
    revive_every: int = Field(50, ge=0, description="steps after which codes out of use are replaced; 0 never")
    r1: float = Field(10.0, ge=0, description="gamma: half of it times the squared gradient at real pictures")
    r1_every: int = Field(16, ge=1, description="steps; the term counts that much more then")
    group: int = Field(4, ge=1, description="samples whose deviation the discriminator sees; 1: each alone")
    discriminator_rate: float = Field(2e-3, gt=0)
