"""The store: where pulled weights lie, fetching them into it, and proving that they are what they should be.

``LIKENESS_HOME`` (else the user's cache folder of the platform) holds ``weights/``, with whole files only, each with
its record ``<file>.json``, and ``partial/``, with what is being fetched. Further variables: ``LIKENESS_OFFLINE=1``
forbids the network; ``LIKENESS_MIRROR`` is the beginning of an address at which every file is looked for first;
``HTTPS_PROXY``, ``NO_PROXY`` and ``REQUESTS_CA_BUNDLE`` work as usual.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from likeness.weights.catalogue import Entry, entries, find
from likeness.weights.download import Progress, discard, fetch, mirrored, offline
from likeness.weights.errors import LicenceError, WeightsError
from likeness.weights.pack import check_pack, take_out
from likeness.weights.record import Record, Say, check, home, keep_record, place, read_record

__all__ = [
    "Record", "add", "asks", "by_hand", "home", "is_here", "locate", "name_of", "place", "pull", "size", "state",
    "terms", "verify",
]  # fmt: skip


def is_here(entry: Entry) -> bool:
    """Whether the file is there, of the right size; ``verify`` looks at every byte."""
    path = place(entry)
    if entry.parts:
        return all((path / part).is_file() for part in entry.parts)
    if not path.is_file():
        return False
    record = read_record(entry)
    return path.stat().st_size == (entry.bytes or (record.bytes if record else path.stat().st_size))


def state(entry: Entry) -> str:
    """ "here", "absent", or "damaged" when the file is not whole or its record cannot be read."""
    try:
        return "here" if is_here(entry) else "damaged" if place(entry).exists() else "absent"
    except WeightsError:  # the record
        return "damaged"


def size(entry: Entry) -> int | None:
    """Bytes of the file: as the catalogue states them, else of the file that is here."""
    path = place(entry)
    if entry.bytes is None and path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir())
    return entry.bytes or (path.stat().st_size if path.is_file() else None)


def locate(name: str) -> Path:
    """The file of the entry called ``name``, or of the default one of the method called so.

    Its size is checked, and its sha256 where that did not happen when it came. Raises WeightsError that says what to
    type when it is not there, or CatalogueError (a WeightsError) for an unknown name.
    """
    entry = find(name)
    path = place(entry)
    if not path.exists():
        others = [other.name for other in entries() if _could_stand_in(other, entry)]
        hint = f"; or choose one that is here, with --weights {' or --weights '.join(others)}" if others else ""
        raise WeightsError(f"the weights {entry.name} are not here: type likeness models pull {entry.name}{hint}")
    if not is_here(entry):
        raise WeightsError(f"{path} is not whole: type likeness models pull {entry.name}")
    record = read_record(entry)
    if record is None:
        _checked(entry, path)
    elif entry.sha256 and record.sha256 != entry.sha256:
        raise WeightsError(f"{path} is not the file of the catalogue: type likeness models pull {entry.name}")
    return path


def asks(entry: Entry) -> bool:
    """Whether ``pull`` would need the licence to be accepted now."""
    return entry.non_commercial and bool(_addresses(entry)) and not place(entry).exists()


def pull(
    entry: Entry, accept_licence: bool = False, progress: Progress | None = None, say: Say = lambda text: None
) -> Path:
    """Fetch the file of ``entry`` into the store, unless it is there and intact; returns its path.

    ``progress(bytes so far, all bytes or None)``; ``say`` gets lines for people. A file of which nobody has stated the
    sha256 is pinned: from then on it must stay as it came. Raises LicenceError when the licence is non-commercial and
    not accepted, WeightsError when the file cannot be had or is not what it should be.
    """
    if _intact(entry, say):
        return place(entry)
    urls = _addresses(entry)
    if not urls:
        raise WeightsError(f"{entry.name} cannot be fetched by a program. {by_hand(entry)}")
    if entry.non_commercial and not accept_licence:
        raise LicenceError(f"{terms(entry)} To accept, type likeness models pull {entry.name} --accept-licence")
    if offline():
        raise WeightsError(f"{entry.name} is not here, and LIKENESS_OFFLINE forbids to fetch it. {by_hand(entry)}")
    partial = home() / "partial"
    partial.mkdir(parents=True, exist_ok=True)
    from filelock import FileLock, Timeout

    source = _source(entry)
    lock = FileLock(partial / f"{source}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{entry.name}: another process fetches it; waiting")
        lock.acquire()
    try:
        if _intact(entry, say):  # by the other process, meanwhile
            return place(entry)
        part = partial / f"{source}.part"
        found: list[str] = []
        held = None if entry.member else entry.bytes

        def look(path: Path) -> None:
            found.append(check_pack(entry, path) if entry.member else check(entry, path))

        try:
            origin = fetch(urls, part, look, held, progress)
            if entry.member:
                part, found = _taken_out(entry, part, found)
        except WeightsError as error:
            raise WeightsError(f"{entry.name} could not be fetched: {error}. {by_hand(entry)}") from error
        return _settle(entry, part, found[-1], origin, say)
    finally:
        lock.release()


def add(entry: Entry, source: Path, say: Say = lambda text: None) -> Path:
    """Copy into the store what a person got by hand: the file, or the folder when ``entry`` has parts.

    It is checked as in ``pull``; returns its path. Raises WeightsError.
    """
    partial = home() / "partial"
    partial.mkdir(parents=True, exist_ok=True)
    copy = partial / f"{entry.file}.{os.getpid()}-{secrets.token_hex(4)}.part"
    try:
        if entry.parts:
            copy.mkdir()
            for part in entry.parts:
                shutil.copyfile(source / part, copy / part)
        else:
            shutil.copyfile(source, copy)
        return _settle(entry, copy, check(entry, copy), str(source.absolute()), say)
    except OSError as error:
        raise WeightsError(f"cannot copy {error.filename or source}: {error.strerror or error}") from error
    finally:
        if copy.is_dir():
            shutil.rmtree(copy)
        discard(copy)


def verify(entry: Entry, say: Say = lambda text: None) -> Record:
    """Read every byte of the file and compare. A file without a record gets one. Raises WeightsError."""
    path = place(entry)
    if not path.exists():
        raise WeightsError(f"the weights {entry.name} are not here: type likeness models pull {entry.name}")
    found = _checked(entry, path)
    record = read_record(entry)
    if record and record.sha256 == found:
        return record
    return keep_record(entry, path, found, "found in the store", say)


def name_of(sha256: str) -> str | None:
    """The entry whose file has this sha256, by the catalogue or by what was pinned here."""
    for entry in entries():
        record = None if entry.sha256 else read_record(entry)
        if sha256 == (entry.sha256 or (record and record.sha256)):
            return entry.name
    return None


def terms(entry: Entry) -> str:
    """The licence and what it permits, in a line."""
    return f"The licence of {entry.name} is {entry.licence}. {entry.permits}"


def by_hand(entry: Entry) -> str:
    """How a person gets the file into the store."""
    what = f"the folder {entry.file}" if entry.parts else entry.file
    note = f" ({entry.note})" if entry.note else ""
    text = f"{terms(entry)} " if entry.non_commercial else ""
    where = " or by way of ".join(dict.fromkeys([*entry.urls[:1], entry.page]))
    text += f"By hand: get {what}{note} from {where}, then type likeness models add {entry.name} "
    text += "FOLDER" if entry.parts else "FILE"
    return f"{text}, or give it to likeness restore with --weights FILE" if entry.restores else text


def _checked(entry: Entry, path: Path) -> str:
    try:
        return check(entry, path)
    except WeightsError as error:
        raise WeightsError(f"{error}. To fetch it anew, type likeness models pull {entry.name}") from error


def _could_stand_in(other: Entry, entry: Entry) -> bool:
    return other.restores and other.method == entry.method and other.name != entry.name and is_here(other)


def _intact(entry: Entry, say: Say) -> bool:
    """Whether the file is there and every byte is right; says so when it is there and not right."""
    read_record(entry)  # what came before must be known before anything is fetched
    if not place(entry).exists():
        return False
    try:
        verify(entry, say)
    except WeightsError as error:
        say(str(error).partition(". To fetch")[0] + "; fetching it anew")
        return False
    return True


def _addresses(entry: Entry) -> list[str]:
    return list(entry.urls) if entry.parts else mirrored(_source(entry), entry.urls)


def _source(entry: Entry) -> str:
    """The name of the file that is fetched: the zip's, where it comes in one."""
    return PurePosixPath(urlsplit(entry.urls[0]).path).name if entry.member and entry.urls else entry.file


def _taken_out(entry: Entry, pack: Path, found: list[str]) -> tuple[Path, list[str]]:
    """The file out of the fetched zip, beside it, and its sha256; the zip is removed."""
    part = take_out(entry, pack, pack.with_name(f"{entry.file}.part"))
    try:
        sha256 = check(entry, part)
    except WeightsError:
        discard(part)
        raise
    finally:
        discard(pack)
    return part, [*found, sha256]


def _settle(entry: Entry, part: Path, sha256: str, origin: str, say: Say) -> Path:
    """Move a checked file to its place, with its record. The record is first: a pin must not be missing."""
    path = place(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    keep_record(entry, part, sha256, origin, say)
    if part.is_dir() and path.exists():
        shutil.rmtree(path)
    elif part.is_file():
        with part.open("rb+") as file:
            os.fsync(file.fileno())
    part.replace(path)
    discard(part)
    return path
