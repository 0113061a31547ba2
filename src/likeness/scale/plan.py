"""Which photos there are, behind paths and addresses, and where each goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from likeness import folder, memory
from likeness.photo import PhotoError, PhotoInput, assign_outputs, find_photos
from likeness.scale import places


@dataclass(frozen=True)
class Job:
    """An input (path or address) and the stem of its output below the output folder, without suffix."""

    source: str
    stem: Path


def plan(inputs: Sequence[str | Path], output: str | Path) -> list[Job]:
    """Find the photos and give each an output stem that no other has, as ``folder.plan`` does for paths.

    Earlier results are no inputs. Raises PhotoError when there are no photos, when a storage cannot be reached, and
    when an output would replace its input.
    """
    if not any(places.is_address(one) for one in (*inputs, output)):
        return [Job(str(path), stem) for path, stem in folder.plan(inputs, Path(output))]
    near = [one for one in inputs if not places.is_address(one)]
    found = [(str(photo.path), photo.relative) for photo in find_photos(near)]
    for address in inputs:
        if places.is_address(address):
            found += [(source, Path(name)) for source, name in places.find(str(address))]
    target = places.canonical(str(output))
    where = {source: places.canonical(source) for source, _ in found}
    roots = [places.canonical(str(one)) for one in inputs]
    around = any(_inside(target, root) and not _inside(root, target) for root in roots)
    hidden = target if around else (target[0], target[1] / memory.FOLDER)
    left: dict[tuple[str, PurePosixPath], tuple[str, Path]] = {}
    for source, relative in found:
        if not _inside(where[source], hidden):
            left.setdefault(where[source], (source, relative))
    if not left:
        raise PhotoError(f"no photos in {', '.join(map(str, inputs))}")
    photos = sorted(left.values(), key=lambda one: where[one[0]])
    stems = assign_outputs([PhotoInput(relative, relative) for _, relative in photos])
    for (source, _), stem in zip(photos, stems, strict=True):
        system, path = where[source]
        if (system, path.with_suffix("")) == (target[0], target[1] / PurePosixPath(stem.as_posix())):
            raise PhotoError(f"{source} would be overwritten by its own restoration: choose another output folder")
    return [Job(source, stem) for (source, _), stem in zip(photos, stems, strict=True)]


def _inside(place: tuple[str, PurePosixPath], around: tuple[str, PurePosixPath]) -> bool:
    return place[0] == around[0] and place[1].is_relative_to(around[1])
