"""NIQE: how unlike pristine pictures one looks, without a truth.

Mittal, Soundararajan, Bovik: Making a "Completely Blind" Image Quality Analyzer, IEEE Signal Processing Letters 2013.
The steps are those of the published scripts: MATLAB's of the authors, but with the luma of BasicSR (VQFR, PMRF).

A score belongs to its model of pristine pictures. ``builtin_model`` is ours, fitted on crisp synthetic faces: its
scores compare restorations with one another and are *not* comparable with published ones. Those need the published
model: ``NiqeModel.read`` of BasicSR's ``niqe_pris_params.npz`` or the authors' ``modelparameters.mat``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import gamma
from pathlib import Path
from typing import NamedTuple

import numpy as np

from likeness.measure.matlab import read_matlab
from likeness.photo.atomic import atomic_path
from likeness.weights.errors import WeightsError

BLOCK = 96  # pixels of a block's side; half of it at the second scale
FEATURES = 36  # 18 at each of two scales
SHARP = 0.75  # pristine blocks have more than this share of the picture's largest mean deviation
_WINDOW, _SIGMA = 7, 7 / 6
_NOISE = 1e-9  # normalised values nearer to 0 than this are rounding errors of flat parts
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows and columns to the neighbours
_KEYS = {  # mean and covariance in our files, BasicSR's and the authors'
    "mean": ("mean", "mu_pris_param", "mu_prisparam"),
    "covariance": ("covariance", "cov_pris_param", "cov_prisparam"),
}


@dataclass(frozen=True, eq=False)
class NiqeModel:
    """The Gaussian of pristine blocks' features: ``mean`` (36,), ``covariance`` (36, 36), float64, and its ``source``.

    Raises ValueError for other shapes, numbers that are not finite, and a matrix that is no covariance.
    """

    mean: np.ndarray
    covariance: np.ndarray
    source: str

    def __post_init__(self) -> None:
        for name, shape in (("mean", (FEATURES,)), ("covariance", (FEATURES, FEATURES))):
            values = np.array(getattr(self, name), np.float64)
            if values.shape != shape:
                raise ValueError(f"the {name} of a NIQE model must be {shape}, got {values.shape}")
            if not np.isfinite(values).all():
                raise ValueError(f"the {name} of a NIQE model must be finite")
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        largest = float(np.abs(self.covariance).max())
        if np.abs(self.covariance - self.covariance.T).max() > 1e-6 * largest:
            raise ValueError("the covariance of a NIQE model must be symmetric")
        if (least := float(np.linalg.eigvalsh(self.covariance)[0])) < -1e-6 * largest:
            raise ValueError(f"the covariance of a NIQE model has no negative eigenvalues, got {least:.3g}")
        if not self.source.strip():
            raise ValueError("a NIQE model must say its source")

    @classmethod
    def fit(cls, pictures: Iterable[np.ndarray], source: str) -> NiqeModel:
        """The model of pristine ``pictures``, each (H, W, 3) RGB in [0, 1] of at least 96 x 96; one is held at a time.

        Only sharp blocks count: those whose mean local deviation is above 0.75 of the largest of their picture (section
        II-B). Raises ValueError for a picture that does not fit and when fewer than 37 blocks are left.
        """
        features = [sharp_features(picture) for picture in pictures]
        return cls.of_features(np.concatenate([np.empty((0, FEATURES)), *features]), source)

    @classmethod
    def of_features(cls, features: np.ndarray, source: str) -> NiqeModel:
        """The model of pristine blocks' features (N, 36). Raises ValueError for fewer than 37 without NaN."""
        whole = _whole(features)
        if len(whole) <= FEATURES:  # a covariance of fewer has directions of no width
            raise ValueError(f"a NIQE model needs more than {FEATURES} sharp blocks, got {len(whole)}")
        return cls(np.nanmean(features, axis=0), np.cov(whole, rowvar=False), source)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> NiqeModel:
        """The model in ``path``: our .npz, BasicSR's ``niqe_pris_params.npz`` or the authors' ``modelparameters.mat``.

        The last needs scipy. Nothing is unpickled. Raises WeightsError, one line, for another or a damaged file.
        """
        path = Path(path)
        held = read_matlab(path) if path.suffix == ".mat" else _read_npz(path)
        found = {}
        for what, names in _KEYS.items():
            if (name := next((name for name in names if name in held), None)) is None:
                raise WeightsError(f"{path} is not a NIQE model: it has none of {', '.join(names)}")
            found[what] = held[name]
        if found["mean"].shape == (1, FEATURES):
            found["mean"] = found["mean"][0]
        try:
            return cls(found["mean"], found["covariance"], str(held.get("source", path.name)))
        except ValueError as error:
            raise WeightsError(f"{path} is not a NIQE model: {error}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write ``path`` (.npz), whole or not at all. Raises OSError."""
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, mean=self.mean, covariance=self.covariance, source=np.array(self.source))


