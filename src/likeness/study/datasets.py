"""Data sets as data: what each is, under which licence, where it is had, how its files lie; finding them.

The data is ``datasets.yaml`` beside this file. A data set lies in a folder that the user names, else in
``LIKENESS_DATA/<name>``, else in ``datasets/<name>`` below ``LIKENESS_HOME``.
``fetching`` brings those that may be had.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import yaml

DATASETS = Path(__file__).with_name("datasets.yaml")
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")


class DatasetError(ValueError):
    """A data set that is missing, incomplete or not to be fetched; one line for people, safe for a terminal."""

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else "?" for c in message))


class DatasetLicenceError(DatasetError):
    """A data set whose licence must be accepted before it is fetched; the message says how."""


@dataclass(frozen=True)
class Part:
    """Files of one kind. ``globs``: relative to the data set's folder; the first that matches a picture counts.

    ``count``: how many pictures there are, None where nobody has said. ``meaning``: what their names say.
    """

    role: str
    globs: tuple[str, ...]
    meaning: str
    count: int | None = None


@dataclass(frozen=True)
class Archive:
    """A file to fetch and unpack. ``urls``: the first that works; ``figshare``: the article there that holds a file of
    this name, which is asked for its address; ``sha256``: None when nobody has stated it."""

    file: str
    urls: tuple[str, ...] = ()
    figshare: int | None = None
    sha256: str | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class Dataset:
    """One data set. ``count``: its pictures; ``size``: pixels of a side; ``permits``: the licence in words.

    ``licence`` and ``non_commercial`` are None where no licence is known. ``by_request``: only its authors give it.
    ``how``: how a person gets it and lays it down. ``used_by``: papers and methods that measure on it. ``archives``:
    what ``fetch`` takes, none when it must be got by hand. Raises DatasetError when a field is not valid.
    """

    name: str
    title: str
    what: str
    permits: str
    how: str
    parts: tuple[Part, ...]
    count: int | None = None
    size: int | None = None
    licence: str | None = None
    non_commercial: bool | None = None
    by_request: bool = False
    page: str | None = None
    used_by: tuple[str, ...] = ()
    archives: tuple[Archive, ...] = ()
    note: str = ""

    @property
    def access(self) -> str:
        """ "fetch", "by request" or "by hand": how one comes by it."""
        if self.archives and all(archive.urls or archive.figshare for archive in self.archives):
            return "fetch"
        return "by request" if self.by_request else "by hand"

    def __post_init__(self) -> None:
        for what in ("name", "title", "what", "permits", "how"):
            if not isinstance(getattr(self, what), str) or not getattr(self, what).strip():
                self._refuse(what, "a text")
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", self.name):
            self._refuse("name", "made of a-z, 0-9 and -")
        if self.licence is not None and (not isinstance(self.licence, str) or not self.licence.strip()):
            self._refuse("licence", "a text, or left out")
        if self.non_commercial not in (True, False, None) or (self.licence is None) != (self.non_commercial is None):
            self._refuse("non_commercial", "true or false where a licence is stated, and only there")
        for url in (*((self.page,) if self.page else ()), *(url for one in self.archives for url in one.urls)):
            if not re.fullmatch(r"https?://\S+", url):
                self._refuse("page" if url == self.page else "archives", "a web address")
        if not self.parts or any(not part.globs for part in self.parts):
            self._refuse("parts", "one or more, each with globs")
        for part in self.parts:
            if any(glob.startswith("/") or ".." in glob for glob in part.globs):
                self._refuse("parts", "below the folder of the data set")
        numbers = [self.count, self.size, *(one.count for one in self.parts)]
        numbers += [number for one in self.archives for number in (one.bytes, one.figshare)]
        if any(number is not None and (type(number) is not int or number <= 0) for number in numbers):
            self._refuse("parts", "with counts that are positive whole numbers, as count and size")
        if self.by_request and self.archives:
            self._refuse("archives", "left out when it is given by request only")
        for archive in self.archives:
            if PurePosixPath(archive.file).name != archive.file or not archive.file.endswith(SUFFIXES):
                self._refuse("archives", f"files without folders that end with {', '.join(SUFFIXES)}")
            if archive.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", archive.sha256):
                self._refuse("archives", "with a sha256 of 64 hexadecimal digits")

    def _refuse(self, what: str, wanted: str) -> None:
        raise DatasetError(f"data set {self.name!r}: {what} must be {wanted}, got {getattr(self, what)!r}")


@dataclass(frozen=True)
class Counted:
    """How many pictures of a part are there."""

    part: Part
    found: int

    @property
    def whole(self) -> bool:
        """Whether it is as many as expected; where nobody has said how many, whether there are any."""
        return self.found == self.part.count if self.part.count else self.found > 0

    def __str__(self) -> str:
        wanted = f"{self.part.count:,} expected" if self.part.count else "some expected"
        return f"{self.part.role}: pictures {' or '.join(self.part.globs)}, {wanted}, {self.found:,} there"


@cache
def datasets() -> tuple[Dataset, ...]:
    """All data sets, in the order of the file. Raises DatasetError."""
    return read_datasets(DATASETS.read_text(encoding="utf-8"))


def find(name: str) -> Dataset:
    """The data set called ``name``. Raises DatasetError for an unknown name."""
    for one in datasets():
        if one.name == name:
            return one
    raise DatasetError(f"no data set is called {name!r}; likeness dataset list shows the names")


def read_datasets(text: str) -> tuple[Dataset, ...]:
    """The data sets in ``text`` (YAML). Raises DatasetError that names the entry."""
    made: list[Dataset] = []
    for facts in yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        name = facts.get("name")
        try:
            parts = tuple(Part(**{**one, "globs": tuple(one.get("globs", ()))}) for one in facts.get("parts", ()))
            archives = tuple(
                Archive(**{**one, "urls": tuple(one.get("urls", ()))}) for one in facts.get("archives", ())
            )
            used_by = tuple(facts.get("used_by", ()))
            made.append(Dataset(**{**facts, "parts": parts, "archives": archives, "used_by": used_by}))
        except TypeError as error:  # a field is missing or unknown
            raise DatasetError(f"data set {name!r}: {error}") from error
        if [one.name for one in made].count(name) > 1:
            raise DatasetError(f"data set {name!r}: its name occurs twice")
    return tuple(made)


def places(name: str) -> list[Path]:
    """Where the data set is looked for when no folder is given; the first is where ``fetch`` puts it."""
    from likeness.weights.record import home

    below = [home() / "datasets"]
    if chosen := os.environ.get("LIKENESS_DATA", "").strip():
        below.insert(0, Path(chosen).expanduser().absolute())
    return [folder / name for folder in below]


def files(dataset: Dataset, folder: Path, role: str) -> list[Path]:
    """The pictures of the part called ``role`` in ``folder``, sorted by path; hidden files do not count."""
    from likeness.photo.formats import SUPPORTED_SUFFIXES

    part = next(one for one in dataset.parts if one.role == role)
    for glob in part.globs:
        found = [
            path
            for path in folder.glob(glob)
            if path.suffix.lower() in SUPPORTED_SUFFIXES
            and not any(name.startswith(".") for name in path.relative_to(folder).parts)
            and path.is_file()
        ]
        if found:
            return sorted(found)
    return []


def check(dataset: Dataset, folder: Path) -> tuple[Counted, ...]:
    """How many pictures of each part are in ``folder``, against how many there should be."""
    return tuple(Counted(part, len(files(dataset, folder, part.role))) for part in dataset.parts)


def locate(name: str, data: Path | None = None, *, partial: bool = False) -> Path:
    """The folder of the data set: ``data``, else the first of ``places`` that holds it whole.

    ``partial``: some pictures of each part are enough. Raises DatasetError that says what is missing: where it is had,
    where to put it, how many files of which pattern are expected and how many are there.
    """
    dataset = find(name)
    candidates = [data] if data is not None else places(name)
    lacking = []
    for folder in candidates:
        counts = check(dataset, folder) if folder.is_dir() else ()
        wrong = [one for one in counts if not (one.found if partial else one.whole)]
        if counts and not wrong:
            return folder
        if wrong:
            lacking.append(f"{folder} is not the whole of it ({'; '.join(map(str, wrong))})")
    if lacking:
        raise DatasetError(f"data set {name}: {'; '.join(lacking)}. {how_to_get(dataset)}")
    wanted = "; ".join(str(Counted(part, 0)) for part in dataset.parts)
    missing = f"there is no folder {candidates[0]}" if data is not None else "it is not here"
    there = "" if data is not None else f" Put it into {candidates[0]}, or name its folder with --data."
    raise DatasetError(f"data set {name}: {missing} ({wanted}). {how_to_get(dataset)}{there}")


def how_to_get(dataset: Dataset) -> str:
    """How a person comes by the data set, in a line or two."""
    if dataset.access == "fetch":
        return f"To fetch it, type likeness dataset fetch {dataset.name}."
    return dataset.how + (f" Page: {dataset.page} ." if dataset.page else "")


def terms(dataset: Dataset) -> str:
    """The licence and what it permits, in a line."""
    return (f"The licence of {dataset.name} is {dataset.licence}. " if dataset.licence else "") + dataset.permits
