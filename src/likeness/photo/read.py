"""Reading: a file of any supported format becomes a `Photo`."""

from __future__ import annotations

import errno
import io
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from . import heif, png, tiff
from .colour import Samples, samples_of
from .errors import DECODER_ERRORS, PhotoError, file_error, photo_error
from .exif import count_ifds, exif_payload, orientation_of, upright
from .formats import FORMATS
from .guard import quiet_pillow
from .orientation import apply_orientation, upright_xmp, xmp_orientation
from .photo import Photo


@dataclass
class _Decoded:
    """What a decoder hands over: pixels as stored, metadata as found."""

    samples: Samples
    format: str
    exif: bytes | None = None
    xmp: bytes | None = None
    orientation: int | None = None  # None: as EXIF or XMP say
    extras: dict[str, Any] = field(default_factory=dict)


class _TooLarge(ValueError):
    """The header promises more pixels than the caller allows."""


_Check = Callable[[int, int], None]


def read_photo(path: str | Path, *, max_pixels: int = 200_000_000) -> Photo:
    """Read a JPEG, PNG, WebP, TIFF, BMP, HEIF or AVIF file, by content whatever its suffix.

    The orientation is applied to the pixels. 16-bit PNG and TIFF stay 16 bit; 10- and 12-bit HEIF become 16
    bit. CMYK becomes sRGB through its profile. Of several pictures in a file the first is read.

    Args:
        path: the file.
        max_pixels: refuse larger pictures, judged by the header before anything is decoded.

    Raises:
        PhotoError: the file is missing, unreadable, empty, damaged, cut short, too large or of another kind.
    """
    path = Path(path)
    data = _read_file(path)

    def check(width: int, height: int) -> None:
        if width * height > max_pixels:
            raise _TooLarge(
                f"{width}x{height} pixels are more than the limit of {max_pixels:,}; "
                "make it smaller or raise max_pixels"
            )

    try:
        with quiet_pillow():
            decoded = _decode(data, check)
    except UnidentifiedImageError:
        names = ", ".join(FORMATS)
        raise photo_error(path, f"this is not a photo, or its header is damaged; needed: {names}") from None
    except _TooLarge as error:
        raise photo_error(path, str(error)) from None
    except DECODER_ERRORS as error:
        reason = str(error) or type(error).__name__
        raise photo_error(path, f"damaged, cut short or not supported: {reason}") from None
    return _photo(decoded, path)


