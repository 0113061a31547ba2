"""Which file suffix means which format, and what each format can hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """What can be stored in one file format."""

    name: str  # Pillow's name
    suffix: str  # the one we write
    other_suffixes: tuple[str, ...]  # also read and written
    deep: bool  # more than 8 bits per channel
    alpha: bool
    metadata: bool  # EXIF, ICC, XMP
    max_side: int  # pixels


FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format("JPEG", ".jpg", (".jpeg", ".jpe", ".jfif"), False, False, True, 65_500),
        Format("PNG", ".png", (), True, True, True, 2**31 - 1),
        Format("WEBP", ".webp", (), False, True, True, 16_383),
        Format("TIFF", ".tif", (".tiff",), True, True, True, 2**31 - 1),
        Format("BMP", ".bmp", (".dib",), False, False, False, 2**31 - 1),
        Format("HEIF", ".heic", (".heif", ".hif"), True, True, True, 16_384),
        Format("AVIF", ".avif", (), False, True, True, 16_384),
    )
}

FORMAT_OF_SUFFIX: dict[str, Format] = {s: f for f in FORMATS.values() for s in (f.suffix, *f.other_suffixes)}

SUPPORTED_SUFFIXES: frozenset[str] = frozenset(FORMAT_OF_SUFFIX)
