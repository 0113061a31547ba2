"""Which pictures are measured, and which picture is the truth, or the input, of which."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.degrade.files import MANIFEST
from likeness.photo import PhotoError, find_photos

_NOT_RESULTS = (".samples",)  # folders of further pictures that restore writes beside a result


@dataclass(frozen=True)
class Item:
    """A picture to measure. ``name``: its place below the folder, without suffix.

    ``degraded``, ``steps``: what it was restored from, and how that was made of the truth.
    """

    name: str
    path: Path
    truth: Path | None = None
    degraded: Path | None = None
    steps: Sequence[dict[str, Any]] = ()


def find_items(folder: Path, truth: Path | None = None, degraded: Path | None = None) -> list[Item]:
    """The pictures in ``folder`` with their counterparts of the same name (whatever the suffix).

    ``degraded``: a folder that ``likeness degrade`` wrote. Several draws of a picture have the same truth. Pictures
    without counterpart keep None: the caller says so. Raises PhotoError for a folder that is not there or holds no
    pictures.
    """
    found = _by_name(folder)
    true = _by_name(truth) if truth is not None else {}
    inputs = _by_name(degraded) if degraded is not None else {}
    steps = _steps(degraded) if degraded is not None else {}

    def of(name: str, path: Path) -> Item:
        return Item(name, path, true.get(name) or true.get(without_draw(name)), inputs.get(name), steps.get(name, ()))

    return [of(name, path) for name, path in sorted(found.items())]


def draw_folder(number: int | str) -> str:
    """Where the pictures of a draw lie, when each picture is degraded several times."""
    return f"draw-{number}"


def without_draw(name: str) -> str:
    """The name that a picture has in all draws."""
    return re.sub(r"^draw-\d+/", "", name)


def find_set(folder: Path) -> list[Path]:
    """All pictures in ``folder``, sorted. Raises PhotoError."""
    return [path for _, path in sorted(_by_name(folder).items())]


def _by_name(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise PhotoError(f"{folder} is not a folder")
    found: dict[str, Path] = {}
    for photo in find_photos([folder]):
        if any(part.endswith(_NOT_RESULTS) for part in photo.relative.parts[:-1]):
            continue
        name = photo.relative.with_suffix("").as_posix()
        if name in found:
            raise PhotoError(f"{photo.path} and {found[name]} have the same name: which is meant cannot be told")
        found[name] = photo.path
    if not found:
        raise PhotoError(f"no photos in {folder}")
    return found


def _steps(folder: Path) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for manifest in (folder / MANIFEST, *sorted(folder.glob(f"{draw_folder('*')}/{MANIFEST}"))):
        if not manifest.exists():
            continue
        where = manifest.parent.relative_to(folder)
        try:
            entries = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
            made = {(where / e["output"]).with_suffix("").as_posix(): e["steps"] for e in entries if "output" in e}
        except (ValueError, KeyError, TypeError) as error:
            raise PhotoError(f"{manifest} is damaged: {error}") from error
        found.update(made)
    return found
