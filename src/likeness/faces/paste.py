"""Put a restored crop back: add what the restoration changed, and only where the face is."""

from __future__ import annotations

import numpy as np

from likeness.faces.geometry import (
    compose,
    frame_bounds,
    invert_transform,
    shrink,
    transform_scale,
)
from likeness.faces.template import CROP_SIZE

_GRID = 64  # the seam correction is computed on a 64 x 64 grid: it has no finer structure
_SEAM_SIGMA = 80.0 * _GRID / CROP_SIZE  # its smoothness: 80 pixels of the 512 frame


def paste_face(
    pixels: np.ndarray,
    crop: np.ndarray,
    restored: np.ndarray,
    transform: np.ndarray,
    mask: np.ndarray,
    *,
    strength: float = 1.0,
) -> tuple[int, int, int, int]:
    """Add the masked difference restored - crop to a photo, in place.

        pixels += strength * warp(mask * (restored - crop - seam))        rounded, clipped

    Only the difference travels: detail of the photo finer than the crop survives, and restored == crop leaves
    every pixel as it was. `seam` is a very smooth field (see `seam_offset`) that makes both agree in colour
    where the mask falls. Where the photo holds the face smaller than the crop, the difference is
    area-averaged first.

    pixels: (H, W, 3) uint8 or uint16, writable, edited in place. crop, restored: (512, 512, 3) float32 in [0,
    1], what went into the network and what came out. transform: (2, 3) similarity, photo pixel -> 512 frame.
    mask: (512, 512) float32 in [0, 1], 0 along its border. strength: share of the change, 0 to 1.
    Returns the rectangle (x0, y0, x1, y1; ends exclusive) outside of which no pixel changed; empty (x0 == x1
    or y0 == y1) if the face lies outside of the photo. Cost and memory grow with the face, not with the
    photo. Raises ValueError for other shapes, types or ranges.
    """
    import cv2

    _check(pixels, crop, restored, mask, strength)
    residual = restored - crop
    residual -= seam_offset(residual, mask)
    residual *= (mask * np.float32(strength))[..., None]

    x0, y0, x1, y1 = _landing(pixels, transform)
    if x0 == x1 or y0 == y1:
        return x0, y0, x0, y0
    residual, to_region = _towards(residual, transform, x0, y0)
    change = cv2.warpAffine(
        residual, to_region, (x1 - x0, y1 - y0), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT
    )
    full = float(np.iinfo(pixels.dtype).max)
    region = pixels[y0:y1, x0:x1]
    change = change * np.float32(full)
    change += region
    np.rint(change, out=change)
    np.clip(change, 0.0, full, out=change)
    region[...] = change.astype(pixels.dtype)
    return x0, y0, x1, y1


def replace_pixels(pixels: np.ndarray, restored: np.ndarray, transform: np.ndarray, where: np.ndarray) -> None:
    """Replace exactly the photo's pixels ``where`` (H, W) bool says so, in place; every other one stays as it is.

    pixels, restored, transform: as in `paste_face`; pixels outside of the crop's frame stay, too. Where the photo
    holds the face smaller than the crop, the crop is area-averaged first. Raises ValueError for other shapes.
    """
    import cv2

    if where.shape != pixels.shape[:2] or where.dtype != np.bool_:
        raise ValueError(f"where must be {pixels.shape[:2]} bool, got {where.shape} {where.dtype}")
    x0, y0, x1, y1 = _landing(pixels, transform)
    if x0 == x1 or y0 == y1:
        return
    small, to_region = _towards(restored, transform, x0, y0)
    size = (x1 - x0, y1 - y0)
    filled = cv2.warpAffine(small, to_region, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    ones = np.ones(small.shape[:2], np.float32)
    inside = cv2.warpAffine(ones, to_region, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT) > 0
    full = float(np.iinfo(pixels.dtype).max)
    region, chosen = pixels[y0:y1, x0:x1], where[y0:y1, x0:x1] & inside
    region[chosen] = np.rint(np.clip(filled[chosen], 0.0, 1.0) * full).astype(pixels.dtype)


def _landing(pixels: np.ndarray, transform: np.ndarray) -> tuple[int, int, int, int]:
    """The rectangle of the photo that the 512 frame falls on; empty when it lies outside."""
    height, width = pixels.shape[:2]
    bounds = frame_bounds(invert_transform(transform), CROP_SIZE, CROP_SIZE, 1.0)
    x0, x1 = (min(max(value, 0), width) for value in (bounds[0], bounds[2]))
    y0, y1 = (min(max(value, 0), height) for value in (bounds[1], bounds[3]))
    return x0, y0, x1, y1


def _towards(crop: np.ndarray, transform: np.ndarray, x0: int, y0: int) -> tuple[np.ndarray, np.ndarray]:
    """The crop, reduced if the photo holds the face smaller, and the transform from it to the region at (x0, y0)."""
    small, shrunk = shrink(crop, 1.0 / transform_scale(transform))
    back = compose(invert_transform(transform), invert_transform(shrunk))
    return small, compose(np.array([[1.0, 0.0, -x0], [0.0, 1.0, -y0]]), back)


def seam_offset(residual: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The smooth colour difference in the band where the mask falls, carried over the whole crop.

    residual: (512, 512, 3) float32. mask: (512, 512) float32. Returns (512, 512, 3) float32.
    Normalised convolution (Knutsson and Westin, CVPR 1993) of the residual with weights mask * (1 - mask) and
    a Gaussian of 80 pixels: at the band it follows the local difference, inside it is the mean of the nearest
    band. A constant shift gives that constant. Zero if the mask has no soft band.
    """
    import cv2

    weight = mask * (1.0 - mask)
    size = (_GRID, _GRID)
    small_weight = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    if float(small_weight.sum()) <= 1e-6:
        return np.zeros_like(residual)
    small = cv2.resize(residual * weight[..., None], size, interpolation=cv2.INTER_AREA)
    mean = small.sum(axis=(0, 1)) / small_weight.sum()
    # A trace of the overall mean keeps the quotient defined far from the band.
    trace = np.float32(1e-5)
    above = _blur(small) + trace * mean
    below = _blur(small_weight) + trace
    field = above / below[..., None]
    return np.asarray(cv2.resize(field, residual.shape[1::-1], interpolation=cv2.INTER_LINEAR))


def _blur(grid: np.ndarray) -> np.ndarray:
    """Gaussian blur without contribution from beyond the crop."""
    import cv2

    return np.asarray(cv2.GaussianBlur(grid, (0, 0), _SEAM_SIGMA, borderType=cv2.BORDER_CONSTANT))


def _check(pixels: np.ndarray, crop: np.ndarray, restored: np.ndarray, mask: np.ndarray, strength: float) -> None:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels must be (H, W, 3) uint8 or uint16, got {pixels.shape} {pixels.dtype}")
    for name, array, shape in (
        ("crop", crop, (CROP_SIZE, CROP_SIZE, 3)),
        ("restored", restored, (CROP_SIZE, CROP_SIZE, 3)),
        ("mask", mask, (CROP_SIZE, CROP_SIZE)),
    ):
        if array.shape != shape or array.dtype != np.float32:
            raise ValueError(f"{name} must be {shape} float32, got {array.shape} {array.dtype}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has values that are not finite")
    if mask.min() < 0.0 or mask.max() > 1.0:
        raise ValueError(f"mask must be in [0, 1], got {mask.min()} to {mask.max()}")
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength must be in [0, 1], got {strength}")
