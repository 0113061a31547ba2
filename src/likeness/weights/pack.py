"""Weights that are released as one file of a zip."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from likeness.weights.catalogue import Entry
from likeness.weights.errors import WeightsError

CAP = 4 * 2**30  # bytes that the file may have, unless the catalogue says how many it has
CHUNK = 1 << 20
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError)


def check_pack(entry: Entry, pack: Path) -> str:
    """That ``pack`` is a zip with the file of ``entry`` in it; returns that file's name. Raises WeightsError."""
    try:
        with zipfile.ZipFile(pack) as archive:
            return _member(entry, archive).filename
    except _BROKEN as error:
        raise WeightsError(f"{entry.name} comes in a zip, and this is none that can be read: {error}") from error


def take_out(entry: Entry, pack: Path, target: Path) -> Path:
    """Write the file of ``entry`` to ``target``, which is returned. Raises WeightsError, and leaves nothing then."""
    cap = entry.bytes or CAP
    try:
        with (
            zipfile.ZipFile(pack) as archive,
            archive.open(_member(entry, archive)) as source,
            target.open("wb") as file,
        ):
            while chunk := source.read(CHUNK):
                if file.tell() + len(chunk) > cap:
                    raise WeightsError(f"{entry.member} in the zip is larger than {cap:,} bytes")
                file.write(chunk)
    except _BROKEN as error:
        target.unlink(missing_ok=True)
        raise WeightsError(f"{entry.member} cannot be taken out of its zip: {error}") from error
    except WeightsError:
        target.unlink(missing_ok=True)
        raise
    return target


def _member(entry: Entry, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    found = [one for one in archive.infolist() if PurePosixPath(one.filename).name == entry.member]
    if len(found) != 1:
        raise WeightsError(f"the zip of {entry.name} holds {len(found)} files called {entry.member}, not one")
    if found[0].is_dir() or stat.S_ISLNK(found[0].external_attr >> 16):
        raise WeightsError(f"{entry.member} in the zip is not a plain file")
    return found[0]
