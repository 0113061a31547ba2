"""The network of DISTS: structure and texture compared in VGG16's features (Ding, Ma, Wang, Simoncelli, TPAMI 2020).

``trunk`` has torchvision's numbers, ``alpha`` and ``beta`` the names and shapes of the authors' file.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.vgg import VGGFeatures

MEAN = (0.485, 0.456, 0.406)  # ImageNet's, in [0, 1]
STD = (0.229, 0.224, 0.225)
WIDTHS = (3, 64, 128, 256, 512, 512)  # of the picture itself and of the five taps
TAPS = (3, 8, 15, 22, 29)  # relu1_2, relu2_2, relu3_3, relu4_3, relu5_3
POOLS = (4, 9, 16, 23)
C1 = C2 = 1e-6


class L2Pool(nn.Module):
    """(B, C, H, W) -> (B, C, ceil(H / 2), ceil(W / 2)): root of the mean square under a Hann window.

    The window of 5 has zeros at its ends, hence 3 x 3 taps, (1, 2, 1) / 4 each way; zeros beyond the border. After
    Hénaff, Simoncelli, ICLR 2016.
    """

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("window", line[:, None] * line, persistent=False)
        self.window: Tensor

    def forward(self, x: Tensor) -> Tensor:
        window = self.window.to(x.dtype).expand(x.shape[1], 1, 3, 3)
        mean = F.conv2d(x.square(), window, stride=2, padding=1, groups=x.shape[1])
        return (mean + 1e-12).sqrt()


class DISTS(nn.Module):
    """``forward(a, b)``: two (B, 3, H, W) RGB in [0, 1] -> (B,) distance, 0 for equal pictures.

    ``alpha``, ``beta`` (1, 1475, 1, 1): the weights of the means' and of the covariances' likeness, feature by feature;
    their common sum is taken as 1. Unfilled they are all 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.trunk = VGGFeatures(16, TAPS[-1] + 1)
        for index in POOLS:
            self.trunk.features[index] = L2Pool()
        self.alpha = nn.Parameter(torch.ones(1, sum(WIDTHS), 1, 1))
        self.beta = nn.Parameter(torch.ones(1, sum(WIDTHS), 1, 1))

    def stages(self, x: Tensor) -> list[Tensor]:
        """The picture as it is, and the five taps, finest first."""
        return [x, *self.trunk((x - self.mean) / self.std, TAPS)]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        pairs = [similarities(x, y) for x, y in zip(self.stages(a), self.stages(b), strict=True)]
        texture, structure = (torch.cat(one, dim=1) for one in zip(*pairs, strict=True))
        alpha, beta = self.alpha.flatten(), self.beta.flatten()
        # 1 - sum(weight * likeness), written so that equal pictures give 0 without rounding.
        return ((1 - texture) @ alpha + (1 - structure) @ beta) / (alpha.sum() + beta.sum())


def similarities(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Features (B, C, H, W), twice -> likeness of their means and of their structure, (B, C) each, at most 1.

    Source: the paper's l and s; moments over the whole feature, divided by the number of its places.
    """
    mx, my = x.mean(dim=(2, 3), keepdim=True), y.mean(dim=(2, 3), keepdim=True)
    dx, dy = x - mx, y - my
    vx, vy, covariance = (product.mean(dim=(2, 3)) for product in (dx * dx, dy * dy, dx * dy))
    mx, my = mx[..., 0, 0], my[..., 0, 0]
    texture = (2 * mx * my + C1) / (mx * mx + my * my + C1)
    return texture, (2 * covariance + C2) / (vx + vy + C2)
