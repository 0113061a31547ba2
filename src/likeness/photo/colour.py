"""From Pillow's modes to RGB or grey with straight alpha; CMYK through its profile."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

_GREY_MODES = frozenset({"1", "L", "LA", "La"})
_COLOUR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr"})


@dataclass(frozen=True)
class Samples:
    """Decoded pixels: colour (H,W) or (H,W,3), alpha (H,W) or None, the profile they are now in."""

    colour: np.ndarray
    alpha: np.ndarray | None
    icc: bytes | None
    note: str | None = None


def samples_of(image: Image.Image, icc: bytes | None) -> Samples:
    """Pixels of a loaded 8-bit image of any mode that a photo can have.

    Raises:
        ValueError: the mode (float, 32 bit, Lab ...) is not supported.
    """
    if image.mode == "CMYK":
        return _from_cmyk(image, icc)
    if image.mode not in _GREY_MODES | _COLOUR_MODES:
        kind = {"F": "floating-point", "I": "32-bit", "LAB": "CIE Lab"}.get(image.mode, image.mode)
        raise ValueError(f"{kind} pixels are not supported; convert it to 8 or 16 bits per channel RGB or grey")
    grey = image.mode in _GREY_MODES
    if image.mode == "1":
        image = image.convert("L")
    if image.has_transparency_data:
        array = np.asarray(image.convert("LA" if grey else "RGBA"))
        return Samples(array[:, :, 0] if grey else array[:, :, :3], array[:, :, -1], icc)
    return Samples(np.asarray(image.convert("L" if grey else "RGB")), None, icc)


def _from_cmyk(image: Image.Image, icc: bytes | None) -> Samples:
    if icc is None:
        return Samples(np.asarray(image.convert("RGB")), None, None, "CMYK without a profile: colours are a guess")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        target = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
        converted = ImageCms.profileToProfile(image, profile, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        note = f"CMYK with an unusable profile ({error}): colours are a guess"
        return Samples(np.asarray(image.convert("RGB")), None, None, note)
    if converted is None:
        raise ValueError("the colour profile gave no image")
    return Samples(np.asarray(converted), None, srgb_profile())


@functools.cache
def srgb_profile() -> bytes:
    """An sRGB profile; always the same bytes (the creation date is fixed)."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[24:36] = bytes.fromhex("07d000010001000000000000")  # 2000-01-01 00:00:00
    return bytes(data)