def _read_file(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        if not stat.S_ISREG(mode):
            raise photo_error(path, "this is a device or a pipe; a regular file is needed")
        data = path.read_bytes()
    except OSError as error:
        raise file_error(path, error) from None
    except PhotoError:
        raise
    except ValueError:  # a NUL character
        raise photo_error(path, "this is not a file name") from None
    if not data:
        raise photo_error(path, "the file is empty; get the photo again")
    return data


def _decode(data: bytes, check: _Check) -> _Decoded:
    return _decode_tiff(data, check) if tiff.is_tiff(data) else _decode_other(data, check)


def _decode_tiff(data: bytes, check: _Check) -> _Decoded:
    orientation = orientation_of(data)
    data = upright(data)  # both decoders would turn the pixels, each in its own way
    tags = tiff.read_tags(data)
    check(tags.number(tiff.WIDTH), tags.number(tiff.HEIGHT))
    tiff.check_samples(tags)
    icc = tags.raw(tiff.ICC)
    if tiff.is_deep(tags):
        samples = Samples(*tiff.decode_deep(data, tags), icc)
    else:
        with _open(data) as image:
            image.load()
            samples = samples_of(image, icc)
    decoded = _Decoded(samples, "TIFF", tiff.exif_from_tiff(data), tags.raw(tiff.XMP), orientation)
    _put(decoded.extras, dpi=tags.dpi(), frames=_several(count_ifds(data)))
    return decoded


def _decode_other(data: bytes, check: _Check) -> _Decoded:
    header = png.read_header(data)
    with _open(data) as image:
        check(*image.size)
        format_ = "JPEG" if image.format == "MPO" else str(image.format)
        icc = image.info.get("icc_profile") or None
        frames = getattr(image, "n_frames", 1)
        image.load()  # also where another decoder follows: it is the stricter judge of broken files
        info = image.info
        if header is not None and header.bits == 16:
            samples = Samples(*png.decode_deep(data), icc)
        elif format_ == "HEIF" and info.get("bit_depth", 8) > 8:
            samples = Samples(*heif.decode_deep(data), icc)
        else:
            samples = samples_of(image, icc)
        segments = getattr(image, "applist", [])
    exif, xmp = info.get("exif"), info.get("xmp")
    decoded = _Decoded(samples, format_, exif, xmp.encode() if isinstance(xmp, str) else xmp)
    _put(decoded.extras, dpi=info.get("dpi"), frames=_several(frames))
    if format_ == "JPEG":
        photoshop = next((body for kind, body in segments if kind == "APP13"), None)
        _put(decoded.extras, comment=info.get("comment"), photoshop=photoshop)
    elif format_ == "PNG":
        decoded.exif = exif or _png_text_exif(info)
        _put(decoded.extras, png_chunks=png.keep_chunks(png.read_chunks(data)) or None)
    elif format_ == "WEBP":
        _put(decoded.extras, lossless=_webp_is_lossless(data) or None)
    elif format_ == "HEIF":
        decoded.orientation = 1  # libheif has turned the pixels; EXIF must not turn them again
        _put(decoded.extras, **heif.extras(info))
    elif format_ == "AVIF":
        decoded.orientation = orientation_of(exif_payload(exif) or b"") or 1  # Pillow puts irot/imir there
        if _avif_is_grey(data) and samples.colour.ndim == 3:
            decoded.samples = Samples(samples.colour[:, :, 0], samples.alpha, icc)
    return decoded


def _open(data: bytes) -> Image.Image:
    heif.register()
    return Image.open(io.BytesIO(data), formats=list(FORMATS))


def _photo(decoded: _Decoded, path: Path) -> Photo:
    samples, notes = decoded.samples, []
    exif = exif_payload(decoded.exif)
    if exif is None and decoded.exif:
        notes.append("unreadable EXIF was left out")
    orientation = decoded.orientation
    if orientation is None and exif is not None:
        orientation = orientation_of(exif)
    if orientation is None and decoded.xmp is not None:
        orientation = xmp_orientation(decoded.xmp)
    if samples.note:
        notes.append(samples.note)
    _put(decoded.extras, notes=tuple(notes) or None)
    _put(decoded.extras, xmp=None if decoded.xmp is None else upright_xmp(decoded.xmp))
    grey = samples.colour.ndim == 2
    colour = np.repeat(samples.colour[:, :, None], 3, axis=2) if grey else samples.colour
    alpha = samples.alpha
    return Photo(
        pixels=apply_orientation(colour, orientation or 1),
        alpha=None if alpha is None else apply_orientation(alpha, orientation or 1),
        grey=grey,
        format=decoded.format,
        exif=None if exif is None else upright(exif),
        icc=samples.icc,
        extras=decoded.extras,
        source=path,
    )


def _put(extras: dict[str, Any], **values: Any) -> None:
    extras.update({key: value for key, value in values.items() if value is not None})


def _several(frames: int) -> int | None:
    return frames if frames > 1 else None


def _png_text_exif(info: dict[Any, Any]) -> bytes | None:
    for name in ("exif", "APP1"):
        text = info.get(f"Raw profile type {name}")
        if isinstance(text, str):
            profile = png.raw_profile(text)
            if profile.startswith(b"Exif\0\0"):
                return profile
    return None


def _webp_is_lossless(data: bytes) -> bool:
    at = 12
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        at += 8 + size + size % 2
    return False


def _avif_is_grey(data: bytes) -> bool:
    """Every AV1 configuration box (AV1-ISOBMFF 2.3) up to the image data says monochrome."""
    boxes = data[: data.find(b"mdat")].split(b"av1C")[1:]
    return bool(boxes) and all(len(box) > 2 and box[2] & 0x10 for box in boxes)
