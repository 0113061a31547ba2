"""ArcFace's chip of 112 pixels, which ArcFace, SFace and AdaFace were trained on, cut from an aligned crop.

The cut is fixed, not a new detection: it works however degraded the crop is, and a face before and after restoration
is compared in the same frame. Importing this loads numpy only.
"""

from __future__ import annotations

import numpy as np

from likeness.faces.geometry import compose, resize_transform, similarity_transform, warp
from likeness.faces.identity import check_crops
from likeness.faces.template import FFHQ_TEMPLATE

CHIP_SIDE = 112

# Left eye, right eye, nose, left and right mouth corner (left as seen in the picture): Deng, Guo, Xue, Zafeiriou,
# "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019, by the authors' alignment.
ARCFACE_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
ARCFACE_TEMPLATE.setflags(write=False)

# From the 512 frame to the chip. The two templates are not similar figures: what the least squares leave is up to 2.5
# pixels of the chip (a mouth that is narrower and higher), as the authors' alignment leaves it for such a face.
FFHQ_TO_ARCFACE = similarity_transform(FFHQ_TEMPLATE, ARCFACE_TEMPLATE)
FFHQ_TO_ARCFACE.setflags(write=False)


def arcface_chips(crops: np.ndarray, side: int = CHIP_SIDE) -> np.ndarray:
    """(B, 512, 512, 3) float32 RGB in [0, 1], aligned -> (B, side, side, 3) float32 RGB in [0, 1].

    Other sides than 112 show the same part of the face. Areas are averaged, so that fine patterns do not alias; the
    authors' alignment, which samples a photo bilinearly, is left to the metric. Raises ValueError for other shapes or
    types, and for crops that are not finite.
    """
    check_crops(crops)
    factor = side / CHIP_SIDE
    transform = compose(resize_transform(factor, factor), FFHQ_TO_ARCFACE)
    chips = np.empty((len(crops), side, side, 3), dtype=np.float32)
    for chip, crop in zip(chips, crops, strict=True):
        chip[...] = warp(crop, transform, side, side)
    return chips
