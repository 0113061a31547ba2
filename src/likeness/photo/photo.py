"""`Photo`: pixels, and everything needed to write the file back as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .errors import photo_error
from .exif import drop_thumbnail
from .formats import FORMATS


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo as it is displayed (orientation already applied).

    Attributes:
        pixels: (H,W,3) uint8 or uint16, RGB, contiguous. A grey photo has three equal channels.
        alpha: (H,W), same dtype; 0 is transparent. None when the source has none.
        grey: the source has one luminance channel; it is written back as one channel.
        format: what it was read from: "JPEG", "PNG", "WEBP", "TIFF", "BMP", "HEIF" or "AVIF".
        exif: EXIF payload (a TIFF structure, starts with "II" or "MM"), orientation 1.
        icc: ICC profile.
        extras: other metadata. Keys: "dpi" (x, y); "xmp" bytes; "comment" bytes (JPEG); "photoshop" bytes
            (JPEG APP13); "png_chunks" ((type, data), ...): text and colour chunks; "lossless" True (WebP);
            "frames": how many the file has, this is the first; "bits" (HEIF: 10 or 12); "nclx" (HEIF colour
            primaries and transfer); "notes": what had to be changed while reading, for people.
        source: the file it was read from.

    Raises:
        PhotoError: on creation, when the fields contradict this.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    format: str = "PNG"
    exif: bytes | None = None
    icc: bytes | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    source: Path | None = None

    def __post_init__(self) -> None:
        pixels = np.asarray(self.pixels)
        if pixels.ndim != 3 or pixels.shape[2] != 3:
            raise photo_error(self.source, f"pixels must have shape (H,W,3), not {pixels.shape}")
        if pixels.dtype not in (np.uint8, np.uint16):
            raise photo_error(self.source, f"pixels must be uint8 or uint16, not {pixels.dtype}")
        if pixels.size == 0:
            raise photo_error(self.source, f"a photo needs at least one pixel, this has shape {pixels.shape}")
        if self.format not in FORMATS:
            raise photo_error(self.source, f"unknown format {self.format!r}; known: {', '.join(FORMATS)}")
        object.__setattr__(self, "pixels", np.ascontiguousarray(pixels))
        if self.alpha is not None:
            alpha = np.asarray(self.alpha)
            if alpha.shape != pixels.shape[:2] or alpha.dtype != pixels.dtype:
                wanted = f"{pixels.dtype} of shape {pixels.shape[:2]}"
                raise photo_error(self.source, f"alpha must be {wanted}, not {alpha.dtype} of {alpha.shape}")
            object.__setattr__(self, "alpha", np.ascontiguousarray(alpha))

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])

    @property
    def max_value(self) -> int:
        """The value of white: 255 or 65535."""
        return int(np.iinfo(self.pixels.dtype).max)

    @classmethod
    def from_array(cls, array: np.ndarray) -> Photo:
        """A photo from (H,W), (H,W,1), (H,W,3) or (H,W,4); uint8, uint16, bool, or float in [0,1] (-> uint8).

        Raises:
            PhotoError: another shape or type, or float values outside [0,1].
        """
        array = np.asarray(array)
        if array.ndim == 2:
            array = array[:, :, None]
        if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
            shape = array.shape
            raise photo_error(None, f"an image must have shape (H,W), (H,W,1), (H,W,3) or (H,W,4), not {shape}")
        if array.dtype == np.bool_:
            array = array.astype(np.uint8) * np.uint8(255)
        elif np.issubdtype(array.dtype, np.floating):
            array = _from_unit(array, np.dtype(np.uint8))
        elif array.dtype not in (np.uint8, np.uint16):
            raise photo_error(None, f"an image must be uint8, uint16, bool or float in [0,1], not {array.dtype}")
        grey = array.shape[2] == 1
        pixels = np.repeat(array, 3, axis=2) if grey else array[:, :, :3].copy()
        return cls(pixels, array[:, :, 3].copy() if array.shape[2] == 4 else None, grey)

    def as_float(self) -> np.ndarray:
        """Pixels as a new (H,W,3) float32 array in [0,1]."""
        values = self.pixels.astype(np.float32)
        values /= np.float32(self.max_value)
        return values

    def with_pixels(self, pixels: np.ndarray) -> Photo:
        """The same photo with other pixels of the same size; alpha and metadata are kept.

        An EXIF thumbnail is dropped, since it would still show the old picture.

        Args:
            pixels: (H,W,3), of this photo's dtype, or float in [0,1] (rounded to this photo's dtype).

        Raises:
            PhotoError: another shape or type, or float values outside [0,1].
        """
        pixels = np.asarray(pixels)
        if pixels.shape != self.pixels.shape:
            raise photo_error(self.source, f"new pixels must have shape {self.pixels.shape}, not {pixels.shape}")
        if np.issubdtype(pixels.dtype, np.floating):
            pixels = _from_unit(pixels, self.pixels.dtype)
        elif pixels.dtype != self.pixels.dtype:
            dtype = self.pixels.dtype
            raise photo_error(self.source, f"new pixels must be {dtype} or float in [0,1], not {pixels.dtype}")
        exif = None if self.exif is None else drop_thumbnail(self.exif)
        return dataclasses.replace(self, pixels=pixels, exif=exif)

    def resized(self, pixels: np.ndarray, alpha: np.ndarray | None) -> Photo:
        """The same photo with pixels and alpha of another size; metadata are kept, but for an EXIF thumbnail.

        Raises:
            PhotoError: shapes that do not agree, or an alpha for a photo without one (or none for one with).
        """
        if (alpha is None) != (self.alpha is None):
            raise photo_error(self.source, "an enlarged photo keeps its alpha channel, and gets none it had not")
        exif = None if self.exif is None else drop_thumbnail(self.exif)
        return dataclasses.replace(self, pixels=pixels, alpha=alpha, exif=exif)


def _from_unit(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if values.size:
        low, high = float(values.min()), float(values.max())  # a NaN shows in both
        if not (low >= 0.0 and high <= 1.0):
            raise photo_error(None, f"float pixels must lie in [0,1], these lie in [{low:g},{high:g}]; clip or scale")
    maximum = int(np.iinfo(dtype).max)
    scaled: np.ndarray = np.rint(values.astype(np.float32, copy=False) * np.float32(maximum))
    return scaled.astype(dtype)
