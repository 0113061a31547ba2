"""Where probes and galleries come from: SCFace's names, folders of people, or a CSV of pairs."""

from __future__ import annotations

import csv
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from likeness.photo import SUPPORTED_SUFFIXES, PhotoError, PhotoInput, find_photos

# NNN_frontal.jpg, NNN_cam3_1.jpg, NNN_cam8.jpg; the infra-red cameras 6 and 7 with or without a distance.
_SCFACE = re.compile(r"(\d{3})_(?:(frontal)|cam([1-5])_([123])|cam([67])(?:_([123]))?|cam(8))", re.IGNORECASE)
_SCFACE_OTHER = re.compile(r"\d{3}_[lr][1-4]", re.IGNORECASE)  # mugshots from the side
METRES = {"1": 4.20, "2": 2.60, "3": 1.00}  # Grgic, Delac, Grgic, SCface, 2011, section 3
_TRUE, _FALSE = ("1", "true", "yes", "same"), ("0", "false", "no", "different")


@dataclass(frozen=True)
class Probe:
    """A picture to be recognised, and restored. ``camera``: its name, or any group; ``distance`` in metres."""

    path: Path
    person: str
    camera: str | None = None
    distance: float | None = None
    infra_red: bool = False

    def __post_init__(self) -> None:
        if not self.person:
            raise ValueError(f"{self.path}: a probe must have a person")
        if self.distance is not None and not self.distance > 0:
            raise ValueError(f"{self.path}: the distance must be above 0 m, got {self.distance}")

    @property
    def group(self) -> tuple[str, float]:
        """What its figures are listed under; the distance is 0 where it is not known."""
        return self.camera or "", self.distance or 0.0


@dataclass(frozen=True)
class Gallery:
    """A clear picture of a known person; it is never restored."""

    path: Path
    person: str

    def __post_init__(self) -> None:
        if not self.person:
            raise ValueError(f"{self.path}: a gallery picture must have a person")


@dataclass(frozen=True)
class Layout:
    """The pictures of a study. ``pairs``: which (probe, gallery picture) are compared, by number; None compares every
    probe with every person, whose gallery pictures count as one. ``notices``: what was found and what was left out.

    Raises ValueError where the pieces contradict each other.
    """

    kind: str
    probes: tuple[Probe, ...]
    galleries: tuple[Gallery, ...]
    pairs: tuple[tuple[int, int], ...] | None = None
    notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = {one.person for one in self.galleries}
        if not self.probes:
            raise ValueError("there are no probes")
        if self.pairs is not None:
            if any(not (0 <= a < len(self.probes) and 0 <= b < len(self.galleries)) for a, b in self.pairs):
                raise ValueError("a pair names a picture that is not there")
            return
        if len(known) < 2:
            raise ValueError(f"the gallery must have at least two people, it has {len(known)}")
        lost = next((one for one in self.probes if one.person not in known), None)
        if lost is not None:
            raise ValueError(f"{lost.path}: {lost.person} is not in the gallery")


