"""The crops that a step reads, each with a name of its own: folders, shards, globs, or what the step before wrote."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from likeness.memory import FOLDER
from likeness.photo.errors import DECODER_ERRORS, one_line, shown
from likeness.train.dataset.output import MANIFEST, SET, SUMMARY
from likeness.train.pictures import SIDE, Entry, find_pictures

_UNREADABLE: tuple[type[Exception], ...] = (*DECODER_ERRORS, Image.DecompressionBombError)


@dataclass(frozen=True)
class Picture:
    """A crop: its name (relative, unique in the set), where its bytes are, and its record by the step before."""

    name: Path
    entry: Entry
    source: str
    before: dict[str, Any] = field(default_factory=dict)

    def read(self) -> bytes:
        """The bytes of its file. Raises OSError."""
        with self.entry.path.open("rb") as file:
            if self.entry.offset >= 0:
                file.seek(self.entry.offset)
            return file.read(self.entry.size)


def list_pictures(sources: Sequence[str | Path]) -> list[Picture]:
    """All pictures of the sources, each once, sorted by name.

    The output of ``align`` or ``filter`` is read from its folder of faces, with its manifest. In a folder a picture's
    name is its path below it, in a shard it is the member's own name; a name that is taken gets a number. Raises
    FileNotFoundError for a source without pictures and ValueError for a damaged shard or manifest.
    """
    found: dict[tuple[Path, int], Picture] = {}
    for source in sources:
        here, records = Path(source), {}
        if (here / MANIFEST).is_file() and (here / SET).is_dir():
            records = read_manifest(here)
            here = here / SET
        for entry in find_pictures([str(here)]):
            name = entry.path.relative_to(here) if entry.offset < 0 and here.is_dir() else Path(entry.name)
            if any(part.startswith(".") for part in name.parts) or FOLDER in name.parts:
                continue  # hidden: the memory of a step
            before = records.get(f"{SET}/{name.as_posix()}", {})
            found.setdefault((entry.path.resolve(), entry.offset), Picture(name, entry, shown(source), before))
    if not found:
        raise FileNotFoundError(f"no pictures in {', '.join(map(shown, sources))}")
    return sorted(_with_own_names(list(found.values())), key=lambda one: one.name.as_posix())


def _with_own_names(pictures: list[Picture]) -> list[Picture]:
    taken: set[str] = set()
    result = []
    for one in pictures:
        name, number = one.name, 1
        while (key := unicodedata.normalize("NFC", name.as_posix()).casefold()) in taken:
            number += 1
            name = one.name.with_name(f"{one.name.stem}_{number}{one.name.suffix}")
        taken.add(key)
        result.append(Picture(name, one.entry, one.source, one.before))
    return result


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Records of ``folder/manifest.jsonl`` that have an output, by its name. Raises ValueError when it is damaged."""
    try:
        lines = (folder / MANIFEST).read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines]
        return {record["output"]: record for record in records if record.get("output")}
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{shown(folder / MANIFEST)} is damaged: make it again") from error


def parts_of(folder: Path) -> list[str]:
    """The parts of a folder that ``split`` wrote, in order; none for another folder. Raises ValueError when damaged."""
    path = folder / SUMMARY
    if not path.is_file():
        return []
    try:
        return list(json.loads(path.read_text(encoding="utf-8")).get("parts", {}))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{shown(path)} is damaged: make it again") from error


def decode(data: bytes) -> np.ndarray:
    """Bytes of a JPEG, PNG or WebP of 512x512 -> (512, 512, 3) float32 RGB in [0, 1]. Raises ValueError."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP"]) as image:
            if image.size != (SIDE, SIDE):
                raise ValueError(f"it is {image.size[0]}x{image.size[1]}, not {SIDE}x{SIDE}")
            return np.asarray(image.convert("RGB"), np.float32) / np.float32(255)
    except UnidentifiedImageError:
        raise ValueError("it is no JPEG, PNG or WebP picture, or its header is damaged") from None
    except _UNREADABLE as error:
        raise ValueError(f"it cannot be used: {one_line(str(error)) or type(error).__name__}") from error
