"""Writing: a `Photo` becomes a file with its depth, alpha, grey, profile and metadata."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from . import heif, png, tiff
from .atomic import atomic_write_bytes
from .errors import DECODER_ERRORS, file_error, photo_error, suffix_of
from .exif import without_orientation
from .formats import FORMAT_OF_SUFFIX, FORMATS, Format
from .guard import quiet_pillow
from .photo import Photo

_LOSSLESS = frozenset({"PNG", "TIFF", "BMP"})
_CAN_BE_LOSSLESS = frozenset({"WEBP", "HEIF"})


@dataclass(frozen=True)
class _Job:
    """One photo on its way to one format."""

    photo: Photo
    samples: np.ndarray  # (H,W,C), C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha
    quality: int
    lossless: bool


def write_photo(photo: Photo, path: str | Path, *, quality: int = 95, lossless: bool = False) -> Path:
    """Write `photo` in the format that the suffix of `path` names; the file appears whole or not at all.

    Depth, alpha, a single grey channel, ICC, EXIF, XMP and resolution are written where the format has a
    place for them (BMP has none for metadata). JPEG, AVIF and HEIF are stored without chroma
    subsampling. PNG, TIFF and BMP are lossless; WebP is when the source was. The same photo gives the same
    bytes.

    Args:
        photo: what to write.
        path: where; parent folders are created, an existing file is replaced.
        quality: 1 to 100, for JPEG, WebP, HEIF and AVIF.
        lossless: exact pixels; for WebP and 8-bit HEIF, and always true of PNG, TIFF and BMP.

    Returns:
        `path`.

    Raises:
        PhotoError: unknown suffix, a format that cannot hold this photo, or a place that cannot be written.
    """
    path = Path(path)
    format_ = FORMAT_OF_SUFFIX.get(suffix_of(path))
    if format_ is None:
        known = " ".join(sorted(FORMAT_OF_SUFFIX))
        raise photo_error(path, f"the suffix {path.suffix!r} names no format; use one of {known}")
    if not 1 <= quality <= 100:
        raise photo_error(path, f"quality must be 1 to 100, not {quality}")
    problem = _obstacle(photo, format_)
    if problem is not None:
        raise photo_error(path, f"{format_.name} cannot hold {problem}; write {_better_suffix(photo)} instead")
    if lossless and format_.name not in _LOSSLESS | _CAN_BE_LOSSLESS:
        raise photo_error(path, f"{format_.name} is not written without loss; use .png or .webp")
    if lossless and format_.name == "HEIF" and photo.max_value > 255:
        raise photo_error(path, "16 bits do not fit into HEIF without loss; use .png or .tif")
    job = _Job(photo, _samples(photo), quality, lossless)
    try:
        with quiet_pillow():
            data = _ENCODERS[format_.name](job)
    except DECODER_ERRORS as error:
        reason = str(error) or type(error).__name__
        raise photo_error(path, f"cannot be written as {format_.name}: {reason}") from None
    try:
        atomic_write_bytes(path, data)
    except OSError as error:
        raise file_error(path, error) from None
    except ValueError:  # a NUL character
        raise photo_error(path, "this is not a file name") from None
    return path


def output_suffix(photo: Photo) -> str:
    """The suffix with which nothing of `photo` is lost: its own format's, or else .png or .tif."""
    own = FORMATS[photo.format]
    metadata = photo.exif or photo.icc or photo.extras.get("xmp")
    if _obstacle(photo, own) is not None or (metadata and not own.metadata):
        return _better_suffix(photo)
    return own.suffix


def _obstacle(photo: Photo, format_: Format) -> str | None:
    if photo.max_value > 255 and not format_.deep:
        return "16 bits per channel"
    if photo.alpha is not None and not format_.alpha:
        return "transparency"
    if max(photo.width, photo.height) > format_.max_side:
        return f"{photo.width}x{photo.height} pixels"
    return None


def _better_suffix(photo: Photo) -> str:
    return ".tif" if photo.format == "TIFF" else ".png"


