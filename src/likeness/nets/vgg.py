"""The convolutional part of VGG (Simonyan, Zisserman, ICLR 2015), for losses and measures that compare features.

Keys are those of torchvision's released files, ``features.N.weight``; a file's ``classifier.`` is not part of it.
"""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # in each of the five blocks


class VGGFeatures(nn.Module):
    """``forward(x, taps)``: (B, 3, H, W), normalised as VGG expects -> the outputs of the modules ``taps``, in order.

    ``features`` holds the first ``count`` modules (default: all); none is run after the last tap.
    """

    def __init__(self, depth: int = 16, count: int | None = None) -> None:
        super().__init__()
        if depth not in CONVOLUTIONS:
            raise ValueError(f"the depth must be one of {sorted(CONVOLUTIONS)}, got {depth}")
        modules: list[nn.Module] = []
        before = 3
        for width, convolutions in zip(WIDTHS, CONVOLUTIONS[depth], strict=True):
            for _ in range(convolutions):
                modules += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
                before = width
            modules.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*modules[:count])

    def forward(self, x: Tensor, taps: Collection[int]) -> list[Tensor]:
        if not taps or not all(0 <= tap < len(self.features) for tap in taps):
            raise ValueError(f"taps must be modules from 0 to {len(self.features) - 1}, got {sorted(taps)}")
        outputs = []
        for index in range(max(taps) + 1):
            x = self.features[index](x)
            if index in taps:
                outputs.append(x)
        return outputs
