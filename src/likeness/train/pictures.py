"""Sets of aligned face pictures: tar shards and folders, read at random."""

from __future__ import annotations

import glob
import io
import struct
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from likeness.photo.errors import one_line, shown
from likeness.photo.guard import quiet_pillow

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
SIDE = 512


@dataclass(frozen=True)
class Entry:
    """One picture: in a tar file at ``offset`` (``size`` bytes), or a file of its own (offset -1)."""

    name: str
    path: Path
    offset: int
    size: int


def find_pictures(sources: Sequence[str]) -> list[Entry]:
    """All pictures of tar shards, folders (recursive) and globs, in a stable order.

    Raises FileNotFoundError for a source that is not there or holds no picture, ValueError for a damaged shard.
    """
    entries: list[Entry] = []
    for source in sources:
        here = Path(source)  # taken as it is if it exists, since a name may hold brackets
        paths = [here] if here.exists() else [Path(p) for p in sorted(glob.glob(source))]  # noqa: PTH207 (may be absolute)
        found = [entry for path in paths for entry in _entries(path)]
        if not found:
            raise FileNotFoundError(
                f"no pictures in {source!r}: name a folder or tar shards of 512x512 faces "
                "(data=DIR; validation.sources=[DIR], or [] for none)"
            )
        entries.extend(found)
    return entries


def _entries(path: Path) -> list[Entry]:
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        return [Entry(p.name, p, -1, p.stat().st_size) for p in files]
    if path.suffix == ".tar":
        try:
            with tarfile.open(path, "r:") as tar:  # not compressed: pictures are found by their offset
                members = [m for m in tar.getmembers() if m.isfile() and Path(m.name).suffix.lower() in SUFFIXES]
        except tarfile.TarError as error:
            raise ValueError(f"{shown(path)} is no tar shard, or it is damaged: {one_line(str(error))}") from error
        return [Entry(Path(m.name).name, path, m.offset_data, m.size) for m in members]
    return [Entry(path.name, path, -1, path.stat().st_size)]


def read_picture(entry: Entry) -> np.ndarray:
    """Decode to (512, 512, 3) uint8 RGB. Raises ValueError naming the picture when it is not one of that size.

    The size is known by the header, before anything is decoded.
    """
    with entry.path.open("rb") as file:
        if entry.offset >= 0:
            file.seek(entry.offset)
        data = file.read(entry.size)
    try:
        with quiet_pillow(), Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP"]) as image:
            if image.size != (SIDE, SIDE):
                raise ValueError(
                    f"{entry.path}: {entry.name} is {image.width}x{image.height}, not {SIDE}x{SIDE}; "
                    "likeness dataset align cuts such faces out of photos"
                )
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, struct.error) as error:  # what Pillow raises on damaged files
        raise ValueError(f"{entry.path}: {entry.name} cannot be decoded: {error}") from error


class Pictures:
    """Random access to a set of pictures, optionally decoded once into a memory-mapped ``.npy`` file."""

    def __init__(self, sources: Sequence[str], cache: Path | None = None) -> None:
        self.entries = find_pictures(sources)
        self._cache = cache
        self._decoded = None if cache is None else self._open_cache(cache)

    def __getstate__(self) -> dict[str, Any]:
        return {"entries": self.entries, "_cache": self._cache}  # not the pixels: a worker maps the file itself

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._decoded = None if self._cache is None else np.load(self._cache, mmap_mode="r")

    def _open_cache(self, cache: Path) -> np.ndarray:
        shape = (len(self.entries), SIDE, SIDE, 3)
        names = cache.with_suffix(".txt")
        listing = "\n".join(e.name for e in self.entries)
        if not (cache.exists() and names.exists() and names.read_text(encoding="utf-8") == listing):
            cache.parent.mkdir(parents=True, exist_ok=True)
            partial = cache.with_name(cache.name + ".partial.npy")
            array = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
            for i, entry in enumerate(self.entries):
                array[i] = read_picture(entry)
            array.flush()
            del array
            partial.replace(cache)
            names.write_text(listing, encoding="utf-8")
        return np.load(cache, mmap_mode="r")  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> np.ndarray:
        if self._decoded is not None:
            return np.array(self._decoded[index])
        return read_picture(self.entries[index])
