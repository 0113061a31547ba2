"""Pictures, profiles and broken files for the tests of likeness.photo, made without likeness.photo."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def picture(channels: int = 3, dtype: type = np.uint8, height: int = 37, width: int = 53) -> np.ndarray:
    """(H,W,C): a smooth picture without any symmetry, with some noise; uses the whole range of the type."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height - 1, width - 1]).reshape(2, 1, 1)
    waves = [x, y, (x + 2 * y) / 3, 1 - x * y]
    noise = np.random.default_rng(channels).normal(0, 0.01, (height, width, channels))
    values = np.clip(np.stack(waves[:channels], axis=2) + noise, 0, 1)
    return np.rint(values * np.iinfo(dtype).max).astype(dtype)


def exif(orientation: int | None = None, thumbnail: bytes = b"", order: str = "<") -> bytes:
    """An EXIF payload: maker, date, a maker note, a GPS latitude; a thumbnail in the second directory."""
    model = b"Likeness test camera\0"  # longer than 4 bytes: stored outside its entry
    note, date = b"MakerNote\0" + bytes(range(50)), b"2026:11:21 04:54:00\0"

    def directory(at: int, entries: list[tuple[int, int, int, bytes]], following: bool) -> bytes:
        tail, out = b"", struct.pack(order + "H", len(entries))
        free = at + 2 + 12 * len(entries) + 4
        for tag, kind, count, value in entries:
            if len(value) > 4:
                out += struct.pack(order + "HHII", tag, kind, count, free + len(tail))
                tail += value + bytes(len(value) % 2)
            else:
                out += struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0")
        return out + struct.pack(order + "I", free + len(tail) if following else 0) + tail

    def number(value: int) -> bytes:
        return struct.pack(order + "I", value)

    def build(exif_at: int, gps_at: int, last_at: int) -> tuple[bytes, bytes, bytes, bytes]:
        first = [(0x010F, 2, 4, b"Acm\0"), (0x0110, 2, len(model), model)]
        if orientation is not None:
            first.append((0x0112, 3, 1, struct.pack(order + "H", orientation)))
        first += [(0x8769, 4, 1, number(exif_at)), (0x8825, 4, 1, number(gps_at))]
        main = directory(8, first, False)
        sub = directory(exif_at, [(0x9003, 2, len(date), date), (0x927C, 7, len(note), note)], False)
        degrees = struct.pack(order + "6I", 51, 1, 30, 1, 0, 1)
        gps = directory(gps_at, [(1, 2, 2, b"N\0"), (2, 5, 3, degrees)], False)
        last = b""
        if thumbnail:
            entries = [(0x0201, 4, 1, number(last_at + 2 + 24 + 4)), (0x0202, 4, 1, number(len(thumbnail)))]
            last = directory(last_at, entries, False) + thumbnail
        return main, sub, gps, last

    parts = build(0, 0, 0)
    exif_at = 8 + len(parts[0])
    gps_at = exif_at + len(parts[1])
    last_at = gps_at + len(parts[2])
    main, sub, gps, last = build(exif_at, gps_at, last_at)
    if last:  # chain the second directory to the first
        end = 2 + 12 * struct.unpack_from(order + "H", main)[0]
        main = main[:end] + number(last_at) + main[end + 4 :]
    head = (b"II*\0" if order == "<" else b"MM\0*") + number(8)
    return head + main + sub + gps + last


def icc() -> bytes:
    """An sRGB profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def cmyk_icc() -> bytes:
    """A CMYK profile in which every ink is grey: L = 100 (1 - mean of C, M and Y) (1 - K), a = b = 0."""
    corners = []
    for i in range(16):
        c, m, y, k = (i >> 3) & 1, (i >> 2) & 1, (i >> 1) & 1, i & 1
        corners += [round(255 * (1 - (c + m + y) / 3) * (1 - k)), 128, 128]
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + bytes(corners) + ramp * 3
    table += bytes(-len(table) % 4)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    start = 128 + 4 + 2 * 12
    tags = struct.pack(">I4sII4sII", 2, b"A2B0", start, len(table), b"wtpt", start + len(table), len(white))
    header = struct.pack(
        ">I4sI4s4s4s", start + len(table) + len(white), bytes(4), 0x02400000, b"prtr", b"CMYK", b"Lab "
    )
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + tags + table + white


def saved(array: np.ndarray | Image.Image, format_: str, **options: Any) -> bytes:
    """The bytes of a file of this picture, by Pillow."""
    image = array if isinstance(array, Image.Image) else Image.fromarray(array.squeeze())
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, bits: int, colour_type: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG file of unfiltered rows (no filter bytes), with `extra` chunks before its image data."""
    step = len(rows) // height if rows else 0
    lines = b"".join(b"\0" + rows[i : i + step] for i in range(0, len(rows), step)) if step else b""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    chunks = [
        png_chunk(b"IHDR", header),
        *extra,
        png_chunk(b"IDAT", zlib.compress(lines)),
        png_chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def deep_png(array: np.ndarray, *extra: bytes) -> bytes:
    """A 16-bit PNG of (H,W,C), C = 1 to 4."""
    height, width, channels = array.shape
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    return png(width, height, 16, colour_type, array.astype(">u2").tobytes(), *extra)


def deep_tiff(
    array: np.ndarray,
    *,
    order: str = "<",
    planar: bool = False,
    deflate: bool = False,
    orientation: int = 1,
    photometric: int | None = None,
    sample_format: int = 1,
    extra: int = 2,
    rows: int = 10,
) -> bytes:
    """A TIFF of (H,W,C) samples of any depth, C = 1 to 4, in strips."""
    height, width, channels = array.shape
    if photometric is None:
        photometric = 2 if channels >= 3 else 1
    planes = [array[:, :, i : i + 1] for i in range(channels)] if planar else [array]
    strips = [
        p[top : top + rows].astype(array.dtype.newbyteorder(order)).tobytes()
        for p in planes
        for top in range(0, height, rows)
    ]
    strips = [zlib.compress(strip) for strip in strips] if deflate else strips
    bits = array.dtype.itemsize * 8
    tags: list[tuple[int, str, list[int]]] = [
        (256, "I", [width]),
        (257, "I", [height]),
        (258, "H", [bits] * channels),
        (259, "H", [8 if deflate else 1]),
        (262, "H", [photometric]),
        (273, "I", [0] * len(strips)),
        (274, "H", [orientation]),
        (277, "H", [channels]),
        (278, "I", [rows]),
        (279, "I", [len(strip) for strip in strips]),
        (284, "H", [2 if planar else 1]),
        (339, "H", [sample_format] * channels),
    ]
    if channels in (2, 4):
        tags.insert(-1, (338, "H", [extra]))
    free = 8 + 2 + 12 * len(tags) + 4
    data_at = free + sum(len(v) * struct.calcsize(k) for _, k, v in tags if len(v) * struct.calcsize(k) > 4)
    starts = [data_at + sum(len(strip) for strip in strips[:i]) for i in range(len(strips))]
    entries, tail = struct.pack(order + "H", len(tags)), b""
    for tag, kind, values in tags:
        values = starts if tag == 273 else values
        packed = struct.pack(order + kind * len(values), *values)
        entries += struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[kind], len(values))
        if len(packed) > 4:
            entries += struct.pack(order + "I", free + len(tail))
            tail += packed
        else:
            entries += packed.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + entries + bytes(4) + tail + b"".join(strips)
