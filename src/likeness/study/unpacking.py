"""Unpack an archive that came from elsewhere, and nothing outside its folder."""

from __future__ import annotations

import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

from likeness.study.datasets import DatasetError

T = TypeVar("T")

EXPANSION = 20  # times the size of the archive: pictures hardly compress, a bomb does
SMALLEST_CAP = 1 << 20  # bytes
_BROKEN = "is not an archive that can be unpacked"


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
    except OSError as error:
        if error.errno is not None:
            raise
        raise DatasetError(f"{archive.name} {_BROKEN}: {error}") from error  # a decompressor's
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, EOFError, NotImplementedError) as error:
        raise DatasetError(f"{archive.name} {_BROKEN}: {error}") from error


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
    with _opened(partial(zipfile.ZipFile, archive)) as packed:
        for member in packed.infolist():
            if member.is_dir():
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            budget.admit(member.filename, kind in (0, stat.S_IFREG) and not member.flag_bits & 1, 0)
            with _opened(partial(packed.open, member)) as source:
                _copy(source, folder / member.filename, budget)  # counted as it comes: what it declares may be a lie


def _opened(open_it: Callable[[], T]) -> T:
    try:
        return open_it()
    except (OSError, ValueError) as error:  # zipfile looks for something before the file's beginning
        raise zipfile.BadZipFile(str(error)) from error


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
