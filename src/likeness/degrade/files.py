"""Degrade files into a folder, with a manifest from which each image can be made again exactly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from likeness.degrade.recipes import get_recipe
from likeness.degrade.steps import Step, apply_steps
from likeness.photo import (
    Photo,
    PhotoError,
    add_suffix,
    assign_outputs,
    atomic_write_text,
    find_photos,
    read_photo,
    write_photo,
)

MANIFEST = "manifest.jsonl"


def degrade_files(inputs: Sequence[str | Path], output: Path, recipe: str, seed: int) -> list[dict[str, Any]]:
    """Degrade each photo into ``output/<stem>.png`` (8 bit) and write ``output/manifest.jsonl``.

    An image's own seed is derived from ``seed`` and its place below the input folder, so it does not depend on
    which others are degraded with it. Returns the manifest's entries; an unreadable photo's has an ``error``.
    Raises PhotoError when no photo is found, KeyError for an unknown recipe.
    """
    draw = get_recipe(recipe).draw
    found = find_photos(inputs)
    if not found:
        raise PhotoError(f"no photos in {', '.join(map(str, inputs))}")
    entries: list[dict[str, Any]] = []
    for photo, stem in zip(found, assign_outputs(found), strict=True):
        entry: dict[str, Any] = {"input": str(photo.path), "recipe": recipe, "seed": seed}
        try:
            clean = read_photo(photo.path)
            rng = np.random.default_rng([seed, _number(photo.relative)])
            steps = draw(rng, clean.height, clean.width)
            target = write_photo(_degraded(clean, steps), output / add_suffix(stem, ".png"))
        except PhotoError as error:
            entries.append({**entry, "error": str(error)})
            continue
        entry["output"] = target.relative_to(output).as_posix()
        entry["input_sha256"] = hashlib.sha256(photo.path.read_bytes()).hexdigest()
        entry["output_sha256"] = hashlib.sha256(target.read_bytes()).hexdigest()
        entry["steps"] = [step.as_dict() for step in steps]
        entries.append(entry)
    lines = "".join(_line(entry) + "\n" for entry in entries)
    atomic_write_text(output / MANIFEST, lines)
    return entries


def _line(entry: Mapping[str, Any]) -> str:
    text = json.dumps(entry, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(entry)  # such as a name that is not UTF-8


def reproduce(entry: Mapping[str, Any], clean: Photo) -> Photo:
    """Make the degraded image of a manifest's entry again from the clean photo: the same pixels."""
    return _degraded(clean, [Step.from_dict(step) for step in entry["steps"]])


def _degraded(clean: Photo, steps: Sequence[Step]) -> Photo:
    pixels = apply_steps(clean.as_float(), steps)
    return Photo.from_array(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def _number(relative: Path) -> int:
    name = relative.as_posix().encode("utf-8", "surrogateescape")  # a name need not be UTF-8
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big")
