"""Calm what trembles: the alignment of a face over time, and its restored crop.

Source: Casiez, Roussel, Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive
Systems", CHI 2012.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from likeness.faces import CROP_SIZE
from likeness.faces.geometry import apply_transform, invert_transform

MIN_CUTOFF = 0.6  # Hz; how calm a face at rest is
BETA = 20.0  # how fast the filter follows: Hz for each face width (or radian, or e-fold of size) a second
SPEED_CUTOFF = 1.0  # Hz, of the speed itself
GATE_SIGMA = 12.0  # pixels of the 512 frame over which a change of the input is looked for
GATE = 0.02  # a change of the input's colour (of [0, 1]) at which little of the frame before is left


class OneEuro:
    """The filter for a vector; ``state`` is plain data from which it goes on exactly as before."""

    def __init__(self, min_cutoff: float = MIN_CUTOFF, beta: float = BETA, state: dict[str, Any] | None = None) -> None:
        self.min_cutoff, self.beta = min_cutoff, beta
        self.state: dict[str, Any] = state or {}

    def __call__(self, values: np.ndarray, seconds: float) -> np.ndarray:
        """The next values (N,), ``seconds`` after the last (above 0) -> the smoothed ones. The first stay as they are.

        Each value has a speed; the faster it is, the higher the cutoff and the smaller the lag (eq. 5 to 9).
        """
        values = np.asarray(values, np.float64)
        if not self.state:
            self.state = {"values": values.tolist(), "speeds": [0.0] * len(values)}
            return values
        last, speeds = np.array(self.state["values"]), np.array(self.state["speeds"])
        speeds = speeds + _share(SPEED_CUTOFF, seconds) * ((values - last) / seconds - speeds)
        cutoffs = self.min_cutoff + self.beta * np.abs(speeds)
        shares = np.array([_share(cutoff, seconds) for cutoff in cutoffs])
        smoothed = last + shares * (values - last)
        self.state = {"values": smoothed.tolist(), "speeds": speeds.tolist()}
        return np.asarray(smoothed)


def _share(cutoff: float, seconds: float) -> float:
    """The weight of the new value in a low-pass with this cutoff (Hz): 1 / (1 + tau / T), tau = 1 / (2 pi f)."""
    return 1.0 / (1.0 + 1.0 / (2.0 * math.pi * cutoff * seconds))


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


class Steady:
    """Smooths the alignment of one face: positions in widths of the face, sizes as logarithms."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        state = state or {}
        self._filter = OneEuro(state=state.get("filter"))
        self._unit: float = state.get("unit", 0.0)
        self._angle: float = state.get("angle", 0.0)

    def __call__(self, transform: np.ndarray, seconds: float) -> np.ndarray:
        """The detected similarity -> the smoothed one, ``seconds`` after the last."""
        values = parameters(transform)
        if not self._unit:
            self._unit = math.exp(values[2])  # fixed, so that the units of the filter do not change under it
        values[3] = self._angle + math.remainder(values[3] - self._angle, 2 * math.pi)  # no jump at half a turn
        self._angle = float(values[3])
        values[:2] /= self._unit
        values = self._filter(values, seconds)
        values[:2] *= self._unit
        return from_parameters(values)

    @property
    def state(self) -> dict[str, Any]:
        """Plain data from which it goes on exactly as before."""
        return {"filter": self._filter.state, "unit": self._unit, "angle": self._angle}


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