def scface(data: Path) -> Layout:
    """SCFace's pictures by name, in whatever folders: mugshots ``NNN_frontal`` are the gallery; ``NNN_camC_D`` with
    camera C 1 to 5 (6 and 7: infra-red) and distance D 1 to 3 (4.20, 2.60, 1.00 m) and ``NNN_cam8`` (infra-red mugshot)
    are probes.

    A name that occurs twice (the release holds some pictures in several folders) is taken once: the one that lies in no
    ``cropped`` folder, then the first by path. Raises PhotoError when there are no mugshots or no probes.
    """
    probes: list[Probe] = []
    galleries: list[Gallery] = []
    sides, copies, foreign = 0, 0, 0
    seen: set[str] = set()
    for found in sorted(_photos(data), key=lambda one: ("cropped" in str(one.relative).lower(), one.relative)):
        stem = found.path.stem
        match = _SCFACE.fullmatch(stem)
        if match is None:
            sides += (side := _SCFACE_OTHER.fullmatch(stem) is not None)
            foreign += not side
            continue
        if stem.lower() in seen:
            copies += 1
            continue
        seen.add(stem.lower())
        person, frontal, day, near, night, night_near, eighth = match.groups()
        if frontal:
            galleries.append(Gallery(found.path, person))
        else:
            number, distance = day or night or eighth, METRES.get(near or night_near or "")
            probes.append(Probe(found.path, person, f"cam{number}", distance, not day))
    if not galleries:
        raise PhotoError(f"{data}: no mugshots (names like 001_frontal.jpg); give the folder of the SCFace release")
    day_count = sum(not one.infra_red for one in probes)
    words = [
        _counted(len(galleries), "mugshot"),
        _counted(day_count, "surveillance picture") + " (cameras 1 to 5)",
        _counted(len(probes) - day_count, "infra-red picture") + " (cameras 6 to 8)",
    ]
    notices = [f"SCFace: {', '.join(words)}"]
    known = {one.person for one in galleries}
    strangers = sorted({one.person for one in probes} - known)
    if strangers:
        notices.append(f"left out: the probes of {_listed(strangers)}, who have no mugshot")
    for count, what in (
        (sides, "mugshots from the side"),
        (copies, "second copies of a picture"),
        (foreign, "pictures with other names"),
    ):
        if count:
            notices.append(f"left out: {count} {what}")
    kept = [one for one in probes if one.person in known]
    return _checked(data, "scface", sorted(kept, key=_order), sorted(galleries, key=lambda one: one.person), notices)


def folders(data: Path) -> Layout:
    """One folder a person, named as the person, with at least two pictures.

    The gallery is what lies in a subfolder ``gallery`` or has a name that begins with ``gallery``; without such, the
    first picture by name. The rest are probes; the subfolder that a probe lies in is its group (``Probe.camera``).
    Raises PhotoError when fewer than two people are found.
    """
    people: dict[str, list[PhotoInput]] = defaultdict(list)
    loose = 0
    for found in _photos(data):
        if len(found.relative.parts) < 2:
            loose += 1
        else:
            people[found.relative.parts[0]].append(found)
    probes: list[Probe] = []
    galleries: list[Gallery] = []
    alone = sorted(person for person, pictures in people.items() if len(pictures) < 2)
    no_probe = []
    for person, pictures in sorted(people.items()):
        if len(pictures) < 2:
            continue
        pictures.sort(key=lambda one: one.relative)
        gallery = [one for one in pictures if _is_gallery(one.relative)] or pictures[:1]
        rest = [one for one in pictures if one not in gallery]
        galleries += [Gallery(one.path, person) for one in gallery]
        probes += [Probe(one.path, person, "/".join(one.relative.parts[1:-1]) or None) for one in rest]
        if not rest:
            no_probe.append(person)
    notices = [f"folders: {_counted(len(galleries), 'gallery picture')}, {_counted(len(probes), 'probe')}"]
    if alone:
        notices.append(f"left out: {_listed(alone)}, with one picture only (two are needed)")
    if no_probe:
        notices.append(f"{_listed(no_probe)}: all pictures are of the gallery, there is no probe")
    if loose:
        notices.append(f"left out: {_counted(loose, 'picture')} in no person's folder")
    return _checked(data, "folders", probes, galleries, notices)


