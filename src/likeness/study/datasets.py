"""Data sets as data: what each is, under which licence, where it is had, how its files lie; finding and fetching them.

The data is ``datasets.yaml`` beside this file. A data set lies in a folder that the user names, else in
``LIKENESS_DATA/<name>``, else in ``datasets/<name>`` below ``LIKENESS_HOME``. What is fetched comes through the same
downloader as weights (``LIKENESS_MIRROR``, ``LIKENESS_OFFLINE``, proxies) and is pinned on first use as they are.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

import yaml

DATASETS = Path(__file__).with_name("datasets.yaml")
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
EXPANSION = 20  # times the size of the archive: pictures hardly compress, a bomb does
SMALLEST_CAP = 1 << 20  # bytes
Say = Callable[[str], None]
Progress = Callable[[int, int | None], None]


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
    """A file to fetch and unpack. ``urls``: the first that works; ``sha256``: None when nobody has stated it."""

    file: str
    urls: tuple[str, ...] = ()
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
        if self.archives and all(archive.urls for archive in self.archives):
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
        numbers = [self.count, self.size, *(one.count for one in self.parts), *(one.bytes for one in self.archives)]
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


def fetch(
    name: str,
    accept_licence: bool = False,
    say: Say = lambda text: None,
    progress: Progress | None = None,
) -> Path:
    """Fetch the data set, unless it is there, and unpack it; returns its folder, which appears whole or not at all.

    ``progress(bytes so far, all bytes or None)``, archive by archive. Archives of which nobody has stated the sha256
    are pinned: from then on they must come as they came first. Raises DatasetLicenceError when commercial use is not
    known to be permitted and the licence not accepted, DatasetError when it cannot be had or is not what it should be.
    """
    from filelock import FileLock, Timeout

    from likeness.weights.download import offline
    from likeness.weights.record import home

    dataset, folder = find(name), places(name)[0]
    if _is_there(dataset, folder):
        return folder
    if not dataset.archives or not all(_addresses(archive) for archive in dataset.archives):
        raise DatasetError(f"{name} cannot be fetched by a program. {terms(dataset)} {how_to_get(dataset)}")
    if dataset.non_commercial is not False and not accept_licence:
        raise DatasetLicenceError(f"{terms(dataset)} To accept, type likeness dataset fetch {name} --accept-licence")
    if offline():
        raise DatasetError(f"{name} is not here, and LIKENESS_OFFLINE forbids to fetch it. {dataset.how}")
    partial = home() / "partial"
    partial.mkdir(parents=True, exist_ok=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(partial / f"dataset-{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{name}: another process fetches it; waiting")
        lock.acquire()
    try:
        if not _is_there(dataset, folder):  # by the other process, meanwhile
            _fetch_into(dataset, folder, partial, say, progress)
        return folder
    finally:
        lock.release()


def unpack(archive: Path, folder: Path, suffix: str, cap: int | None = None) -> None:
    """Unpack a .zip or a .tar (compressed or not, as ``suffix`` says) into ``folder``, which is made.

    Only plain files and folders below ``folder``: no absolute name, no ``..``, no link, no device, no name twice, and
    no more than ``cap`` bytes in all (default: 20 times the archive, at least 1 MiB). Raises DatasetError, and leaves
    what was unpacked before to the caller.
    """
    folder.mkdir(parents=True, exist_ok=True)
    budget = _Budget(archive, cap if cap is not None else max(SMALLEST_CAP, EXPANSION * archive.stat().st_size))
    try:
        (_unzip if suffix == ".zip" else _untar)(archive, folder, budget)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DatasetError(f"{archive.name} is not an archive that can be unpacked: {error}") from error


class _Budget:
    """Counts what is unpacked and refuses what must not be."""

    def __init__(self, archive: Path, left: int) -> None:
        self.archive, self.cap, self.left = archive, left, left
        self.seen: set[str] = set()

    def admit(self, name: str, plain: bool, size: int) -> None:
        """One member of the archive, before it is unpacked."""
        path = PurePosixPath(name)
        if not plain:
            raise DatasetError(f"{self.archive.name} holds {name!r}, which is not a plain file: it is not unpacked")
        if path.is_absolute() or ".." in path.parts or re.search(r"[\\:\0]", name) or not path.parts:
            raise DatasetError(f"{self.archive.name} holds {name!r}, which leads out of its folder: it is not unpacked")
        if str(path) in self.seen:
            raise DatasetError(f"{self.archive.name} holds {name!r} twice: it is not unpacked")
        self.seen.add(str(path))
        self.spend(size)

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise DatasetError(f"{self.archive.name} unpacks to more than {self.cap:,} bytes: it is not unpacked")


def _unzip(archive: Path, folder: Path, budget: _Budget) -> None:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            if member.is_dir():
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            budget.admit(member.filename, kind in (0, stat.S_IFREG) and not member.flag_bits & 1, 0)
            with packed.open(member) as source:
                _copy(source, folder / member.filename, budget)  # counted as it comes: what it declares may be a lie


def _untar(archive: Path, folder: Path, budget: _Budget) -> None:
    with tarfile.open(archive) as packed:
        for member in packed:
            if not member.isdir():
                budget.admit(member.name, member.isreg(), member.size)
                packed.extract(member, folder, filter="data")


def _copy(source: IO[bytes], target: Path, budget: _Budget) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        while block := source.read(1 << 20):
            budget.spend(len(block))
            file.write(block)


def _fetch_into(dataset: Dataset, folder: Path, partial: Path, say: Say, progress: Progress | None) -> None:
    from likeness.photo.atomic import atomic_write_text
    from likeness.weights.download import discard
    from likeness.weights.download import fetch as download
    from likeness.weights.errors import WeightsError

    pins, pinned = _read_pins(folder), {}
    work = folder.with_name(f".{dataset.name}.part")
    parts = [partial / f"dataset-{dataset.name}-{archive.file}.part" for archive in dataset.archives]
    shutil.rmtree(work, ignore_errors=True)  # of a process that was killed
    try:
        for archive, part in zip(dataset.archives, parts, strict=True):
            inspect = _Inspection(archive, pins.get(archive.file), _pin_path(folder))
            try:
                origin = download(_addresses(archive), part, inspect, archive.bytes, progress)
            except WeightsError as error:
                raise DatasetError(f"{dataset.name} could not be fetched: {error}. {dataset.how}") from error
            pinned[archive.file] = {"sha256": inspect.found, "bytes": part.stat().st_size, "origin": origin}
        try:
            for archive, part in zip(dataset.archives, parts, strict=True):
                unpack(part, work, ".zip" if archive.file.endswith(".zip") else ".tar")
            if wrong := [str(one) for one in check(dataset, work) if not one.whole]:
                raise DatasetError(f"what was fetched is not the whole of {dataset.name} ({'; '.join(wrong)})")
        except DatasetError:
            for part in parts:  # no use in keeping them
                discard(part)
            raise
        for file, facts in pinned.items():
            if file not in pins and all(one.sha256 is None for one in dataset.archives if one.file == file):
                say(f"{dataset.name}: nobody has stated the sha256 of {file}; pinned on first use: {facts['sha256']}")
        record = {"dataset": dataset.name, "archives": pinned, "date": time.strftime("%Y-%m-%d")}
        atomic_write_text(_pin_path(folder), json.dumps(record, indent=1) + "\n")  # first: a pin must not be missing
        if folder.is_dir():
            folder.rmdir()  # it is empty
        work.replace(folder)
        for part in parts:
            discard(part)
    finally:
        shutil.rmtree(work, ignore_errors=True)


class _Inspection:
    """Compares an archive that came with what is known of it; ``found`` is its sha256."""

    def __init__(self, archive: Archive, pin: str | None, pin_path: Path) -> None:
        self.archive, self.pin, self.pin_path, self.found = archive, pin, pin_path, ""

    def __call__(self, path: Path) -> None:
        from likeness.weights.digest import fingerprint
        from likeness.weights.download import looks_like_a_page
        from likeness.weights.errors import WeightsError

        if path.stat().st_size == 0:
            raise WeightsError(f"{self.archive.file} is empty")
        if looks_like_a_page(path):
            raise WeightsError(f"{self.archive.file} is a web page, not an archive")
        self.found = fingerprint(path)
        wanted = self.archive.sha256 or self.pin
        if wanted and self.found != wanted:
            source = "as stated" if self.archive.sha256 else f"as when it first came; see {self.pin_path}"
            raise WeightsError(f"{self.archive.file} has sha256 {self.found}, not {wanted} ({source})")


def _is_there(dataset: Dataset, folder: Path) -> bool:
    """Whether it is there and whole. Raises DatasetError when something else is there, which is not ours to remove."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    if wrong := [str(one) for one in check(dataset, folder) if not one.whole]:
        raise DatasetError(f"{folder} is not the whole of {dataset.name} ({'; '.join(wrong)}): move it away first")
    return True


def _pin_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")


def _read_pins(folder: Path) -> dict[str, str]:
    """sha256 by file name, of what came first. Raises DatasetError when the record is damaged."""
    path = _pin_path(folder)
    if not path.is_file():
        return {}
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["archives"]
        return {file: str(facts["sha256"]) for file, facts in known.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DatasetError(f"{path} is damaged: remove it, and fetch the data set again") from error


def _addresses(archive: Archive) -> Sequence[str]:
    from likeness.weights.download import mirrored

    return mirrored(archive.file, archive.urls)
