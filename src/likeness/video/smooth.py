"""Calm what trembles: the alignment of a face over time, and its restored crop.

Where a face is, is known twice: the detector says it in the picture's own frame, but trembles; the flow from frame to
frame is exact to a fraction of a pixel, but drifts. So the difference of the two, which is slow, is smoothed, with as
much of the future as of the past: the alignment has no lag, however fast the face moves.

Source of the smoother: W. S. Cleveland, "Robust Locally Weighted Regression and Smoothing Scatterplots", JASA 1979
(local lines, bisquare weights), with a Gaussian of time.
"""

from __future__ import annotations

import math

import numpy as np

from likeness.faces import CROP_SIZE
from likeness.faces.geometry import apply_transform, invert_transform

SIGMA = 0.4  # seconds, of the smoother
FINE = 0.04  # seconds, of a last one against the flow's own noise of some hundredths of a pixel
FIT = 0.35  # pixels of the video, see `fitted`
GATE_SIGMA = 12.0  # pixels of the 512 frame over which a change of the input is looked for
GATE = 0.02  # a change of the input's colour (of [0, 1]) at which little of the frame before is left


def local_lines(times: np.ndarray, values: np.ndarray, at: np.ndarray, sigma: float, robust: bool = True) -> np.ndarray:
    """The smoothed values (M, D) at times ``at`` (M,), from values (N, D) at increasing times (N,), N >= 1.

    At each time a line is fitted by least squares with the weights exp(-(dt / sigma)^2 / 2); if ``robust`` twice: the
    second time a value far from the first fit (6 times the median distance, Cleveland 1979) counts for nothing.
    Symmetric in time; lines stay lines. Beyond the ends, and in gaps wider than the Gaussian, the nearest values hold.
    """
    trust = np.ones(len(times))
    for last in (False, True) if robust else (True,):
        wanted = at if last else times
        fitted = np.empty((len(wanted), values.shape[1]))
        for i, t in enumerate(wanted):
            lo, hi = np.searchsorted(times, [t - 3 * sigma, t + 3 * sigma])
            if hi - lo < 1:
                near = int(np.argmin(np.abs(times - t)))
                lo, hi = near, near + 1
            away = times[lo:hi] - t
            w = trust[lo:hi] * np.exp(-0.5 * ((away / sigma) ** 2 - float(np.min((away / sigma) ** 2)))) + 1e-12
            w /= w.sum()
            mean = float(w @ away)
            spread = float(w @ (away - mean) ** 2)
            level = w @ values[lo:hi]
            if spread > (0.2 * sigma) ** 2 and times[lo] <= t <= times[hi - 1]:
                level = level - mean * ((w * (away - mean)) @ values[lo:hi]) / spread
            fitted[i] = level
        if last:
            break
        distance = np.abs(values - fitted).max(axis=1)
        reach = 6.0 * max(float(np.median(distance)), 1e-4)
        trust = np.clip(1 - (distance / reach) ** 2, 0, None) ** 2
    return fitted


def steadied(times: np.ndarray, path: np.ndarray, found: np.ndarray, sigma: float = SIGMA) -> np.ndarray:
    """The alignment of one face: (N, 4) ``parameters`` for each of its frames.

    times: (N,) seconds. path: (N, 4) where the flow says it is, from an arbitrary beginning. found: (N, 4) where the
    detector says it is, rows of NaN where it says nothing; one row at least is not. sigma 0: as detected, only
    what lies between from the flow.
    """
    unit = np.ones(path.shape)
    unit[:, :2] = np.exp(path[:, 2:3])  # positions in widths of the face, so that all four are alike
    seen = np.isfinite(found[:, 0])
    apart = (found[seen] - path[seen]) / unit[seen]
    if sigma:
        values = path + unit * local_lines(times[seen], apart, times, sigma)
        side = math.exp(float(values[:, 2].mean()))
        alike = np.array([side, side, 1.0, 1.0])
        return np.asarray(local_lines(times, values / alike, times, FINE, robust=False) * alike)
    rows = [np.interp(times, times[seen], column) for column in apart.T]
    return np.asarray(path + unit * np.stack(rows, axis=1))


def parameters(transform: np.ndarray) -> np.ndarray:
    """A similarity photo -> 512 frame as (x, y, log side, angle): the face's centre and the side of its square in
    photo pixels, and its turn in radians."""
    back = invert_transform(transform)
    x, y = apply_transform(back, np.array([[(CROP_SIZE - 1) / 2] * 2]))[0]
    side = math.hypot(back[0, 0], back[1, 0]) * CROP_SIZE
    return np.array([x, y, math.log(side), math.atan2(back[1, 0], back[0, 0])])


def from_parameters(values: np.ndarray) -> np.ndarray:
    """The similarity of these ``parameters``."""
    x, y, log_side, angle = (float(v) for v in values)
    factor = math.exp(log_side) / CROP_SIZE
    c, s = factor * math.cos(angle), factor * math.sin(angle)
    middle = (CROP_SIZE - 1) / 2
    back = np.array([[c, -s, x - (c - s) * middle], [s, c, y - (s + c) * middle]])
    return invert_transform(back)


def fitted(restored: np.ndarray, scale: float) -> np.ndarray:
    """The restored crop without what is finer than the pixels of the video, ``scale`` pixels of the crop each.

    (512, 512, 3) float32 -> the same. Such detail would come and go with the place of the pixels on the moving face:
    it was the largest part of the flicker. A Gaussian that widens a pixel of the video by 0.35 pixels; as it is when
    the video shows the face as large as the crop or larger.
    """
    import cv2

    if scale <= 1.0:
        return restored
    return np.asarray(cv2.GaussianBlur(restored, (0, 0), FIT * math.sqrt(scale**2 - 1)))


def gate(crop: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Where the input crop stayed as it was: (512, 512, 3) twice -> (512, 512, 1) float32, 1 (the same) to 0 (changed).

    Both are blurred first, so that noise does not count as change and motion does: exp(-(d / 0.02)^2) of the largest
    difference of a channel.
    """
    import cv2

    small = cv2.resize(crop - before, (128, 128), interpolation=cv2.INTER_AREA)
    change = np.abs(cv2.GaussianBlur(small, (0, 0), GATE_SIGMA / 4)).max(axis=2)
    weight = cv2.resize(np.exp(-((change / GATE) ** 2)), crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(weight[..., None], np.float32)


def blend(restored: np.ndarray, last: np.ndarray, weight: np.ndarray, share: float) -> np.ndarray:
    """The restored crop with up to ``share`` of the last blended one where ``weight`` says nothing moved."""
    return np.asarray(restored + np.float32(share) * weight * (last - restored), np.float32)
