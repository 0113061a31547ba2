"""The 512 face frame: where facial points lie in an aligned crop. Constants only, all read-only.

Pixel coordinates have their origin at the centre of the top left pixel, x to the right, y down, as in OpenCV.
"Left" and "right" are as seen in the picture.
"""

from __future__ import annotations

import numpy as np


def _constant(rows: list[list[float]] | list[float]) -> np.ndarray:
    array = np.array(rows, dtype=np.float64)
    array.setflags(write=False)
    return array


CROP_SIZE = 512

# Left eye, right eye, nose tip, left and right mouth corner: the FFHQ/facexlib template.
FFHQ_TEMPLATE = _constant([[192.98, 239.95], [318.90, 240.19], [256.63, 314.02], [201.26, 371.41], [313.09, 371.15]])

# The constants below are measured by benchmarks/face_template.py on 305 aligned photographs.

# dlib's five points: right eye outer, inner corner; left eye outer, inner corner; nose base.
DLIB5_TEMPLATE = _constant([[342.2, 243.8], [292.1, 246.4], [169.5, 243.5], [219.1, 246.4], [254.4, 335.6]])

# Trust in each of them when aligning: the nose base moves most with the turn of the head (std 7 px, eyes 2.5
# px).
DLIB5_WEIGHTS = _constant([1.0, 1.0, 1.0, 1.0, 0.3])

# x0, y0, x1, y1 (ends exclusive) of the box that dlib's frontal detector draws around an aligned face.
DLIB_BOX = (95, 164, 406, 475)

# Similarity from the 512 frame to the 150-pixel chip (padding 0.25) that dlib's recognition network expects.
CHIP_TRANSFORM = _constant([[0.43046, 0.00293, -37.194], [-0.00293, 0.43046, -57.657]])