@cache
def builtin_model() -> NiqeModel:
    """Our model, fitted by ``benchmarks/fit_niqe.py``; not comparable with published scores."""
    with resources.as_file(resources.files("likeness.measure") / "files" / "niqe_faces.npz") as path:
        return NiqeModel.read(path)


def niqe(picture: np.ndarray, model: NiqeModel, crop: int = 0) -> float:
    """(H, W, 3) float RGB in [0, 1] -> its distance from ``model``.

    Range [0, inf). higher_is_better: no. ``crop``: pixels left out at each border. What is left must have two blocks of
    96 x 96; rows and columns beyond the last whole block are not looked at. Published scripts measure pictures of 8
    bits. Raises ValueError for what does not fit and when fewer than two blocks have any texture.

    Source: section II-E. A block whose values lie on one side of 0 only has no spread on the other: as in the published
    scripts it is left out of the covariance, and of the mean of those features that it lacks.
    """
    if crop < 0:
        raise ValueError(f"crop must not be negative, got {crop}")
    plane = luma(picture)
    plane = plane[crop : plane.shape[0] - crop, crop : plane.shape[1] - crop]
    if (plane.shape[0] // BLOCK) * (plane.shape[1] // BLOCK) < 2:
        raise ValueError(f"NIQE needs two blocks of {BLOCK}x{BLOCK} pixels, got {plane.shape[0]}x{plane.shape[1]}")
    features = block_features(plane).features
    whole = _whole(features)
    if len(whole) < 2:
        raise ValueError(f"NIQE needs two blocks with texture, this picture has {len(whole)}")
    offset = np.nanmean(features, axis=0) - model.mean
    inverse = np.linalg.pinv((model.covariance + np.cov(whole, rowvar=False)) / 2)
    return float(np.sqrt(max(0.0, offset @ inverse @ offset)))


def luma(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) float RGB in [0, 1] -> (H, W) float64, Y of ITU-R BT.601 in [16, 235], rounded to whole numbers.

    Raises ValueError for another shape or range, or whole numbers.
    """
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture must be (H, W, 3), got {picture.shape}")
    if not np.issubdtype(picture.dtype, np.floating):
        raise ValueError(f"a picture must be of floats in [0, 1], got {picture.dtype}")
    if not (picture.size and picture.min() >= 0 and picture.max() <= 1):  # NaN too
        raise ValueError("a picture must have values in [0, 1]")
    return np.asarray(np.round(picture.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) + 16))


def halve(plane: np.ndarray) -> np.ndarray:
    """(H, W) with even sides -> (H / 2, W / 2): MATLAB's ``imresize(plane, 0.5)``.

    Bicubic, a = -0.5, the kernel widened twofold against aliasing; beyond the borders the picture is mirrored, its last
    row and column included. Raises ValueError for odd sides.
    """
    if plane.ndim != 2 or plane.shape[0] % 2 or plane.shape[1] % 2:
        raise ValueError(f"a plane to be halved must be (H, W) with even sides, got {plane.shape}")
    # The new pixel lies between two old ones; the cubic at 0.25, 0.75, 1.25 and 1.75, halved since it is twice as wide.
    half = np.array([111, 29, -9, -3]) / 256
    weights = np.concatenate([half[::-1], half])
    for _ in range(2):  # the columns, then the rows of what is by then transposed
        padded = np.pad(plane, ((0, 0), (3, 3)), mode="symmetric")
        size = plane.shape[1]
        plane = sum(weight * padded[:, tap : tap + size : 2] for tap, weight in enumerate(weights)).T
    return plane


def mscn(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) in [0, 255] -> its values without their local mean, over local deviation plus 1; and the deviation.

    Source: section II-A; a Gaussian window of 7 x 7, sigma 7/6, the border repeated.
    """
    import cv2

    def blur(a: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.GaussianBlur(a, (_WINDOW, _WINDOW), _SIGMA, borderType=cv2.BORDER_REPLICATE))

    mean = blur(plane)
    deviation = np.sqrt(np.abs(blur(plane * plane) - mean * mean))
    normalised = (plane - mean) / (deviation + 1)
    normalised[np.abs(normalised) < _NOISE] = 0  # else the features of a flat part are those of rounding errors
    return normalised, deviation


class AGGD(NamedTuple):
    """Asymmetric generalised Gaussians, (N,) each: shape, the scales left and right of 0, and mean."""

    alpha: np.ndarray
    left: np.ndarray
    right: np.ndarray
    mean: np.ndarray


def fit_aggd(samples: np.ndarray) -> AGGD:
    """Samples (N, count) -> the distribution of each row, by matching moments (Lasmar, Stitou, Berthoumieu, ICIP 2009).

    ``alpha`` is one of 0.2, 0.201, ... 10. Without samples on one side of 0 there is no scale (NaN) there, and
    ``alpha`` is 0.2, which is what the published scripts' search for the nearest finds then. Source: section II-C.
    """
    squares = samples * samples
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = (
            np.sqrt(np.where(side, squares, 0).sum(axis=1) / side.sum(axis=1)) for side in (samples < 0, samples > 0)
        )
        skew = left / right
        wanted = np.abs(samples).mean(axis=1) ** 2 / squares.mean(axis=1)
        wanted *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    grid, ratios, scales, means = _shapes()
    above = np.searchsorted(ratios, wanted).clip(1, len(grid) - 1)
    nearest = np.where(wanted - ratios[above - 1] <= ratios[above] - wanted, above - 1, above)
    nearest[np.isnan(wanted)] = 0
    left, right = left * scales[nearest], right * scales[nearest]
    return AGGD(grid[nearest], left, right, (right - left) * means[nearest])


class Blocks(NamedTuple):
    """``features`` (N, 36), first those of the full size; ``sharpness`` (N,): mean local deviation at full size."""

    features: np.ndarray
    sharpness: np.ndarray


def block_features(plane: np.ndarray) -> Blocks:
    """(H, W) luma in [0, 255] -> the features of its N blocks of 96 x 96. Raises ValueError when there is none.

    At each of two scales: alpha and the mean of the scales of the normalised values, then alpha, mean, left and right
    scale of their products with the neighbour to the right, below, below right and below left (within the block: its
    last row and column have the first as neighbours). Source: section II-A and II-C.
    """
    rows, columns = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    if not rows * columns:
        raise ValueError(f"NIQE needs blocks of {BLOCK}x{BLOCK} pixels, got {plane.shape[0]}x{plane.shape[1]}")
    plane = plane[: rows * BLOCK, : columns * BLOCK]
    normalised, deviation = mscn(plane)
    smaller, _ = mscn(halve(plane))
    found = []
    for values, side in ((normalised, BLOCK), (smaller, BLOCK // 2)):
        blocks = _cut(values, side)
        own = fit_aggd(blocks.reshape(len(blocks), -1))
        found += [own.alpha, (own.left + own.right) / 2]
        for shift in _SHIFTS:
            product = blocks * np.roll(blocks, shift, axis=(1, 2))
            pair = fit_aggd(product.reshape(len(blocks), -1))
            found += [pair.alpha, pair.mean, pair.left, pair.right]
    return Blocks(np.stack(found, axis=1), _cut(deviation, BLOCK).mean(axis=(1, 2)))


def sharp_features(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) RGB in [0, 1] -> (N, 36), of the blocks that a pristine model takes."""
    found = block_features(luma(picture))
    return np.asarray(found.features[found.sharpness > SHARP * found.sharpness.max()])


def _cut(plane: np.ndarray, side: int) -> np.ndarray:
    """(H, W) -> (N, side, side)."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    return plane.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _whole(features: np.ndarray) -> np.ndarray:
    """The rows without NaN."""
    return np.asarray(features[~np.isnan(features).any(axis=1)])


@cache
def _shapes() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The alphas; for each (E|x|)^2 / E x^2 when symmetric (it grows), scale over deviation, and mean over scale."""
    grid = np.arange(200, 10001) / 1000
    one, two, three = (np.array([gamma(k / alpha) for alpha in grid.tolist()]) for k in (1, 2, 3))
    return grid, two**2 / (one * three), np.sqrt(one / three), two / one


def _read_npz(path: Path) -> Mapping[str, np.ndarray]:
    from likeness.weights.unpickle import DAMAGED

    try:
        held = np.load(path, allow_pickle=False)
        if isinstance(held, np.ndarray):  # an .npy
            return {}
        with held:
            return {name: held[name] for name in held.files}
    except FileNotFoundError as error:
        raise WeightsError(f"the NIQE model {path} is not there") from error
    except (OSError, *DAMAGED) as error:
        raise WeightsError(f"{path} is not an intact .npz file without pickles") from error
