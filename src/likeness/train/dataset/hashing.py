"""Perceptual hashes: pictures that look alike have hashes that differ in few bits."""

from __future__ import annotations

from functools import cache

import numpy as np

SIDE, LOW = 32, 8  # pixels of the reduced picture; frequencies kept in each direction
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601
_BITS = np.array([bin(value).count("1") for value in range(256)], np.uint8)


def phash(picture: np.ndarray) -> int:
    """The 64-bit DCT hash of a picture: (H, W, 3) float32 RGB in [0, 1].

    The luma, area-averaged to 32x32, is transformed (DCT-II, orthonormal); bit k says whether the k-th of the 8x8
    coefficients of frequencies 1 to 8 in both directions (row by row, the first is the highest bit) is above their
    median. It stays within a few bits under re-encoding, resizing and changes of brightness; a mirrored picture has
    another one. Source: the construction of C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash
    Functions", 2010, section 3.2.
    """
    import cv2

    small = cv2.resize(picture @ _LUMA, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    basis = _basis()
    low = (basis @ small @ basis.T).ravel()
    return int("".join("1" if bit else "0" for bit in low > np.median(low)), 2)


@cache
def _basis() -> np.ndarray:
    """(8, 32): rows 1 to 8 of the orthonormal DCT-II matrix."""
    k, n = np.arange(1, LOW + 1)[:, None], np.arange(SIDE)[None]
    return np.asarray(np.sqrt(2 / SIDE) * np.cos(np.pi * k * (2 * n + 1) / (2 * SIDE)))


def hamming(one: int, many: np.ndarray) -> np.ndarray:
    """How many bits differ: a 64-bit hash and (N,) uint64 of them -> (N,) integers in [0, 64]."""
    different = np.ascontiguousarray(np.uint64(one) ^ many)
    return np.asarray(_BITS[different.view(np.uint8).reshape(-1, 8)].sum(axis=1, dtype=np.int64))
