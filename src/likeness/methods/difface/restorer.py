"""DifFace as it is used for restoration: SwinIR's estimate, noised, and denoised by the prior of faces."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likeness.methods.difface.card import CARD
from likeness.methods.difface.contraction import Contraction, check_crops, load_two, resize, unpack
from likeness.methods.difface.unet import INPAINTING, UNet, read_unet_config
from likeness.methods.released import Released
from likeness.nets.swinir import SwinIR, read_swinir_config
from likeness.weights.checkpoint import read_checkpoint


class DifFaceRestorer(Contraction):
    """Restores aligned crops."""

    card = CARD

    @torch.inference_mode()
    def restore(self, crops: Tensor, *, seed: int = 0, **options: Any) -> Tensor:
        """(B, 3, H, W) float32 RGB in [0, 1] -> the same, restored. Raises OptionError, or ValueError (shape).

        Crops of another size than the networks' (512) are resized, and back.
        """
        chosen = self.card.choose(options)
        check_crops(crops)
        noise = self.noise(len(crops), seed)
        return self.run(crops, noise, int(chosen["steps"]), float(chosen["eta"])).to(crops)

    def run(self, crops: Tensor, noise: Callable[[], Tensor], steps: int, eta: float) -> Tensor:
        """As ``restore``, with the noise that ``noise()`` draws: one for the start, one for each step but the last."""
        sample = self.sample(self.estimate(self.resized(crops)), steps, eta, noise)
        return resize(sample, crops.shape[2], crops.shape[3]).clamp(0, 1)


def recognise(tensors: Mapping[str, Tensor]) -> nn.Module | None:
    """The U-Net of these tensors; None for that of inpainting, which is another method."""
    config = read_unet_config(tensors)
    return None if config is None or config.size == INPAINTING.size else UNet(config)


def recognise_estimator(tensors: Mapping[str, Tensor]) -> nn.Module | None:
    """The SwinIR of these tensors."""
    config = read_swinir_config(tensors)
    return None if config is None else SwinIR(config)


def recognise_either(tensors: Mapping[str, Tensor]) -> nn.Module | None:
    """The U-Net or the estimator of these tensors: both are files of this method."""
    return recognise(tensors) or recognise_estimator(tensors)


METHOD = Released(CARD, unpack, recognise_either)
PRIOR = Released(CARD, unpack, recognise)
ESTIMATOR = Released(CARD, unpack, recognise_estimator)


def load_restorer(device: torch.device, dtype: torch.dtype, weights: Path | None) -> DifFaceRestorer:
    """See ``likeness.methods.difface.load``."""
    if weights is not None and recognise_estimator(unpack(read_checkpoint(weights))) is not None:
        unet, estimator, fingerprint = load_with_estimator(weights)
    else:
        unet, estimator, fingerprint = load_two(
            PRIOR, ESTIMATOR, CARD.checkpoints["swinir"], "difface-estimator", weights
        )
    return DifFaceRestorer(unet, estimator, device, dtype, fingerprint)


def load_with_estimator(weights: Path) -> tuple[UNet, nn.Module, str]:
    """The estimator of ``weights``, as of one's own training, with the U-Net that lies beside it under its released
    name, or else the store's; and a fingerprint. Raises WeightsError."""
    released = Path(CARD.checkpoints["unet"])
    names = (released.name, released.with_suffix(".safetensors").name)
    unet, first = PRIOR.load(next((path for name in names if (path := weights.with_name(name)).is_file()), None))
    estimator, second = ESTIMATOR.load(weights)
    assert isinstance(unet, UNet)
    return unet, estimator, hashlib.sha256((first + second).encode()).hexdigest()
