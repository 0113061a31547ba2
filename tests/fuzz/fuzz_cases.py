"""Malformed files: a fixed corpus of what is known to hurt, and any number of mutations, each named by its number."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from fuzz_seeds import all_seeds, chunk, photos, picture, saved
from PIL import Image

SUFFIXES = (".jpg", ".png", ".webp", ".tif", ".bmp", ".heic", ".avif")
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
TOKENS = (
    b"null", b"-1", b"0", b"1e999", b"NaN", b"true", b"[]", b"{}", b'""', b"[" * 3000, b"9" * 5000, b"&a [*a, *a]",
    b"!!python/object:os.system", b"2026-99-99", b"../../x", b"\xef\xbb\xbf", b"1_0", b"0x1F", b"\\ud800",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A file to read. ``kind``: which reader; ``expected``: "read", "refused", or None where either is right."""

    name: str
    kind: str
    suffix: str
    data: bytes
    expected: str | None = None


def mutated(number: int) -> Case:
    """The case of this number: a seed with one to four mutations."""
    rng = np.random.default_rng([4711, number])
    seeds = sorted(all_seeds())
    seed = seeds[int(rng.integers(len(seeds)))]
    data, names = all_seeds()[seed], []
    for _ in range(int(rng.integers(1, 5))):
        mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        data = mutation(data, rng)
        names.append(mutation.__name__.strip("_"))
    kind, _, name = seed.partition("/")
    suffix = f".{name.rpartition('.')[2]}"
    if kind == "photo" and rng.random() < 0.1:
        suffix = str(rng.choice(SUFFIXES))
    return Case(f"{number} {seed} {'+'.join(names)}", kind, suffix, data)


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(0, len(data) + 1))]


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for at in rng.integers(0, max(1, len(data)), int(rng.integers(1, 12))):
        if changed:
            changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _number(data: bytes, rng: np.random.Generator) -> bytes:
    """A number in the first kilobyte, where headers are, becomes one at the edge of its type."""
    value = int(INTERESTING[int(rng.integers(len(INTERESTING)))])
    form = str(rng.choice(["<B", ">H", "<H", ">I", "<I"]))
    packed = struct.pack(form, value & (256 ** struct.calcsize(form) - 1))
    at = int(rng.integers(0, max(1, min(len(data), 1024) - len(packed))))
    return data[:at] + packed + data[at + len(packed) :]


def _delete(data: bytes, rng: np.random.Generator) -> bytes:
    a, b = sorted(int(v) for v in rng.integers(0, len(data) + 1, 2))
    return data[:a] + data[min(b, a + 400) :]


def _repeat(data: bytes, rng: np.random.Generator) -> bytes:
    a, b = sorted(int(v) for v in rng.integers(0, len(data) + 1, 2))
    return data[:b] + data[a : min(b, a + 2000)] * int(rng.integers(1, 5)) + data[b:]


def _garbage(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(0, len(data) + 1))
    return data[:at] + rng.bytes(int(rng.integers(1, 200))) + data[at:]


def _blank(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(0, len(data) + 1))
    return data[:at] + bytes([int(rng.choice([0, 255]))]) * (len(data) - at)


def _splice(data: bytes, rng: np.random.Generator) -> bytes:
    """The head of this file and the tail of another."""
    other = all_seeds()[str(rng.choice(sorted(all_seeds())))]
    share = rng.random()
    return data[: int(share * len(data))] + other[int(share * len(other)) :]


def _resum(data: bytes, rng: np.random.Generator) -> bytes:
    """A PNG's chunk with other content and the right sum, so that the decoder goes on into it."""
    if not data.startswith(b"\x89PNG") or len(data) < 40:
        return _number(data, rng)
    parts, at = [data[:8]], 8
    while at + 12 <= len(data) and len(parts) < 64:
        size = min(struct.unpack(">I", data[at : at + 4])[0], len(data) - at - 12)
        parts.append(chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    which = int(rng.integers(1, len(parts))) if len(parts) > 1 else 0
    inside = _flip(parts[which][8:-4], rng) if rng.random() < 0.7 else _number(parts[which][8:-4], rng)
    parts[which] = chunk(parts[which][4:8], inside) if which else parts[which]
    return b"".join(parts)


def _token(data: bytes, rng: np.random.Generator) -> bytes:
    """A word or number of a text becomes another that readers of texts stumble over."""
    found = list(re.finditer(rb"[\w.+-]+|\"[^\"]*\"", data[:4096]))
    if not found or b"\0" in data[:1024]:
        return _number(data, rng)
    at = found[int(rng.integers(len(found)))]
    return data[: at.start()] + TOKENS[int(rng.integers(len(TOKENS)))] + data[at.end() :]


MUTATIONS: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    _cut, _flip, _flip, _number, _number, _delete, _repeat, _garbage, _blank, _splice, _resum, _resum, _token,
)  # fmt: skip


