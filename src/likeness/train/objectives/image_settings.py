"""What a recipe may say of the losses on pictures that several published methods share."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from likeness.train.strict import Strict


class ImageConfig(Strict):
    """L1, the perceptual loss, and an adversarial one of patches; see objectives/vqgan.py.

    The papers' perceptual loss has the weight 1, too, but their released options measure it by LPIPS, which is about a
    tenth of our sum over layers of VGG-19.
    """

    l1: float = Field(1.0, ge=0)
    perceptual: float = Field(0.1, ge=0, description="VGG-19; off, and said so, without its weights")
    vgg: Path | None = Field(None, description="a file of VGG-19's weights, for those that are not pulled")
    adversarial: float = Field(
        0.8, ge=0, description="times the ratio of the gradients at the last layer; 0 trains without a discriminator"
    )
    adversarial_from: int = Field(0, ge=0, description="step before which the adversarial loss is off")
    adversarial_most: float = Field(1e4, gt=0, description="largest ratio of the gradients")
    discriminator_width: int = Field(64, ge=4, multiple_of=4)
    discriminator_layers: int = Field(3, ge=1, le=6, description="that halve the picture")
    discriminator_rate: float = Field(7.2e-5, gt=0)


class CodebookConfig(ImageConfig):
    """The same and the codebook's own loss, for autoencoders that learn their codes (VQGAN, Esser et al. 2021)."""

    code: float = Field(1.0, ge=0, description="of both terms of the codes")
    commitment: float = Field(0.25, ge=0, description="beta: of the encoder's term, relative to the codebook's")
