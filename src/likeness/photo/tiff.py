"""TIFF 6.0 with Adobe's technical notes: tags, 16-bit samples, and the one writer for all our TIFF files."""

from __future__ import annotations

import io
import itertools
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from . import opencv

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_SIZES = 273, 277, 278, 279
X_RESOLUTION, Y_RESOLUTION, PLANAR, UNIT, PREDICTOR = 282, 283, 284, 296, 317
EXTRA_SAMPLES, SAMPLE_FORMAT, XMP, ICC, EXIF_IFD, GPS_IFD = 338, 339, 700, 34675, 34665, 34853
ORIENTATION = 274
# What describes the photo rather than how the file stores it: description, maker, model, software, date,
# artist, host, copyright, rating, and the five Windows texts.
_DESCRIPTIVE = (270, 271, 272, 305, 306, 315, 316, 33432, 18246, 18249, 40091, 40092, 40093, 40094, 40095)
_DEFLATE = (8, 32946)
_STRIP_BYTES = 1 << 20


@dataclass(frozen=True)
class Tags:
    """The tags of the first page, by number."""

    values: dict[int, Any]

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Value of an integer tag as a tuple. Raises ValueError when it holds something else."""
        value = self.values.get(tag, default)
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(number, int) for number in numbers):
            raise ValueError(f"TIFF tag {tag} does not hold whole numbers")
        return numbers

    def number(self, tag: int, default: int | None = None) -> int:
        """First value of an integer tag. Raises ValueError when it is missing."""
        numbers = self.numbers(tag, () if default is None else (default,))
        if not numbers:
            raise ValueError(f"TIFF tag {tag} is missing")
        return numbers[0]

    def raw(self, tag: int) -> bytes | None:
        """Value of a byte tag; None when it is missing or empty."""
        value = self.values.get(tag)
        if isinstance(value, tuple) and all(isinstance(item, int) and 0 <= item < 256 for item in value):
            value = bytes(value)
        return value if isinstance(value, bytes) and value else None

    def dpi(self) -> tuple[float, float] | None:
        """Resolution in dots per inch; None when it has no unit."""
        scale = {2: 1.0, 3: 2.54}.get(self.number(UNIT, 2))
        x, y = self.values.get(X_RESOLUTION), self.values.get(Y_RESOLUTION)
        if scale is None or not isinstance(x, IFDRational) or not isinstance(y, IFDRational):
            return None
        if not x.denominator or not y.denominator:
            return None
        return float(x) * scale, float(y) * scale


def is_tiff(data: bytes) -> bool:
    """Whether `data` starts as a TIFF or BigTIFF file does."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_tags(data: bytes) -> Tags:
    """Tags of the first page. Raises what Pillow raises on a damaged file."""
    ifd = ImageFileDirectory_v2(data[:16] if data[2:4] in (b"+\0", b"\0+") else data[:8])
    stream = io.BytesIO(data)
    stream.seek(ifd.next)
    ifd.load(stream)
    return Tags({tag: ifd[tag] for tag in ifd})


def exif_from_tiff(data: bytes) -> bytes | None:
    """An EXIF payload of a TIFF file's descriptive tags, EXIF and GPS directories; None without any."""
    source, result = Image.Exif(), Image.Exif()
    source.load(data)
    for tag in _DESCRIPTIVE:
        if tag in source:
            result[tag] = source[tag]
    for tag in (EXIF_IFD, GPS_IFD):
        if directory := source.get_ifd(tag):
            result[tag] = dict(directory)
    if not len(result):
        return None
    result[ORIENTATION] = 1
    return result.tobytes(8).removeprefix(b"Exif\0\0")


def check_samples(tags: Tags) -> None:
    """Raises ValueError, which says why, when the samples are not whole numbers of 1 to 16 bits."""
    bits, kinds = set(tags.numbers(BITS, (1,))), set(tags.numbers(SAMPLE_FORMAT, (1,)))
    if kinds - {1, 4} or len(bits) != 1 or not bits <= {1, 2, 4, 8, 16}:
        kind = {2: "signed ", 3: "floating-point "}.get(max(kinds), "")
        named = "/".join(str(number) for number in sorted(bits))
        raise ValueError(f"{named}-bit {kind}samples are not supported; save it with 8 or 16 bits per channel")


def is_deep(tags: Tags) -> bool:
    """Whether this is a grey or RGB image of 16-bit unsigned samples, which `decode_deep` takes."""
    return (
        set(tags.numbers(BITS, (1,))) == {16}
        and set(tags.numbers(SAMPLE_FORMAT, (1,))) == {1}
        and tags.number(PHOTOMETRIC) in (0, 1, 2)
    )


