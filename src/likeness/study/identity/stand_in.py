"""A stand-in for surveillance data: clear photos of people, of which one is kept and the others are degraded."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from likeness.degrade.files import MANIFEST
from likeness.degrade.recipes import get_recipe
from likeness.degrade.steps import Step, apply_steps
from likeness.memory import sha256
from likeness.photo import (
    Photo,
    PhotoError,
    PhotoInput,
    assign_outputs,
    atomic_path,
    atomic_write_text,
    find_photos,
    read_photo,
    write_photo,
)

PERSON = r"(.+)_[^_]*"  # of names without folder: all before the last underscore
DISTANCES = {"near": 96, "middle": 64, "far": 32}  # pixels that a picture of 512 is reduced to

_REDUCING = ("resize", "antialiased_bicubic")


def make(
    inputs: Sequence[str | Path],
    output: Path,
    *,
    recipe: str = "surveillance",
    seed: int = 0,
    person: str | None = None,
    distances: bool = False,
) -> list[dict[str, Any]]:
    """Write a data set of the layout ``folders``: of each person the first picture by name, as it is, in
    ``output/<person>/gallery/``, and the others degraded by ``recipe`` beside it; ``manifest.jsonl`` says how.

    Who is in a picture: the first folder below the input folder, else the file's name up to its last underscore;
    ``person``: a regular expression for the whole name without suffix instead, whose first group is the person.
    ``distances``: each probe three times, in the folders ``near``, ``middle`` and ``far``, the same degradation but for
    the reduction, to 96, 64 and 32 pixels of 512. A picture's own seed comes from ``seed`` and its place below the
    input folder, as in ``likeness degrade``: it does not depend on the others.

    Returns the manifest's entries; a picture that cannot be read or whose name says no person, and people with one
    picture, have an ``error``. Raises PhotoError when nothing can be made or ``output`` holds something else, KeyError
    for an unknown recipe, ValueError for a regular expression that is none, or a recipe that does not reduce.
    """
    get_recipe(recipe)
    pattern = _pattern(person)
    found = find_photos(inputs)
    if not found:
        raise PhotoError(f"no photos in {', '.join(map(str, inputs))}")
    _check_output(inputs, output)
    before = _outputs_before(output)
    entries: list[dict[str, Any]] = []
    people: dict[str, list[PhotoInput]] = defaultdict(list)
    for photo in found:
        name = _person(photo, pattern, by_folder=person is None)
        if name is None:
            text = f"{photo.path}: its name does not say who it is; use --person, such as --person '([a-z]+)_.*'"
            entries.append({"input": str(photo.path), "error": text})
        else:
            people[name].append(photo)
    for name, photos in sorted(people.items()):
        entries += _one_person(name, photos, output, recipe, seed, distances)
    made = {entry["output"] for entry in entries if "output" in entry}
    if not any(entry.get("role") == "probe" for entry in entries):
        reason = next((entry["error"] for entry in entries if "error" in entry), "")
        raise PhotoError(f"nothing could be made: {reason}")
    for name in before - made:
        (output / name).unlink(missing_ok=True)
    atomic_write_text(output / MANIFEST, "".join(_line(entry) + "\n" for entry in entries))
    return entries


def _one_person(
    name: str, photos: list[PhotoInput], output: Path, recipe: str, seed: int, distances: bool
) -> Iterator[dict[str, Any]]:
    """The gallery picture, the probes; or why not."""
    if len(photos) < 2:
        yield {"input": str(photos[0].path), "error": f"{photos[0].path}: the only picture of {name}; two are needed"}
        return
    named = [PhotoInput(one.path, Path(name, one.relative.name)) for one in photos]
    have_gallery = False
    for photo, stem in zip(photos, assign_outputs(named), strict=True):
        entry: dict[str, Any] = {"input": str(photo.path), "person": name}
        try:
            clean = read_photo(photo.path)
            entry["input_sha256"] = sha256(photo.path)
            if have_gallery:
                yield from _probes(entry, clean, photo, stem, output, recipe, seed, distances)
                continue
            target = output / name / "gallery" / f"{stem.name}{photo.path.suffix}"
            with atomic_path(target) as partial:
                partial.write_bytes(photo.path.read_bytes())
        except PhotoError as error:
            yield {**entry, "error": str(error)}
            continue
        have_gallery = True
        yield {**entry, "role": "gallery", "output": target.relative_to(output).as_posix()}


def _probes(
    entry: dict[str, Any],
    clean: Photo,
    photo: PhotoInput,
    stem: Path,
    output: Path,
    recipe: str,
    seed: int,
    distances: bool,
) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng([seed, _number(photo.relative)])
    drawn = get_recipe(recipe).draw(rng, clean.height, clean.width)
    file = f"{'probe_' if stem.name.lower().startswith('gallery') else ''}{stem.name}.png"
    for distance, pixels in DISTANCES.items() if distances else [("", 0)]:
        steps = _reduced_to(drawn, clean, pixels, recipe) if distances else drawn
        degraded = np.rint(apply_steps(clean.as_float(), steps) * 255).astype(np.uint8)
        target = write_photo(Photo.from_array(degraded), output / stem.parent / distance / file)
        yield {
            **entry,
            "role": "probe",
            "recipe": recipe,
            "seed": seed,
            "distance": distance or None,
            "output": target.relative_to(output).as_posix(),
            "output_sha256": sha256(target),
            "steps": [step.as_dict() for step in steps],
        }


def _reduced_to(steps: Sequence[Step], clean: Photo, pixels: int, recipe: str) -> list[Step]:
    """The same steps with the first reduction to ``pixels`` / 512 of the picture's size."""
    for k, step in enumerate(steps):
        if step.op in _REDUCING and step.params["height"] < clean.height:
            size = {"height": max(1, clean.height * pixels // 512), "width": max(1, clean.width * pixels // 512)}
            return [*steps[:k], Step(step.op, {**step.params, **size}), *steps[k + 1 :]]
    raise ValueError(f"{recipe} does not always reduce the picture: it cannot be had at three distances")


def _person(photo: PhotoInput, pattern: re.Pattern[str], *, by_folder: bool) -> str | None:
    if by_folder and len(photo.relative.parts) > 1:
        return photo.relative.parts[0]
    match = pattern.fullmatch(photo.path.stem)
    name = match[1] if match else None
    return name.replace(".", "_") if name else None  # a folder must not be hidden


def _pattern(person: str | None) -> re.Pattern[str]:
    try:
        pattern = re.compile(PERSON if person is None else person)
    except re.error as error:
        raise ValueError(f"--person {person!r} is not a regular expression: {error}") from None
    if pattern.groups < 1:
        raise ValueError(f"--person {person!r} has no group: put the person in brackets, such as '([a-z]+)_.*'")
    return pattern


def _check_output(inputs: Sequence[str | Path], output: Path) -> None:
    inside = next((i for i in inputs if Path(i).is_dir() and output.resolve().is_relative_to(Path(i).resolve())), None)
    if inside is not None:
        raise PhotoError(f"{output} lies in {inside}, whose pictures are read: choose an output folder outside of it")
    if output.exists() and not output.is_dir():
        raise PhotoError(f"{output} is a file, not a folder: choose another output folder")
    if output.is_dir() and any(output.iterdir()) and not (output / MANIFEST).is_file():
        raise PhotoError(f"{output} is not empty: choose another output folder")


def _outputs_before(output: Path) -> set[str]:
    """What an earlier run made here, by its manifest: what is not made again must not stay as a probe."""
    if not (output / MANIFEST).is_file():
        return set()
    try:
        entries = [json.loads(line) for line in (output / MANIFEST).read_text(encoding="utf-8").splitlines()]
        names = {entry["output"] for entry in entries if "output" in entry}
    except (ValueError, TypeError):
        raise PhotoError(f"{output / MANIFEST} is damaged: choose another output folder") from None
    return {name for name in names if (output / name).resolve().is_relative_to(output.resolve())}


def _line(entry: dict[str, Any]) -> str:
    text = json.dumps(entry, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(entry)  # such as a name that is not UTF-8


def _number(relative: Path) -> int:
    name = relative.as_posix().encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big")
