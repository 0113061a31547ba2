"""Losses on the eyes and the mouth (GFPGAN, Wang et al. 2021, section 3.5, eq. 6; RestoreFormer has them, too).

The authors cut the parts out by each picture's own landmarks. Ours are where the template of aligned faces has them,
the same in every picture: aligned eyes and mouths lie there, and users' photographs come without such landmarks.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.faces.template import CROP_SIZE, FFHQ_TEMPLATE
from likeness.nets.stylegan2_discriminator import conv_layer
from likeness.train.objectives.adversarial import non_saturating_discriminator, non_saturating_generator
from likeness.train.objectives.losses import gram
from likeness.train.objectives.networks import frozen

EYE, MOUTH = (
    80,
    144,
)  # sides of the squares in a face of 512 pixels; a fifth more than the authors' for mouths, which move
STYLE_WEIGHTS = (0.5, 1.0)  # of the finer and the coarser features

Box = tuple[int, int, int]


def component_boxes(size: int) -> dict[str, Box]:
    """Top, left and side of each part's square in an aligned face of ``size`` pixels; left as seen in the picture."""
    centres = {"left_eye": FFHQ_TEMPLATE[0], "right_eye": FFHQ_TEMPLATE[1], "mouth": FFHQ_TEMPLATE[3:].mean(0)}
    boxes = {}
    for name, centre in centres.items():
        side = round((MOUTH if name == "mouth" else EYE) * size / CROP_SIZE)
        x, y = (centre + 0.5) * size / CROP_SIZE - side / 2  # of the square's edge, not of a pixel's centre
        boxes[name] = (round(float(np.asarray(y))), round(float(np.asarray(x))), side)
    return boxes


def cut_components(images: Tensor) -> dict[str, Tensor]:
    """Aligned faces (B, 3, size, size) -> their eyes (B, 3, 80, 80) and mouths (B, 3, 144, 144), at 512 pixels."""
    boxes = component_boxes(images.shape[-1])
    return {name: images[..., top : top + side, left : left + side] for name, (top, left, side) in boxes.items()}


class ComponentDiscriminator(nn.Module):
    """(B, 3, s, s) -> logits of patches (B, 1, s/4, s/4), and the features at s/2 and s/4, whose style is compared."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            conv_layer(3, width, 3), conv_layer(width, width * 2, 3, down=True), conv_layer(width * 2, width * 2, 3)
        )
        self.coarse = nn.Sequential(conv_layer(width * 2, width * 4, 3, down=True), conv_layer(width * 4, width * 4, 3))
        self.head = nn.Conv2d(width * 4, 1, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        fine = self.fine(x)
        coarse = self.coarse(fine)
        return self.head(coarse), [fine, coarse]


class ComponentDiscriminators(nn.ModuleDict):
    """A discriminator for each part."""

    def __init__(self, width: int = 64) -> None:
        super().__init__({name: ComponentDiscriminator(width) for name in component_boxes(CROP_SIZE)})

    def judge(self, restored: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's adversarial loss and the distance of styles, each summed over the parts (eq. 6)."""
        adversarial = style = restored.new_zeros((), dtype=torch.float32)
        wanted = cut_components(clean)
        with frozen(self):
            for name, part in cut_components(restored).items():
                logits, features = self[name](part)
                with torch.no_grad():
                    _, targets = self[name](wanted[name])
                adversarial = adversarial + non_saturating_generator(logits)
                for weight, a, b in zip(STYLE_WEIGHTS, features, targets, strict=True):
                    style = style + weight * F.l1_loss(gram(a), gram(b))
        return adversarial, style

    def loss(self, clean: Tensor, restored: Tensor) -> Tensor:
        """The discriminators' own loss, summed over the parts."""
        fake = cut_components(restored)
        losses = [
            non_saturating_discriminator(self[name](part)[0], self[name](fake[name])[0])
            for name, part in cut_components(clean).items()
        ]
        return torch.stack(losses).sum()