def decode_deep(data: bytes, tags: Tags) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode a 16-bit TIFF; `is_deep(tags)` holds and the orientation tag is 1.

    Returns:
        (H,W) or (H,W,3) uint16 RGB, and (H,W) uint16 alpha or None.

    Raises:
        ValueError, zlib.error: damaged, or stored in a way that we cannot read.
    """
    samples = tags.number(SAMPLES, 1)
    colours = 3 if tags.number(PHOTOMETRIC) == 2 else 1
    if samples < colours:
        raise ValueError(f"{samples} samples per pixel are too few")
    if samples in (1, 3, 4) and (samples == 1 or tags.number(PLANAR, 1) == 1):
        array = opencv.decode_deep(data, tags.number(HEIGHT), tags.number(WIDTH), samples)
    else:
        array = _strips(data, tags, samples)
    colour = array[:, :, :colours]
    if tags.number(PHOTOMETRIC) == 0:
        colour = 65535 - colour
    kinds = tags.numbers(EXTRA_SAMPLES)
    alpha = None
    if samples > colours and kinds and kinds[0] in (1, 2):
        alpha = np.ascontiguousarray(array[:, :, colours])
        if kinds[0] == 1:
            colour = _unassociated(colour, alpha)
    return np.ascontiguousarray(colour[:, :, 0] if colours == 1 else colour), alpha


def encode(samples: np.ndarray, tags: dict[int, Any], exif: bytes | None) -> bytes:
    """A TIFF file: deflate with horizontal differencing, in strips.

    Args:
        samples: (H,W,C) uint8 or uint16; C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
        tags: further tags, by number: `ICC` and `XMP` bytes, `X_RESOLUTION` ...
        exif: EXIF payload; what describes the photo is taken over.

    Raises:
        ValueError, SyntaxError, struct.error: `exif` is damaged, or the file would exceed 4 GiB.
    """
    height, width, channels = samples.shape
    rows = max(1, _STRIP_BYTES // (width * channels * samples.dtype.itemsize))
    strips = []
    for top in range(0, height, rows):
        block = samples[top : top + rows]
        difference = block.astype(samples.dtype.newbyteorder("<"))
        difference[:, 1:] -= block[:, :-1]
        strips.append(zlib.compress(difference.tobytes(), 6))
    ifd = ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    if exif is not None:
        described = Image.Exif()
        described.load(exif)
        for tag in _DESCRIPTIVE:
            if tag in described:
                ifd[tag] = described[tag]
        for tag in (EXIF_IFD, GPS_IFD):
            if directory := described.get_ifd(tag):
                ifd.tagtype[tag] = 4
                ifd[tag] = dict(directory)
    for tag, value in tags.items():
        ifd[tag] = value
    ifd[WIDTH], ifd[HEIGHT], ifd[SAMPLES] = width, height, channels
    ifd[BITS] = (samples.dtype.itemsize * 8,) * channels
    ifd[COMPRESSION], ifd[PREDICTOR], ifd[PLANAR] = _DEFLATE[0], 2, 1
    ifd[PHOTOMETRIC] = 2 if channels >= 3 else 1
    ifd[ROWS_PER_STRIP] = rows
    ifd[ORIENTATION] = 1
    if channels in (2, 4):
        ifd[EXTRA_SAMPLES] = 2
    sizes = [len(strip) for strip in strips]
    ifd.tagtype[STRIP_OFFSETS] = ifd.tagtype[STRIP_SIZES] = 4
    ifd[STRIP_SIZES] = tuple(sizes)
    # Relative to the first strip: `save` adds where that is.
    ifd[STRIP_OFFSETS] = tuple(itertools.accumulate(sizes[:-1], initial=0))
    stream = io.BytesIO()
    ifd.save(stream)
    return b"".join([stream.getvalue(), *strips])


def _strips(data: bytes, tags: Tags, samples: int) -> np.ndarray:
    """What OpenCV cannot: two samples per pixel, or a plane per sample; in strips, plain or deflated."""
    height, width = tags.number(HEIGHT), tags.number(WIDTH)
    compression, predictor = tags.number(COMPRESSION, 1), tags.number(PREDICTOR, 1)
    if compression not in (1, *_DEFLATE) or predictor not in (1, 2) or STRIP_OFFSETS not in tags.values:
        raise ValueError("16-bit TIFF stored in a rare way; save it again, without compression")
    planes, depth = (samples, 1) if tags.number(PLANAR, 1) == 2 else (1, samples)
    rows = min(height, tags.number(ROWS_PER_STRIP, height))
    offsets, sizes = tags.numbers(STRIP_OFFSETS), tags.numbers(STRIP_SIZES)
    result = np.empty((planes, height, width, depth), np.uint16)
    places = [(plane, top) for plane in range(planes) for top in range(0, height, max(1, rows))]
    for (plane, top), offset, size in zip(places, offsets, sizes, strict=True):
        body = data[offset : offset + size]
        part = result[plane, top : top + rows]
        if compression != 1:
            body = zlib.decompressobj().decompress(body, part.nbytes)
        order = "<u2" if data[:2] == b"II" else ">u2"
        part[...] = np.frombuffer(body, order, part.size).reshape(part.shape)
        if predictor == 2:
            np.cumsum(part, axis=1, dtype=np.uint16, out=part)
    return np.concatenate(list(result), axis=2) if planes > 1 else result[0]


def _unassociated(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours that were multiplied by alpha, divided by it; black where fully transparent."""
    scale = 65535.0 / np.maximum(alpha, 1).astype(np.float64)
    return np.asarray(np.minimum(np.rint(colour * scale[:, :, None]), 65535).astype(np.uint16))
