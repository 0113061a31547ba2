"""HEIF through libheif: 10- and 12-bit pictures, and colour that is described without an ICC profile."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np


@functools.cache
def register() -> None:
    """Teach Pillow to open and save HEIF; loads libheif at the first call."""
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)


def extras(info: dict[Any, Any]) -> dict[str, Any]:
    """`bits` and `nclx` (primaries, transfer) of a HEIF picture that Pillow opened."""
    bits, nclx = info.get("bit_depth", 8), info.get("nclx_profile")
    return {
        "bits": bits if bits > 8 else None,
        "nclx": (nclx["color_primaries"], nclx["transfer_characteristics"]) if nclx else None,
    }


def decode_deep(data: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode a HEIF picture of more than 8 bits.

    Returns:
        (H,W) or (H,W,3) uint16 RGB with white = 65535, and (H,W) uint16 alpha or None.

    Raises:
        ValueError, OSError, RuntimeError: damaged.
    """
    import pillow_heif

    file = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    image = file[file.primary_index]
    array: np.ndarray = np.asarray(image)
    bits = np.uint16(image.info.get("bit_depth", 16))  # type: ignore[arg-type]
    if array.dtype != np.uint16:
        raise ValueError(f"{image.mode} pixels where 16 bits were expected")
    # libheif leaves the low bits 0; repeating the high ones there makes white 65535.
    array = array | (array >> bits)
    if array.ndim == 2:
        return array, None
    grey, alpha = array.shape[2] < 3, array.shape[2] in (2, 4)
    return array[:, :, 0] if grey else array[:, :, :3], array[:, :, -1] if alpha else None


def encode(samples: np.ndarray, *, quality: int, lossless: bool, metadata: dict[str, Any]) -> bytes:
    """A HEIC file of (H,W,C) uint8 or uint16 samples; C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.

    Args:
        samples: the pixels; 16 bits are stored as 10, or as 12 where `metadata["bits"]` says so.
        quality: 1 to 100.
        lossless: exact, 8 bit only.
        metadata: any of "exif", "icc", "xmp" (bytes), "bits", "nclx".

    Raises:
        ValueError, RuntimeError, OSError: the encoder refuses.
    """
    import pillow_heif

    height, width, channels = samples.shape
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    if samples.dtype == np.uint16:
        mode = {"L": "I;16"}.get(mode, mode + ";16")
    options: dict[str, Any] = {"quality": -1 if lossless else quality, "chroma": 444}
    if lossless:
        options["matrix_coefficients"] = 0  # stores R, G and B as they are
    if nclx := metadata.get("nclx"):
        options["color_primaries"], options["transfer_characteristics"] = nclx
    if metadata.get("bits") == 12:
        options["bit_depth"] = 12
    for key, name in (("exif", "exif"), ("icc", "icc_profile"), ("xmp", "xmp")):
        if metadata.get(key):
            options[name] = metadata[key]
    stream = io.BytesIO()
    pillow_heif.from_bytes(mode=mode, size=(width, height), data=samples.tobytes()).save(stream, **options)
    return stream.getvalue()
