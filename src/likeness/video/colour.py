"""Between the planes of a video and RGB, and back by what changed.

A restored face travels back as a difference: planes += matrix (RGB after - RGB before). So every sample that no face
touches is the decoder's, to the last bit, and nothing is lost to a conversion there and back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Kr and Kb by the number of the matrix in ITU-T H.273, table 4.
_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
UNSPECIFIED, FULL = 2, 2  # of matrix, primaries and transfer; of the range
_HD = 720  # lines from which untagged video is taken for BT.709, as players do


@dataclass(frozen=True)
class Colour:
    """Colour tags as in ITU-T H.273 (numbers, 2: unspecified; range 2: full), and what the samples are.

    bits: 8 or 10. shift: (x, y), log2 of the chroma subsampling. grey: there is no chroma.
    """

    matrix: int
    full: bool
    primaries: int
    transfer: int
    range_tag: int
    bits: int
    shift: tuple[int, int]
    grey: bool

    def weights(self, height: int) -> tuple[float, float]:
        """Kr, Kb; for a matrix that is not tagged, or that we do not know, by the height of the picture."""
        return _WEIGHTS.get(self.matrix, _WEIGHTS[1 if height >= _HD else 5])


def matrices(colour: Colour, height: int) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) float32 from RGB in [0, 1] to Y, Cb, Cr in sample steps, and the offset (3,) that is added.

    ITU-T H.273, equations 38-40 and 26-31.
    """
    red, blue = colour.weights(height)
    luma = np.array([red, 1 - red - blue, blue])
    cb = (np.array([0, 0, 1]) - luma) / (2 * (1 - blue))
    cr = (np.array([1, 0, 0]) - luma) / (2 * (1 - red))
    steps = 2.0 ** (colour.bits - 8)
    top = 2.0**colour.bits - 1
    luma_scale, chroma_scale, low = (top, top, 0.0) if colour.full else (219 * steps, 224 * steps, 16 * steps)
    matrix = np.stack([luma * luma_scale, cb * chroma_scale, cr * chroma_scale])
    return matrix.astype(np.float32), np.array([low, 128 * steps, 128 * steps], np.float32)


def to_rgb(planes: list[np.ndarray], colour: Colour) -> np.ndarray:
    """Planes of uint8 or uint16 (H, W), chroma perhaps smaller -> (H, W, 3) RGB, uint8, or uint16 for 10 bits."""
    import cv2

    height, width = planes[0].shape
    matrix, offset = matrices(colour, height)
    full = 255.0 if colour.bits == 8 else 65535.0
    dtype = np.uint8 if colour.bits == 8 else np.uint16
    if colour.grey:
        grey = (planes[0].astype(np.float32) - offset[0]) * (full / float(matrix[0].sum()))
        return np.repeat(np.rint(grey.clip(0, full)).astype(dtype)[..., None], 3, axis=2)
    ycc = np.empty((height, width, 3), np.float32)
    ycc[..., 0] = planes[0]
    for k in (1, 2):
        plane = planes[k].astype(np.float32)
        ycc[..., k] = plane if plane.shape == (height, width) else _enlarge(plane, colour, height, width)
    ycc -= offset
    rgb = cv2.transform(ycc, (np.linalg.inv(matrix.astype(np.float64)) * full).astype(np.float32))
    np.rint(rgb, out=rgb)
    np.clip(rgb, 0, full, out=rgb)
    return np.asarray(rgb.astype(dtype))


def _enlarge(plane: np.ndarray, colour: Colour, height: int, width: int) -> np.ndarray:
    import cv2

    x, y = colour.shift
    size = (plane.shape[1] << x, plane.shape[0] << y)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)[:height, :width])


def add_change(
    planes: list[np.ndarray],
    before: np.ndarray,
    after: np.ndarray,
    colour: Colour,
    box: tuple[int, int, int, int],
) -> None:
    """Add to the planes, in place, what changed from RGB ``before`` to ``after`` (H, W, 3) within box (x0, y0, x1, y1).

    Chroma changes are averaged over the pixels that share a sample. Where RGB did not change, no sample does.
    """
    import cv2

    height, width = planes[0].shape
    sx, sy = 1 << colour.shift[0], 1 << colour.shift[1]
    x0, y0 = box[0] // sx * sx, box[1] // sy * sy
    x1, y1 = min(-(-box[2] // sx) * sx, width), min(-(-box[3] // sy) * sy, height)
    if x1 <= x0 or y1 <= y0:
        return
    full = float(np.iinfo(before.dtype).max)
    change = (after[y0:y1, x0:x1].astype(np.float32) - before[y0:y1, x0:x1]) / np.float32(full)
    matrix, _ = matrices(colour, height)
    ycc = cv2.transform(change, matrix)
    top = 2**colour.bits - 1
    _add(planes[0][y0:y1, x0:x1], ycc[..., 0], top)
    if colour.grey:
        return
    pad = ((0, -(y1 - y0) % sy), (0, -(x1 - x0) % sx))
    for k in (1, 2):
        delta = np.pad(ycc[..., k], pad, mode="edge")
        rows, columns = delta.shape[0] // sy, delta.shape[1] // sx
        delta = delta.reshape(rows, sy, columns, sx).mean(axis=(1, 3))
        _add(planes[k][y0 // sy : y0 // sy + rows, x0 // sx : x0 // sx + columns], delta, top)


def _add(plane: np.ndarray, delta: np.ndarray, top: int) -> None:
    plane[...] = np.rint(np.clip(plane + delta, 0, top)).astype(plane.dtype)
