"""DifFace as it is used for inpainting: LaMa fills the hole, and samples agree with the photo around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.card import OptionError
from likeness.methods.difface.card import INPAINTING as CARD
from likeness.methods.difface.contraction import Contraction, check_crops, load_two, resize, unpack
from likeness.methods.difface.lama import Lama, read_lama_config
from likeness.methods.difface.unet import INPAINTING, UNet, read_unet_config
from likeness.methods.released import Released

REACH = 2  # pixels of the coarser picture, from which a pixel of a bicubically resized one is mixed, to each side


class InpaintingRestorer(Contraction):
    """Fills holes in aligned crops."""

    card = CARD

    @torch.inference_mode()
    def restore(self, crops: Tensor, *, seed: int = 0, hole: Any = None, **options: Any) -> Tensor:
        """(B, 3, H, W) float32 RGB in [0, 1] -> the same with the hole filled, and all other pixels as they were.

        ``hole`` (B, 1, H, W), a tensor or an array: 1 = to fill, 0 = to keep. What the crops hold there is not looked
        at. Crops of another size than the networks' (256) are resized, and what was filled is resized back. Raises
        OptionError when the hole is missing or does not fit, ValueError for another shape of ``crops``.
        """
        chosen = self.card.choose(options)
        check_crops(crops)
        mask = check_hole(hole, crops)
        noise = self.noise(len(crops), seed)
        steps, eta, gamma = int(chosen["steps"]), float(chosen["eta"]), float(chosen["gamma"])
        return self.run(crops, mask, noise, steps, eta, gamma)

    def run(
        self, crops: Tensor, hole: Tensor, noise: Callable[[], Tensor], steps: int, eta: float, gamma: float
    ) -> Tensor:
        """As ``restore``, with ``hole`` in float32 and the noise that ``noise()`` draws, as in ``DifFaceRestorer``."""
        sample = self.fill(crops, hole, noise, steps, eta, gamma)
        filled = resize(sample, crops.shape[2], crops.shape[3]).clamp(0, 1)
        return torch.where(hole.to(crops.device) > 0, filled.to(crops), crops)

    def fill(
        self, crops: Tensor, hole: Tensor, noise: Callable[[], Tensor], steps: int, eta: float, gamma: float
    ) -> Tensor:
        """The sample alone: (B, 3, size, size) in [0, 1], also outside the hole."""
        given, correct = self.conditions(crops, hole, gamma)
        return self.sample(self.estimate(given), steps, eta, noise, correct)

    def conditions(self, crops: Tensor, hole: Tensor, gamma: float) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """What the estimator is given (B, 4, size, size), and how each step is brought nearer to the photograph."""
        hole = hole.to(self.device, torch.float32)
        mask = shrink_hole(hole, self.size)
        known = self.resized(crops.to(self.device, torch.float32) * (1 - hole)) * (1 - mask)
        photo = known * 2 - 1

        def correct(x0: Tensor) -> Tensor:
            """One step down the gradient of the squared distance to the photograph outside the hole."""
            return (x0 - gamma * 2 * (x0 - photo) * (1 - mask)).clamp(-1, 1)

        return torch.cat([known, mask], dim=1), correct


def check_hole(hole: Any, crops: Tensor) -> Tensor:
    """``hole`` as float32. Raises OptionError unless it is (B, 1, H, W), of 0 and 1, for ``crops``."""
    if hole is None:
        raise OptionError(f"method {CARD.name} needs hole: for each face (1, H, W), 1 where it is to be filled, else 0")
    mask = torch.as_tensor(hole)
    wanted = (len(crops), 1, *crops.shape[2:])
    if mask.shape != wanted:
        raise OptionError(f"expected hole {wanted}, got {tuple(mask.shape)}")
    if not ((mask == 0) | (mask == 1)).all():
        raise OptionError("hole must be 0 or 1 everywhere")
    return mask.to(torch.float32)


def shrink_hole(hole: Tensor, size: int) -> Tensor:
    """(B, 1, H, W) -> (B, 1, size, size): a pixel is in the hole if any part of it was.

    Where the picture is resized, so is each pixel into which the hole's content was mixed.
    """
    if hole.shape[2:] == (size, size):
        return hole
    if min(hole.shape[2:]) < size:
        return F.adaptive_max_pool2d(_widened(hole), size)
    return _widened(F.adaptive_max_pool2d(hole, size))


def _widened(hole: Tensor) -> Tensor:
    return F.max_pool2d(hole, 2 * REACH + 1, stride=1, padding=REACH)


def recognise(tensors: Mapping[str, Tensor]) -> nn.Module | None:
    """The U-Net of these tensors; None for one of another size, which is for restoration."""
    config = read_unet_config(tensors)
    return None if config is None or config.size != INPAINTING.size else UNet(config)


def recognise_estimator(tensors: Mapping[str, Tensor]) -> nn.Module | None:
    """The LaMa of these tensors."""
    config = read_lama_config(tensors)
    return None if config is None else Lama(config)


METHOD = Released(CARD, unpack, recognise)
ESTIMATOR = Released(CARD, unpack, recognise_estimator)


def load_restorer(device: torch.device, dtype: torch.dtype, weights: Path | None) -> InpaintingRestorer:
    """See ``likeness.methods.difface.inpainting.load``."""
    unet, estimator, fingerprint = load_two(METHOD, ESTIMATOR, CARD.checkpoints["lama"], "difface-lama", weights)
    return InpaintingRestorer(unet, estimator, device, dtype, fingerprint)
