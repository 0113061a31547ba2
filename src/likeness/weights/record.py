"""The files in the store and their records: what was found when a file came, and whether it still is as it was."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from likeness.weights.catalogue import Entry
from likeness.weights.digest import digest, fingerprint
from likeness.weights.download import looks_like_a_page
from likeness.weights.errors import WeightsError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Record:
    """What was found when a file came into the store. ``against``: what its sha256 was compared with."""

    entry: str
    sha256: str
    bytes: int
    against: str  # "catalogue" or "first use"
    origin: str
    date: str


def home() -> Path:
    """``LIKENESS_HOME``, or the platform's cache folder of the user."""
    if chosen := os.environ.get("LIKENESS_HOME"):
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("likeness", appauthor=False))


def place(entry: Entry) -> Path:
    """Where the file of ``entry`` lies or would lie."""
    return home() / "weights" / entry.file


def check(entry: Entry, path: Path) -> str:
    """Compare the file with all that is known of it; returns its sha256. Raises WeightsError."""
    if entry.parts:
        if missing := [part for part in entry.parts if not (path / part).is_file()]:
            raise WeightsError(f"{entry.file} lacks {missing[0]}")
    elif not path.is_file():
        raise WeightsError(f"{path} is not a file")
    elif looks_like_a_page(path):
        raise WeightsError(f"{entry.file} is a web page, not weights")
    elif path.stat().st_size == 0:
        raise WeightsError(f"{entry.file} is empty")
    elif entry.bytes not in (None, path.stat().st_size):
        raise WeightsError(f"{entry.file} has {path.stat().st_size} bytes, not {entry.bytes}")
    found, record = _sha256(entry, path), read_record(entry)
    if entry.sha256:
        if found != entry.sha256:
            raise WeightsError(f"{entry.file} has sha256 {found}, not {entry.sha256} ({entry.sha256_source})")
    elif record and record.sha256 != found:
        raise WeightsError(
            f"{entry.file} has sha256 {found}, not {record.sha256} as when it first came ({record.date}); if you trust "
            f"the new one, remove {record_path(entry)}"
        )
    algorithm, _, start = (entry.digest or "").partition(":")
    if start and not (other := digest(path, algorithm)).startswith(start):
        raise WeightsError(f"{entry.file} has {algorithm} {other}, not {start}")
    return found


def keep_record(entry: Entry, path: Path, sha256: str, origin: str, say: Say) -> Record:
    """Write the record of the file at ``path`` (not yet at its place, perhaps); says so when it pins the sha256."""
    files = [path / part for part in entry.parts] or [path]
    record = Record(
        entry=entry.name,
        sha256=sha256,
        bytes=sum(file.stat().st_size for file in files),
        against="catalogue" if entry.sha256 else "first use",
        origin=origin,
        date=time.strftime("%Y-%m-%d"),
    )
    if not entry.sha256 and read_record(entry) is None:
        say(f"{entry.name}: nobody has stated its sha256; pinned on first use: {sha256}")
    target = record_path(entry)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    temporary.replace(target)
    return record


def _sha256(entry: Entry, path: Path) -> str:
    """Of the file; of the names and sha256 of the parts, in order, when it is a folder."""
    if not entry.parts:
        return fingerprint(path)
    lines = "".join(f"{fingerprint(path / part)}  {part}\n" for part in entry.parts)
    return hashlib.sha256(lines.encode()).hexdigest()


def read_record(entry: Entry) -> Record | None:
    """The record, or None when nothing is known. Raises WeightsError when it is damaged."""
    path = record_path(entry)
    if not path.is_file():
        return None
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{path} is damaged: remove it and type likeness models verify {entry.name}") from error


def record_path(entry: Entry) -> Path:
    """Where the record lies: beside the file."""
    return place(entry).with_name(f"{entry.file}.json")
