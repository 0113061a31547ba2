"""A patch discriminator for adversarial finishing."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """Looks at overlapping patches of an image beside what it was restored from (pix2pix, spectral norm).

    ``forward(image, condition)``: both (B, 3, H, W), H and W multiples of 16 -> logits (B, 1, H/16, W/16) and
    the list of intermediate features (for feature matching).
    """

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        widths = [width, width * 2, width * 4, width * 4]
        self.stem = nn.Conv2d(6 * 4, widths[0], 3, padding=1)
        self.downs = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in pairwise(widths))
        self.mix = spectral_norm(nn.Conv2d(widths[-1], widths[-1], 3, padding=1))
        self.head = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, image: Tensor, condition: Tensor) -> tuple[Tensor, list[Tensor]]:
        h = F.leaky_relu(self.stem(F.pixel_unshuffle(torch.cat([image, condition], dim=1), 2)), 0.2)
        features = []
        for layer in (*self.downs, self.mix):
            h = F.leaky_relu(layer(h), 0.2)
            features.append(h)
        return self.head(h), features