def _png(width: int, height: int, depth: int, colour: int, *more: bytes, rows: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _bomb(kind: bytes, head: bytes) -> bytes:
    """A small PNG with a compressed chunk that swells to a gigabyte."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**24)) for _ in range(64)) + packer.flush()
    rows = b"".join(b"\0" + row.tobytes() for row in picture())
    return _png(56, 40, 8, 2, chunk(kind, head + packed), rows=rows)


def _with_size(data: bytes, marker: bytes, offset: int, form: str, *values: int) -> bytes:
    at = data.index(marker) + offset
    packed = struct.pack(form, *values)
    return data[:at] + packed + data[at + len(packed) :]


def _looping_tiff() -> bytes:
    """A directory whose next one is itself."""
    data = bytearray(photos()["photo/raw.tif"])
    first = struct.unpack("<I", data[4:8])[0]
    count = struct.unpack("<H", data[first : first + 2])[0]
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    return bytes(data)


def intact() -> tuple[Case, ...]:
    """The seeds as they are: no door may refuse them, or nothing behind it is tried."""
    refused = ("photo/refused.gif", "photo/float.tif")
    return tuple(
        Case(seed, seed.partition("/")[0], f".{seed.rpartition('.')[2]}", data, "read")
        for seed, data in all_seeds().items()
        if seed not in refused
    )


@cache
def corpus() -> tuple[Case, ...]:
    """What is known to hurt, each with what must come of it."""
    seeds = photos()
    jpeg, webp, bmp = seeds["photo/base.jpg"], seeds["photo/lossless.webp"], seeds["photo/rgb.bmp"]
    huge = 2**31 - 1
    rows = b"".join(b"\0" + row.tobytes() for row in picture())
    one = Image.new("RGB", (1, 1), (9, 99, 199))
    wide = Image.new("RGB", (65_500, 1), (9, 99, 199))
    cases = [
        ("empty", ".jpg", b"", "refused"),
        ("words", ".jpg", b"these are words, not a photo\n" * 9, "refused"),
        ("html", ".png", b"<!DOCTYPE html><html><body>Sign in</body></html>", "refused"),
        ("svg", ".png", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "refused"),
        ("postscript", ".jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "refused"),
        ("gif", ".gif", seeds["photo/refused.gif"], "refused"),
        ("png bomb", ".png", _png(60_000, 60_000, 1, 0, rows=bytes(10)), "refused"),
        ("png lies about its size", ".png", _png(20_000, 9_000, 8, 2, rows=rows), "refused"),
        ("png of no width", ".png", _png(0, 40, 8, 2, rows=rows), "refused"),
        ("png of an unknown kind", ".png", _png(56, 40, 3, 7, rows=rows), "refused"),
        ("png text bomb", ".png", _bomb(b"zTXt", b"Comment\0\0"), None),
        ("png profile bomb", ".png", _bomb(b"iCCP", b"x\0\0"), None),
        ("png itxt bomb", ".png", _bomb(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0"), None),
        ("jpeg lies about its size", ".jpg", _with_size(jpeg, b"\xff\xc0", 5, ">HH", 65_500, 65_500), "refused"),
        ("jpeg of no height", ".jpg", _with_size(jpeg, b"\xff\xc0", 5, ">H", 0), "refused"),
        ("webp lies about its size", ".webp", webp[:21] + b"\xff" * 6 + webp[27:], "refused"),
        ("bmp lies about its size", ".bmp", _with_size(bmp, b"BM", 18, "<ii", huge, huge), "refused"),
        ("bmp of negative width", ".bmp", _with_size(bmp, b"BM", 18, "<i", -56), "refused"),
        ("tiff that loops", ".tif", _looping_tiff(), None),
        ("float tiff", ".tif", seeds["photo/float.tif"], None),
        ("cmyk", ".jpg", seeds["photo/cmyk.jpg"], "read"),
        ("palette", ".png", seeds["photo/palette.png"], "read"),
        ("animated png", ".png", seeds["photo/animated.png"], "read"),
        ("animated webp", ".webp", seeds["photo/animated.webp"], "read"),
        ("pages", ".tif", seeds["photo/pages.tif"], "read"),
        ("a png called jpg", ".jpg", seeds["photo/rgb.png"], "read"),
        ("a jpeg called heic", ".heic", seeds["photo/base.jpg"], "read"),
        ("65,500 wide jpeg", ".jpg", saved(wide, "JPEG"), "read"),
        ("65,500 wide png", ".png", saved(wide, "PNG"), "read"),
    ]  # fmt: skip
    cases += [(f"one pixel {format_}", suffix, saved(one, format_), "read") for format_, suffix in (
        ("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("TIFF", ".tif"), ("BMP", ".bmp"))]  # fmt: skip
    cases += [
        (f"half of {name}", f".{name.rpartition('.')[2]}", data[: len(data) // 2], "refused")
        for name, data in seeds.items()
        if "animated" not in name and "pages" not in name
    ]
    return tuple(Case(name, "photo", suffix, data, expected) for name, suffix, data, expected in cases)
