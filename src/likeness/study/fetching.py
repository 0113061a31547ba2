"""Fetch a data set and unpack it: through the same downloader as weights, and pinned on first use as they are.

``LIKENESS_MIRROR``, ``LIKENESS_OFFLINE`` and the variables of proxies count as they do for weights.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from likeness.study.datasets import (
    Archive,
    Dataset,
    DatasetError,
    DatasetLicenceError,
    check,
    find,
    how_to_get,
    places,
    terms,
)
from likeness.study.figshare import figshare_address
from likeness.study.unpacking import unpack

Say = Callable[[str], None]
Progress = Callable[[int, int | None], None]


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
    if not dataset.archives or not all(archive.figshare or _addresses(archive) for archive in dataset.archives):
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
                urls = _addresses(archive) or [figshare_address(archive)]
                origin = download(urls, part, inspect, archive.bytes, progress)
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
