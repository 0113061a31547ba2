"""Perceptual and style losses of VGG-19 (Johnson et al. 2016), for the users who have its released weights."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.vgg import VGGFeatures
from likeness.train.log import say
from likeness.train.objectives.losses import gram
from likeness.train.recipe import RecipeError
from likeness.weights.catalogue import find
from likeness.weights.checkpoint import fill_strict, read_checkpoint
from likeness.weights.store import is_here, locate

ENTRY = "vgg19"
LAYERS = {2: 0.1, 7: 0.1, 16: 1.0, 25: 1.0, 34: 1.0}  # conv1_2, conv2_2, conv3_4, conv4_4, conv5_4, before the ReLU
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Perceptual(nn.Module):
    """``forward(restored, clean)``, (B, 3, H, W) in [-1, 1] -> the perceptual and the style distance. Frozen.

    Perceptual: the weighted sum over the layers of the mean absolute difference of features. Style: the same of their
    Gram matrices, divided by the number of the features. ``layers``: module of VGG-19 -> weight.
    """

    def __init__(self, weights: Path, layers: dict[int, float] | None = None) -> None:
        super().__init__()
        self.layers = dict(layers or LAYERS)
        self.net = VGGFeatures(19, max(self.layers) + 1)
        held = {key: value for key, value in read_checkpoint(weights).items() if key in self.net.state_dict()}
        fill_strict(self.net, held, str(weights))
        self.register_buffer("mean", torch.tensor(MEAN)[None, :, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(STD)[None, :, None, None], persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False).eval()

    def forward(self, restored: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            wanted = self._features(clean)
        content = style = restored.new_zeros((), dtype=torch.float32)
        for weight, a, b in zip(self.layers.values(), self._features(restored), wanted, strict=True):
            content = content + weight * F.l1_loss(a, b)
            style = style + weight * F.l1_loss(gram(a), gram(b))
        return content, style

    def _features(self, x: Tensor) -> list[Tensor]:
        features = self.net(((x.float() + 1) / 2 - self.mean) / self.std, self.layers)
        return [f.float() for f in features]


def perceptual_for(weight: float, file: Path | None) -> Perceptual | None:
    """VGG-19 from ``file``, else from the user's pulled weights; None, said in one line, when neither is there.

    None without a word when ``weight`` is 0. Raises RecipeError when a ``file`` is named that is not there.
    """
    if not weight:
        return None
    if file is not None:
        if not file.is_file():
            raise RecipeError(f"objective.vgg: {file} is not there")
        return Perceptual(file)
    if not is_here(find(ENTRY)):
        say(f"the perceptual loss is off: {ENTRY} is not here (likeness models pull {ENTRY} brings it)")
        return None
    return Perceptual(locate(ENTRY))
