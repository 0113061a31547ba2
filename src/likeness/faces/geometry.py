"""Similarity transforms, and pulling an aligned crop out of a photo without aliasing."""

from __future__ import annotations

import numpy as np

from likeness.faces.template import CROP_SIZE

_CUBIC_REACH = 3  # source pixels a cubic kernel may read beyond a point, with one to spare


def similarity_transform(source: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Least-squares similarity (rotation, one scale, shift; never a reflection) from source to target points.

    source, target: (N, 2) points, N >= 2, finite, not all the same. weights: (N,) positive trust in each
    point, equal by default. Returns (2, 3) float64 `[sR | t]`.
    Raises ValueError for other shapes, for points that are not finite, and for coinciding points.
    Source: S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    PAMI 1991, eq. 40-43, for two dimensions.
    """
    source = np.asarray(source, dtype=np.float64)
    target = np.asarray(target, dtype=np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[0] < 2 or source.shape[1] != 2:
        raise ValueError(f"points must be two (N, 2) arrays with N >= 2, got {source.shape} and {target.shape}")
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise ValueError("points must be finite")
    share = np.ones(len(source)) if weights is None else np.asarray(weights, dtype=np.float64)
    if share.shape != (len(source),) or not np.isfinite(share).all() or share.min() <= 0.0:
        raise ValueError(f"weights must be {len(source)} positive numbers, got {share.tolist()}")
    share = share / share.sum()
    source_mean, target_mean = share @ source, share @ target
    a, b = source - source_mean, target - target_mean
    variance = float(share @ (a**2).sum(axis=1))
    if variance <= 1e-12 or float((b**2).sum()) <= 1e-12:
        raise ValueError("points coincide: no similarity transform is defined")
    # In the plane, the best rotation and scale are one complex division: no SVD and no reflection case.
    cosine = float(share @ (a * b).sum(axis=1)) / variance
    sine = float(share @ (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])) / variance
    linear = np.array([[cosine, -sine], [sine, cosine]])
    if np.hypot(cosine, sine) <= 1e-12:
        raise ValueError("points have no similarity in common")
    return np.hstack([linear, (target_mean - linear @ source_mean)[:, None]])


def apply_transform(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map (N, 2) points through a (2, 3) affine transform; returns (N, 2) float64."""
    return np.asarray(np.asarray(points, dtype=np.float64) @ transform[:, :2].T + transform[:, 2])


def invert_transform(transform: np.ndarray) -> np.ndarray:
    """Inverse of a (2, 3) affine transform, as (2, 3) float64. Raises LinAlgError if singular."""
    linear = np.linalg.inv(transform[:, :2])
    return np.hstack([linear, (-linear @ transform[:, 2])[:, None]])


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The (2, 3) transform that applies `first`, then `second`."""
    linear = second[:, :2] @ first[:, :2]
    return np.hstack([linear, (second[:, :2] @ first[:, 2] + second[:, 2])[:, None]])


def resize_transform(x: float, y: float) -> np.ndarray:
    """(2, 3) transform of a resize by the factors x, y: pixel *edges* stay on edges, as in cv2.resize."""
    return np.array([[x, 0.0, 0.5 * x - 0.5], [0.0, y, 0.5 * y - 0.5]])


def enlarged(transform: np.ndarray, scale: float) -> np.ndarray:
    """The (2, 3) transform of the same face in a photo that was enlarged ``scale`` times."""
    return compose(transform, resize_transform(1.0 / scale, 1.0 / scale))


def transform_scale(transform: np.ndarray) -> float:
    """Target pixels for each source pixel of a (2, 3) similarity."""
    return float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))


def frame_bounds(transform: np.ndarray, width: int, height: int, margin: float) -> tuple[int, int, int, int]:
    """Whole-pixel bounds (x0, y0, x1, y1; ends excluded) of a width x height frame mapped through
    `transform`.

    The frame runs from -0.5 to width - 0.5, -0.5 to height - 0.5; `margin` pixels are added on each side.
    """
    right, bottom = width - 0.5, height - 0.5
    corners = apply_transform(transform, np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]]))
    x0, y0 = np.floor(corners.min(axis=0) - margin).astype(int)
    x1, y1 = np.ceil(corners.max(axis=0) + margin).astype(int) + 1
    return int(x0), int(y0), int(x1), int(y1)


def _mirrored(start: int, stop: int, length: int) -> np.ndarray:
    """Indices start..stop-1 folded into 0..length-1, as in BORDER_REFLECT_101."""
    if length == 1:
        return np.zeros(stop - start, dtype=np.intp)
    period = 2 * (length - 1)
    index = np.arange(start, stop) % period
    return np.asarray(np.where(index < length, index, period - index))


def _region(pixels: np.ndarray, bounds: tuple[int, int, int, int]) -> np.ndarray:
    """pixels[y0:y1, x0:x1] where the photo goes on, mirrored, beyond its borders."""
    x0, y0, x1, y1 = bounds
    height, width = pixels.shape[:2]
    if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
        return pixels[y0:y1, x0:x1]
    rows, columns = _mirrored(y0, y1, height), _mirrored(x0, x1, width)
    return np.asarray(pixels[rows[:, None], columns[None, :]])


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """uint8, uint16 or float32 pixels as float32 in [0, 1] (float32 is taken as it is).

    Raises ValueError for other types.
    """
    if pixels.dtype == np.float32:
        return pixels
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    raise ValueError(f"pixels must be uint8, uint16 or float32, got {pixels.dtype}")


def check_pixels(pixels: np.ndarray) -> None:
    """Raise ValueError unless pixels is a (H, W, 3) array with at least one pixel."""
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(f"pixels must be (H, W, 3), got {pixels.shape}")


def shrink(image: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a float32 image to about `scale` (<= 1) by area averaging.

    Returns the smaller image and the (2, 3) transform from the old to the new pixels (whole pixels make the
    factor differ a little from `scale`).
    """
    import cv2

    height, width = image.shape[:2]
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    if scale >= 1.0 or (new_width, new_height) == (width, height):
        return image, resize_transform(1.0, 1.0)
    small = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_AREA)
    return small, resize_transform(new_width / width, new_height / height)


