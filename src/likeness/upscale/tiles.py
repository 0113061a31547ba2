"""Enlarging a picture of any size tile by tile, without seams, in memory that hardly grows with it.

A tile is read with a margin, because a network that is cut off sees a false border there. Half of the overlap of two
tiles is margin that is thrown away, a quarter on each side; over the other half, in the middle, one fades into the
other. Every pixel of the result is written once, into one array of the wanted type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in pixels of the input: what is read, what is kept of it, and how the kept part fades.

    ``fade_in`` pixels from ``keep`` on are shared with the tile before, ``fade_out`` before ``keep_end`` with the next.
    """

    start: int
    stop: int
    keep: int
    keep_end: int
    fade_in: int
    fade_out: int


def spans(length: int, tile: int, overlap: int, multiple: int = 1) -> list[Span]:
    """Cover ``length`` pixels by tiles of equal size, as few as possible, each of at most ``tile`` pixels.

    Neighbours share at least ``overlap`` pixels. All starts, sizes and ``length`` are multiples of ``multiple``.
    Raises ValueError unless 0 <= 2 * overlap <= tile, and all are multiples.
    """
    if tile < 1 or not 0 <= 2 * overlap <= tile:
        raise ValueError(f"need 0 <= 2 * overlap <= tile, got overlap {overlap}, tile {tile}")
    if length % multiple or tile % multiple or overlap % multiple:
        raise ValueError(f"length {length}, tile {tile} and overlap {overlap} must be multiples of {multiple}")
    if length <= tile:
        return [Span(0, length, 0, length, 0, 0)]
    count = -(-(length - overlap) // (tile - overlap))
    # The smallest tiles that will do: the share of each, overlaps counted in, rounded up.
    size = -(-(length + (count - 1) * overlap) // (count * multiple)) * multiple
    starts = [i * (length - size) // ((count - 1) * multiple) * multiple for i in range(count)]
    # Each fading begins so that it lies in the middle of the overlap; at the ends of the picture there is none.
    fade = overlap // 2
    cuts = [0, *((later + earlier + size - fade) // 2 for earlier, later in pairwise(starts)), length]
    fades = [0, *[fade] * (count - 1), 0]
    return [
        Span(start, start + size, cuts[i], cuts[i + 1] + fades[i + 1], fades[i], fades[i + 1])
        for i, start in enumerate(starts)
    ]


def upscale_in_tiles(
    run: Run, image: np.ndarray, scale: int, *, tile: int, overlap: int, multiple: int = 1
) -> np.ndarray:
    """Enlarge ``image`` by ``run``, tile by tile.

    run: (h, w, 3) float32 in [0, 1] -> (h * scale, w * scale, 3) float32, h and w multiples of ``multiple``.
    image: (H, W, 3) float32 in [0, 1], uint8 or uint16; it is mirrored at the bottom and right to a multiple.
    tile, overlap: see ``spans``. Returns (H * scale, W * scale, 3) of the image's type, clipped, rounded. Beside it, a
    few tiles are held, and the strip of the last row of tiles that fades into the next.
    """
    height, width = image.shape[:2]
    rows = spans(-(-height // multiple) * multiple, tile, overlap, multiple)
    columns = spans(-(-width // multiple) * multiple, tile, overlap, multiple)
    out = np.empty((height * scale, width * scale, 3), image.dtype)
    below = np.zeros((0, columns[-1].stop * scale, 3), np.float32)  # what the row above adds to this one
    for row in rows:
        next_below = np.empty((row.fade_out * scale, columns[-1].stop * scale, 3), np.float32)
        aside = np.zeros(((row.keep_end - row.keep) * scale, 0, 3), np.float32)  # what the tile before adds to this
        for column in columns:
            part = _kept(run(_read(image, row, column)), row, column, scale)
            shared = aside.shape[1]
            left = column.keep * scale
            part[:, :shared] += aside  # it holds what the row above adds here
            part[: len(below), shared:] += below[:, left + shared : left + part.shape[1]]
            done_down = part.shape[0] - row.fade_out * scale
            done_right = part.shape[1] - column.fade_out * scale
            aside = part[:, done_right:]
            next_below[:, left : left + done_right] = part[done_down:, :done_right]
            _write(out, part[:done_down, :done_right], row.keep * scale, left)
        below = next_below
    return out


def _read(image: np.ndarray, row: Span, column: Span) -> np.ndarray:
    """The tile as float32 in [0, 1], mirrored where it goes beyond the picture."""
    tile = image[row.start : row.stop, column.start : column.stop]
    missing = (row.stop - row.start - tile.shape[0], column.stop - column.start - tile.shape[1])
    if any(missing):
        tile = np.pad(tile, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="reflect")
    return to_unit(tile)


def _kept(tile: np.ndarray, row: Span, column: Span, scale: int) -> np.ndarray:
    """The part that is kept of an enlarged tile, as a new array, clipped and faded."""
    top, left = (row.keep - row.start) * scale, (column.keep - column.start) * scale
    down, right = (row.keep_end - row.start) * scale, (column.keep_end - column.start) * scale
    part = tile[top:down, left:right].clip(0.0, 1.0)
    part *= _fading(row, scale)[:, None, None]
    part *= _fading(column, scale)[None, :, None]
    return part


def _fading(span: Span, scale: int) -> np.ndarray:
    """The weight of each kept pixel along one axis; with the neighbour's it is 1."""
    weight = np.ones((span.keep_end - span.keep) * scale, np.float32)
    for count, part in ((span.fade_in * scale, weight), (span.fade_out * scale, weight[::-1])):
        part[:count] = (np.arange(count) + 0.5) / max(count, 1)
    return weight


def _write(out: np.ndarray, part: np.ndarray, top: int, left: int) -> None:
    """Put a finished part into the picture, in its type; what lies beyond the picture is dropped."""
    place = out[top : top + part.shape[0], left : left + part.shape[1]]
    place[...] = from_unit(part[: place.shape[0], : place.shape[1]], out.dtype)


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """float32, uint8 or uint16 pixels as float32 in [0, 1]."""
    if pixels.dtype == np.float32:
        return pixels
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def from_unit(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """float32 in [0, 1] as pixels of the type, rounded."""
    if dtype == np.float32:
        return pixels
    return np.asarray(np.rint(pixels * np.float32(np.iinfo(dtype).max)).astype(dtype))
