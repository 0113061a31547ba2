"""A patch discriminator for adversarial finishing."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky ReLUs
DETAIL_GAIN = 4.0


class PatchDiscriminator(nn.Module):
    """Looks at overlapping patches of an image, and of its detail beside the detail it was restored from.

    Restored and real faces agree in everything coarse, so a discriminator of plain pixels finds the difference only
    after thousands of steps; of the amplified detail, after tens. No normalisation: patches are judged as they are.

    ``forward(image, condition)``: both (B, 3, H, W) in [-1, 1], H and W multiples of 16 -> logits (B, 1, H/16, W/16)
    and the list of intermediate features (for feature matching).
    """

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        widths = [width, width * 2, width * 4, width * 4]
        self.stem = nn.Conv2d(9 * 4, widths[0], 3, padding=1)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.mix = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.head = nn.Conv2d(widths[-1], 1, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.head.weight.mul_(0.3)  # undecided at first

    def forward(self, image: Tensor, condition: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = torch.cat([image, detail(image), detail(condition)], dim=1)
        h = F.leaky_relu(self.stem(F.pixel_unshuffle(x, 2)), SLOPE)
        features = []
        for layer in (*self.downs, self.mix):
            h = F.leaky_relu(layer(h), SLOPE)
            features.append(h)
        return self.head(h), features


def detail(image: Tensor) -> Tensor:
    """What a 9x9 average leaves of an image, amplified."""
    return (image - F.avg_pool2d(image, 9, 1, 4, count_include_pad=False)) * DETAIL_GAIN