def _samples(photo: Photo) -> np.ndarray:
    colour = photo.pixels
    if photo.grey:
        # ITU-R BT.601 luma in 16-bit fixed point: three equal channels give exactly their value.
        luma = colour.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32)
        colour = ((luma + np.uint32(32768)) >> np.uint32(16)).astype(colour.dtype)[:, :, None]
    if photo.alpha is None:
        return colour
    return np.concatenate([colour, photo.alpha[:, :, None]], axis=2)


def _image(samples: np.ndarray) -> Image.Image:
    return Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)


def _save(image: Image.Image, format_: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_, **{key: value for key, value in options.items() if value is not None})
    return stream.getvalue()


def _jpeg(job: _Job) -> bytes:
    extras = job.photo.extras
    photoshop = extras.get("photoshop")
    return _save(
        _image(job.samples),
        "JPEG",
        quality=job.quality,
        subsampling=0,
        exif=_with_prefix(job.photo.exif),
        icc_profile=job.photo.icc,
        xmp=extras.get("xmp"),
        comment=extras.get("comment"),
        dpi=extras.get("dpi"),
        extra=None if photoshop is None else b"\xff\xed" + struct.pack(">H", len(photoshop) + 2) + photoshop,
    )


def _webp(job: _Job) -> bytes:
    photo = job.photo
    lossless = job.lossless or (photo.format == "WEBP" and bool(photo.extras.get("lossless")))
    return _save(
        _image(job.samples).convert("RGB" if photo.alpha is None else "RGBA"),
        "WEBP",
        quality=job.quality,
        lossless=lossless,
        exact=True,  # keeps the colour of transparent pixels
        exif=photo.exif,
        icc_profile=photo.icc,
        xmp=photo.extras.get("xmp"),
    )


def _avif(job: _Job) -> bytes:
    photo = job.photo
    return _save(
        _image(job.samples) if job.samples.shape[2] != 2 else _image(job.samples).convert("RGBA"),
        "AVIF",
        quality=job.quality,
        subsampling="4:0:0" if job.samples.shape[2] == 1 else "4:4:4",
        # Pillow rewrites EXIF, and breaks maker notes, when it finds an orientation there.
        exif=None if photo.exif is None else without_orientation(photo.exif) or None,
        icc_profile=photo.icc,
        xmp=photo.extras.get("xmp"),
    )


def _heif(job: _Job) -> bytes:
    photo = job.photo
    metadata: dict[str, Any] = {
        "exif": _with_prefix(photo.exif),
        "icc": photo.icc,
        "xmp": photo.extras.get("xmp"),
    }
    if photo.format == "HEIF":
        metadata |= {key: photo.extras[key] for key in ("bits", "nclx") if key in photo.extras}
    return heif.encode(job.samples, quality=job.quality, lossless=job.lossless, metadata=metadata)


def _bmp(job: _Job) -> bytes:
    return _save(_image(job.samples), "BMP", dpi=job.photo.extras.get("dpi"))


def _png(job: _Job) -> bytes:
    if job.samples.dtype == np.uint16:
        image = png.encode_deep(job.samples)
    else:
        image = png.image_chunks(_save(_image(job.samples), "PNG"))
    extras = job.photo.extras
    return png.join_chunks(
        [
            image[0],
            *png.metadata_chunks(job.photo.icc, job.photo.exif, extras.get("xmp"), extras.get("dpi")),
            *extras.get("png_chunks", ()),
            *image[1:],
        ]
    )


def _tiff(job: _Job) -> bytes:
    tags: dict[int, Any] = {tiff.ICC: job.photo.icc, tiff.XMP: job.photo.extras.get("xmp")}
    if dpi := job.photo.extras.get("dpi"):
        tags |= {tiff.X_RESOLUTION: float(dpi[0]), tiff.Y_RESOLUTION: float(dpi[1]), tiff.UNIT: 2}
    return tiff.encode(job.samples, {tag: value for tag, value in tags.items() if value}, job.photo.exif)


def _with_prefix(exif: bytes | None) -> bytes | None:
    return None if exif is None else b"Exif\0\0" + exif


_ENCODERS: dict[str, Callable[[_Job], bytes]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "TIFF": _tiff,
    "BMP": _bmp,
    "HEIF": _heif,
    "AVIF": _avif,
}
