"""PNG (W3C PNG specification, third edition) where Pillow does not reach: chunks as they are, and 16 bits."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from . import opencv

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_CHUNKS = frozenset({b"gAMA", b"cHRM", b"sRGB", b"cICP"})
TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
XMP_KEYWORD = b"XML:com.adobe.xmp"
_KEPT_ELSEWHERE = (
    XMP_KEYWORD + b"\0",
    *(b"Raw profile type %b\0" % name for name in (b"exif", b"APP1", b"xmp")),
)
_IMAGE_CHUNKS = (b"IHDR", b"IDAT", b"IEND")
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # colour type -> samples per pixel
_ROWS_AT_ONCE = 256

Chunk = tuple[bytes, bytes]  # type, data


@dataclass(frozen=True)
class Header:
    """What the IHDR chunk says."""

    width: int
    height: int
    bits: int
    colour_type: int


def read_header(data: bytes) -> Header | None:
    """The header of a PNG file; None when `data` is not one."""
    if not data.startswith(SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 26:
        return None
    return Header(*struct.unpack_from(">IIBB", data, 16))


def read_chunks(data: bytes) -> list[Chunk]:
    """All chunks up to IEND or to where the file breaks off."""
    chunks, at = [], len(SIGNATURE)
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        if at + 12 + size > len(data):
            break
        chunks.append((kind, data[at + 8 : at + 8 + size]))
        at += 12 + size
        if kind == b"IEND":
            break
    return chunks


def join_chunks(chunks: Iterable[Chunk]) -> bytes:
    """A PNG file of these chunks, with their checksums."""
    parts = [SIGNATURE]
    for kind, body in chunks:
        parts += [struct.pack(">I", len(body)), kind, body, struct.pack(">I", zlib.crc32(kind + body))]
    return b"".join(parts)


def keep_chunks(chunks: Sequence[Chunk]) -> tuple[Chunk, ...]:
    """Text and colour chunks, without XMP and without EXIF in text form (both are kept elsewhere)."""
    return tuple(
        (kind, body)
        for kind, body in chunks
        if kind in COLOUR_CHUNKS or (kind in TEXT_CHUNKS and not body.startswith(_KEPT_ELSEWHERE))
    )


def image_chunks(data: bytes) -> list[Chunk]:
    """The chunks of a PNG file that hold its pixels: IHDR, IDAT ..., IEND (not for palettes)."""
    return [chunk for chunk in read_chunks(data) if chunk[0] in _IMAGE_CHUNKS]


def metadata_chunks(
    icc: bytes | None, exif: bytes | None, xmp: bytes | None, dpi: tuple[float, float] | None
) -> list[Chunk]:
    """The chunks for these, to stand between IHDR and the first IDAT."""
    chunks: list[Chunk] = []
    if icc:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc, 9)))
    if dpi:
        chunks.append((b"pHYs", struct.pack(">IIB", *(int(value / 0.0254 + 0.5) for value in dpi), 1)))
    if exif:
        chunks.append((b"eXIf", exif))
    if xmp:
        chunks.append((b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + xmp))
    return chunks


def raw_profile(text: str) -> bytes:
    """The bytes in a "Raw profile type ..." text of ImageMagick: name, length, hexadecimal digits."""
    return bytes.fromhex("".join(text.split()[2:]))


def decode_deep(data: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode a 16-bit PNG.

    Returns:
        (H,W) or (H,W,3) uint16 RGB, and (H,W) uint16 alpha or None.

    Raises:
        ValueError: the file is damaged.
    """
    header = read_header(data)
    chunks = read_chunks(data)
    if header is None or header.bits != 16 or header.colour_type not in _CHANNELS:
        raise ValueError("not a 16-bit PNG")
    # Only the image itself goes to OpenCV: it prints about odd profiles and has its own idea of animation.
    bare = join_chunks(image_chunks(data))
    # It has no grey with alpha; that comes as RGB with alpha.
    seen = 4 if header.colour_type == 4 else _CHANNELS[header.colour_type]
    array = opencv.decode_deep(bare, header.height, header.width, seen)
    colour = array[:, :, 0] if header.colour_type in (0, 4) else array[:, :, :3]
    alpha = array[:, :, 3] if seen == 4 else None
    key = next((body for kind, body in chunks if kind == b"tRNS"), None)
    if key is not None and alpha is None:
        same = colour == np.array(struct.unpack(f">{len(key) // 2}H", key), np.uint16)
        opaque = ~same if colour.ndim == 2 else ~same.all(axis=2)
        alpha = opaque.astype(np.uint16) * np.uint16(65535)
    return colour, alpha


def encode_deep(samples: np.ndarray) -> list[Chunk]:
    """The IHDR, IDAT and IEND chunks of a 16-bit PNG of (H,W,C) uint16 samples, C = 1, 2, 3 or 4."""
    height, width, channels = samples.shape
    colour_type = next(key for key, value in _CHANNELS.items() if value == channels)
    # Filtered 16-bit samples hardly repeat: run lengths compress as well as searching, 6 times faster.
    deflate = zlib.compressobj(6, strategy=zlib.Z_RLE)
    parts = []
    above = np.zeros((1, width * channels * 2), np.uint8)
    for top in range(0, height, _ROWS_AT_ONCE):
        rows = samples[top : top + _ROWS_AT_ONCE].astype(">u2").reshape(-1, width * channels).view(np.uint8)
        parts.append(deflate.compress(_filtered(rows, above, channels * 2)))
        above = rows[-1:]
    parts.append(deflate.flush())
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return [(b"IHDR", header), (b"IDAT", b"".join(parts)), (b"IEND", b"")]


def _filtered(rows: np.ndarray, above: np.ndarray, step: int) -> bytes:
    """Rows with PNG filter 4 (Paeth), each behind its filter byte. `step`: bytes per pixel."""
    b = np.concatenate([above, rows[:-1]]).astype(np.int16)
    a, c = np.zeros_like(b), np.zeros_like(b)
    a[:, step:] = rows[:, :-step]
    c[:, step:] = b[:, :-step]
    to_a, to_b, to_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    guess = np.where((to_a <= to_b) & (to_a <= to_c), a, np.where(to_b <= to_c, b, c))
    out = np.full((rows.shape[0], rows.shape[1] + 1), 4, np.uint8)
    out[:, 1:] = rows - guess.astype(np.uint8)
    return out.tobytes()
