"""The network of NIMA: how people would rate a picture (Talebi, Milanfar, IEEE TIP 2018), with VGG16 as its backbone.

Keys: ``features.N.weight`` and ``features.N.bias`` with torchvision's numbers; ``head.weight`` (10, 512) and
``head.bias``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from likeness.nets.vgg import WIDTHS, VGGFeatures

MEAN = (0.485, 0.456, 0.406)  # ImageNet's, in [0, 1]
STD = (0.229, 0.224, 0.225)
RATINGS = 10
DROPOUT = 0.75


class NIMA(nn.Module):
    """``forward(x)``: (B, 3, H, W) RGB in [0, 1], of at least 32 x 32 -> (B, 10), the shares of the ratings 1 to 10.

    Trained and tested at 224 x 224. Dropout works in training only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.features = VGGFeatures(16).features
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(WIDTHS[-1], RATINGS)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.features((x - self.mean) / self.std).mean(dim=(2, 3))
        return self.head(self.dropout(pooled)).softmax(dim=1)  # type: ignore[no-any-return]