def pairs(file: Path) -> Layout:
    """A CSV with the header ``a,b,same`` and perhaps ``group``: probe a is restored and compared with picture b.

    Paths are relative to the CSV. ``same`` is 1 or 0 (or true/false, yes/no). Who is who is taken from the pairs:
    pictures joined by pairs with same = 1, directly or by way of others, are of one person; every other picture is of
    somebody else. Raises PhotoError, naming the line, for what does not fit.
    """
    rows = _rows(file)
    union = _Union()
    for line, a, b, same, _ in rows:
        if a == b:
            raise PhotoError(f"{file}, line {line}: a and b are the same picture")
        if same:
            union.join(a, b)
    for line, a, b, same, _ in rows:
        if not same and union.of(a) == union.of(b):
            raise PhotoError(f"{file}, line {line}: other lines say that {a.name} and {b.name} are of one person")
    for same, what in ((True, "same = 1"), (False, "same = 0")):
        if not any(row[3] is same for row in rows):
            raise PhotoError(f"{file}: there must be pairs with {what}")
    probes: dict[tuple[Path, str], int] = {}
    galleries: dict[Path, int] = {}
    wanted: dict[tuple[int, int], None] = {}
    for _, a, b, _, group in rows:
        key = probes.setdefault((a, group), len(probes)), galleries.setdefault(b, len(galleries))
        wanted[key] = None

    def person(path: Path) -> str:
        return Path(os.path.relpath(union.of(path), file.parent)).as_posix()

    notice = f"pairs: {_counted(len(wanted), 'pair')} of {_counted(len(probes), 'probe')}"
    return Layout(
        "pairs",
        tuple(Probe(path, person(path), group or None) for path, group in probes),
        tuple(Gallery(path, person(path)) for path in galleries),
        tuple(wanted),
        (notice,),
    )


LAYOUTS: dict[str, Callable[[Path], Layout]] = {"scface": scface, "folders": folders, "pairs": pairs}


class _Union:
    """Which pictures are of one person: each points to another of the same person, up to a first."""

    def __init__(self) -> None:
        self._parent: dict[Path, Path] = {}

    def of(self, path: Path) -> Path:
        while (up := self._parent.get(path, path)) != path:
            self._parent[path] = path = self._parent.get(up, up)
        return path

    def join(self, a: Path, b: Path) -> None:
        first, second = sorted((self.of(a), self.of(b)))
        self._parent[second] = first


def _rows(file: Path) -> list[tuple[int, Path, Path, bool, str]]:
    """(line, a, b, same, group) of a CSV of pairs."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise PhotoError(f"{file}: cannot be read: {reason}") from None
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    header = [name.strip() for name in reader.fieldnames or []]
    if not {"a", "b", "same"} <= set(header):
        raise PhotoError(f"{file}: the first line must be a,b,same or a,b,same,group, got {','.join(header)!r}")
    reader.fieldnames = header
    rows = []
    for row in reader:
        values = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
        same = values["same"].lower()
        if not values["a"] or not values["b"] or same not in _TRUE + _FALSE:
            got = ",".join(values.values())
            raise PhotoError(f"{file}, line {reader.line_num}: a line is a,b,same with same 1 or 0, got {got!r}")
        a, b = (Path(os.path.normpath(file.parent / values[name])) for name in ("a", "b"))
        rows.append((reader.line_num, a, b, same in _TRUE, values.get("group", "")))
    if not rows:
        raise PhotoError(f"{file}: there are no pairs in it")
    return rows


def _photos(data: Path) -> list[PhotoInput]:
    if not data.is_dir():
        raise PhotoError(f"{data}: there is no such folder; check the name")
    found = find_photos([data])
    if not found:
        raise PhotoError(f"{data}: no photos ({', '.join(sorted(SUPPORTED_SUFFIXES))})")
    return found


def _checked(
    data: Path, kind: str, probes: Iterable[Probe], galleries: Iterable[Gallery], notices: Iterable[str]
) -> Layout:
    try:
        return Layout(kind, tuple(probes), tuple(galleries), None, tuple(notices))
    except ValueError as error:
        raise PhotoError(f"{data}: {error}; {'; '.join(notices)}") from None


def _is_gallery(relative: Path) -> bool:
    return "gallery" in (part.lower() for part in relative.parts[1:-1]) or relative.name.lower().startswith("gallery")


def _order(probe: Probe) -> tuple[str, str, float]:
    return probe.person, *probe.group


def _counted(number: int, thing: str) -> str:
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
