"""Orientation 1 to 8 (EXIF 2.32, tag 0x0112): turning pixels, and keeping XMP from contradicting."""

from __future__ import annotations

import re

import numpy as np

_XMP = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)(\d+)")


def apply_orientation(array: np.ndarray, orientation: int) -> np.ndarray:
    """Stored (H,W) or (H,W,C) pixels as they are displayed (a view). Orientation 5 to 8 swaps H and W.

    Raises:
        ValueError: `orientation` is not 1 to 8.
    """
    if not 1 <= orientation <= 8:
        raise ValueError(f"orientation must be 1 to 8, not {orientation}")
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def xmp_orientation(xmp: bytes) -> int | None:
    """tiff:Orientation of an XMP packet, 1 to 8; None when absent or nonsense."""
    match = _XMP.search(xmp)
    number = int(match[2][:3]) if match else 0
    return number if 1 <= number <= 8 else None


def upright_xmp(xmp: bytes) -> bytes:
    """`xmp` with every tiff:Orientation set to 1."""
    return _XMP.sub(rb"\g<1>1", xmp)