def warp(pixels: np.ndarray, transform: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resample the part of a photo that `transform` maps to a width x height frame.

    pixels: (H, W, 3) uint8, uint16, or float32 in [0, 1]. transform: (2, 3) similarity, photo -> frame.
    Returns (height, width, 3) float32 in [0, 1]. A reduction averages over areas first, so fine patterns turn
    grey instead of aliasing; the rest is cubic. Beyond the borders the photo is mirrored (reflect 101).
    Reads only the region needed. Raises ValueError for other shapes or types.
    """
    import cv2

    check_pixels(pixels)
    scale = transform_scale(transform)
    bounds = frame_bounds(invert_transform(transform), width, height, _CUBIC_REACH * max(1.0, 1.0 / scale))
    region = to_unit(_region(pixels, bounds))
    offset = np.array([[1.0, 0.0, bounds[0]], [0.0, 1.0, bounds[1]]])
    remaining = compose(transform, offset)
    region, shrunk = shrink(region, scale)
    remaining = compose(remaining, invert_transform(shrunk))
    crop = cv2.warpAffine(region, remaining, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.clip(crop, 0.0, 1.0)


def crop_face(pixels: np.ndarray, transform: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """The aligned crop of one face.

    pixels: (H, W, 3) uint8, uint16, or float32 in [0, 1]. transform: (2, 3) similarity, photo pixel -> pixel
    of the 512 frame (`Face.transform`). size: side of the crop; other sizes show the same part of the photo.
    Returns (size, size, 3) float32 in [0, 1]. Cubic when it enlarges, area-averaged when it reduces, mirrored
    beyond the photo. The cost grows with the face, not with the photo. Raises ValueError for other shapes.
    """
    factor = size / CROP_SIZE
    return warp(pixels, compose(resize_transform(factor, factor), transform), size, size)
