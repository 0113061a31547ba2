"""DFDNet: VGG features whose eyes, nose and mouth are improved by dictionaries, and a decoder that they guide.

Li et al., Blind Face Restoration via Deep Multi-scale Component Dictionaries (ECCV 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.dfdnet.dictionary import SCALES, Dictionary
from likeness.methods.dfdnet.landmarks import Box, scaled
from likeness.methods.dfdnet.vgg import VggExtract
from likeness.nets.spectral import spectral_conv

SHORT = {"left_eye": "le", "right_eye": "re", "nose": "no", "mouth": "mo"}  # as in the released keys


def two_convs(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    """Two spectrally normalised 3x3 convolutions with a leaky ReLU in between."""
    return nn.Sequential(
        spectral_conv(inputs, outputs, 3, dilation),
        nn.LeakyReLU(0.2, inplace=True),
        spectral_conv(outputs, outputs, 3, dilation),
    )


class Blur(nn.Module):
    """[1, 2, 1] x [1, 2, 1] / 16 on every channel, zeros outside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0])
        kernel = (torch.outer(line, line) / 16).expand(width, 1, 3, 3)
        self.register_buffer("weight", kernel.clone())
        self.register_buffer("weight_flip", kernel.clone())  # for its gradient; it is symmetric, and in the file
        self.weight: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, padding=1, groups=len(self.weight))


class MSDilate(nn.Module):
    """Four neighbourhoods of different reach, added to the features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = two_convs(width, width, 4), two_convs(width, width, 3)
        self.conv3, self.conv4 = two_convs(width, width, 2), two_convs(width, width, 1)
        self.convi = spectral_conv(4 * width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        found = torch.cat([self.conv1(x), self.conv2(x), self.conv3(x), self.conv4(x)], dim=1)
        return x + self.convi(found)  # type: ignore[no-any-return]


class GuidedUp(nn.Module):
    """Doubles a map that is scaled and shifted by what the guide, features of the same size, says."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        # 0.2 * 0.2: the authors' code applies the leaky ReLU twice.
        self.conv1 = nn.Sequential(Blur(inputs), spectral_conv(inputs, outputs, 3), nn.LeakyReLU(0.04, inplace=True))
        self.ShiftModel1 = two_convs(inputs, outputs).append(nn.Sigmoid())
        self.ScaleModel1 = two_convs(inputs, outputs)
        self.convup = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            spectral_conv(outputs, outputs, 3),
            nn.LeakyReLU(0.2, inplace=True),
        )

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        h = torch.addcmul(self.ShiftModel1(guide), self.conv1(x), self.ScaleModel1(guide))
        return self.convup(h)  # type: ignore[no-any-return]


class ResBlock(nn.Module):
    """Two plain convolutions, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.Model = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.Model(x)  # type: ignore[no-any-return]


class DFDNet(nn.Module):
    """``forward(x, boxes, dictionary)``: (B, 3, 512, 512) RGB in [-1, 1] -> the same, restored, in [-1, 1].

    ``boxes``: for each face, those of ``landmarks.face_boxes``. ``width``: channels of the first convolution of VGG
    and of the last of the decoder. ``classifier``: whether VGG's, which is not used, is there.
    """

    def __init__(self, width: int = 64, classifier: bool = True) -> None:
        super().__init__()
        self.VggExtract = VggExtract(width)
        if not classifier:
            del self.VggExtract.model.classifier
        widths = [width * min(512 // size, 8) for size in SCALES]
        for size, channels in zip(SCALES, widths, strict=True):
            for short in SHORT.values():
                self.add_module(f"{short}_{size}", two_convs(channels, channels))
        self.MSDilate = MSDilate(widths[-1])
        for i, (a, b) in enumerate(pairwise([*reversed(widths), width])):
            self.add_module(f"up{i}", GuidedUp(a, b))
            # Not used at inference.
            first = spectral_conv(b, b, 3)
            self.add_module(f"to_rgb{i}", nn.Sequential(first, nn.LeakyReLU(0.2), spectral_conv(b, 3, 3)))
        self.up4 = nn.Sequential(
            spectral_conv(width, width, 3),
            nn.LeakyReLU(0.2, inplace=True),
            ResBlock(width),
            ResBlock(width),
            nn.Conv2d(width, 3, 3, padding=1),
            nn.Tanh(),
        )

    def drop_unused(self) -> None:
        """Free the parts of the released file that inference does not need, half of its numbers."""
        for i in range(4):
            delattr(self, f"to_rgb{i}")
        if hasattr(self.VggExtract.model, "classifier"):
            del self.VggExtract.model.classifier

    def forward(self, x: Tensor, boxes: Sequence[Mapping[str, Box]], dictionary: Dictionary) -> Tensor:
        features = self.VggExtract(x)
        h = self.MSDilate(features[-1])
        for i, (size, feature) in enumerate(reversed(list(zip(SCALES, features, strict=True)))):
            h = self.get_submodule(f"up{i}")(h, self.improve(size, feature, boxes, dictionary))
        return self.up4(h)  # type: ignore[no-any-return]

    def improve(self, size: int, feature: Tensor, boxes: Sequence[Mapping[str, Box]], dictionary: Dictionary) -> Tensor:
        """``feature`` (B, C, size, size) with the parts of every face improved by the dictionary."""
        improved = feature.clone()
        for face, own in enumerate(boxes):
            for part, short in SHORT.items():  # where parts overlap, the later one stays
                x0, y0, x1, y1 = scaled(own[part], size)
                crop = feature[face, :, y0:y1, x0:x1]
                swap = dictionary.swap(part, size, crop).to(crop.dtype)
                trust = self.get_submodule(f"{short}_{size}")((swap - crop)[None])[0]
                improved[face, :, y0:y1, x0:x1] = torch.addcmul(crop, trust, swap)
        return improved
