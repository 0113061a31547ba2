"""A folder of crops into tar shards: the same pictures give the same bytes, wherever and whenever."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness import __version__
from likeness.photo import atomic_write_text
from likeness.photo.errors import shown
from likeness.train.dataset.output import Output, key_of
from likeness.train.dataset.sources import Picture, decode, list_pictures, parts_of

INDEX = "index.json"
SIZE = 44 * 2**20  # bytes
_VERSION = 1  # counted up when shards are written in another way
_BLOCK, _END = 512, tarfile.RECORDSIZE
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


@dataclass(frozen=True)
class _Member:
    picture: Picture
    digest: str
    room: int  # bytes in the shard


def parse_size(text: str) -> int:
    """``44M`` -> bytes (K, M, G are powers of 1024). Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size < 1:
        raise ValueError(f"a size looks like 44M, got {text!r}")
    return size


def pack(
    sources: Sequence[str | Path],
    output: Path,
    size: int = SIZE,
    *,
    name: str = "faces",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Put crops into ``output/<name>-000.tar`` and so on, no shard above ``size`` bytes; returns the summary.

    The pictures go in by name, bytes untouched, with no time, owner or rights of their own (USTAR with PAX names), so
    equal pictures give equal shards. They are read by ``train.pictures`` and as a WebDataset: a sample's key is its
    name up to the first dot of its last part. A picture larger than ``size`` has a shard of its own. A folder that
    ``split`` wrote gives shards of each part, ``train-000.tar`` and so on. A picture that is no 512x512 face is failed
    and left out. ``index.json``: name, sha256, bytes and count of each shard; manifest: name, source, source_sha256,
    shard, status, dropped_by, reasons for each picture. A shard that is there and intact is not written again. Raises
    FileNotFoundError for a source without pictures, ValueError for two pictures with one key, a wrong setting or an
    output folder that holds other shards, OSError.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ValueError(f"a name of shards is made of letters, digits, - and _, got {name!r}")
    if size < 1:
        raise ValueError(f"the size of a shard must be at least 1 byte, got {size}")
    groups = _groups(sources, name)
    folder = Output(output, sources, ["*.tar"])
    (output / INDEX).unlink(missing_ok=True)
    total, done = sum(map(len, groups.values())), 0
    records: list[dict[str, Any]] = []
    plan: dict[str, list[_Member]] = {}
    for group, pictures in groups.items():
        members = []
        for picture in pictures:
            member, record = _examine(picture)
            records.append(record)
            if member is not None:
                members.append((member, record))
            done += 1
            progress(done, total)
        _place(members, group, size, plan)
    shards = []
    for shard, packed in plan.items():
        key = key_of(_VERSION, [(one.picture.name.as_posix(), one.digest) for one in packed])
        digest = folder.put(Path(shard), key, _writer(packed))
        length = (output / shard).stat().st_size
        shards.append({"shard": shard, "sha256": digest, "bytes": length, "count": len(packed)})
    folder.keep_only([Path(shard) for shard in plan])
    index = {"shards": shards, "count": sum(len(packed) for packed in plan.values())}
    atomic_write_text(output / INDEX, json.dumps(index, indent=1) + "\n")
    facts = {
        "likeness": __version__,
        "step": "pack",
        "sources": [shown(one) for one in sources],
        "settings": {"size": size, "name": name},
        **index,
    }
    return folder.report(records, facts)


def _groups(sources: Sequence[str | Path], name: str) -> dict[str, list[Picture]]:
    """Pictures by the name of their shards, each group sorted and without two pictures of one key."""
    groups: dict[str, list[Picture]] = {}
    plain: list[str | Path] = []
    for source in sources:
        parts = parts_of(Path(source))
        for part in parts:
            if any((Path(source) / part).rglob("*.*")):  # a part of few people may be empty
                groups.setdefault(part, []).extend(list_pictures([Path(source) / part]))
        plain += [] if parts else [source]
    if plain:
        groups.setdefault(name, []).extend(list_pictures(plain))
    if not groups:
        raise FileNotFoundError(f"no pictures in {', '.join(map(shown, sources))}")
    for pictures in groups.values():
        pictures.sort(key=lambda one: one.name.as_posix())
        keys: dict[str, Picture] = {}
        for one in pictures:
            other = keys.setdefault(_key(one.name), one)
            if other is not one:
                both = f"{shown(other.name)} and {shown(one.name)}"
                raise ValueError(f"{both} would be one sample, {shown(_key(one.name))!r}: rename one of them")
    return groups


def _key(name: Path) -> str:
    return (name.parent / name.name.partition(".")[0]).as_posix()


def _examine(picture: Picture) -> tuple[_Member | None, dict[str, Any]]:
    record: dict[str, Any] = {"name": shown(picture.name), "source": picture.source}
    try:
        data = picture.read()
        record["source_sha256"] = digest = hashlib.sha256(data).hexdigest()
        decode(data)
    except (OSError, ValueError) as error:
        record.setdefault("source_sha256", None)
        return None, {**record, "shard": None, "status": "failed", "dropped_by": [], "reasons": [str(error)]}
    room = len(_header(picture.name, len(data))) + -(-len(data) // _BLOCK) * _BLOCK
    return _Member(picture, digest, room), {**record, "status": "kept", "dropped_by": [], "reasons": []}


def _place(
    members: Sequence[tuple[_Member, dict[str, Any]]], group: str, size: int, plan: dict[str, list[_Member]]
) -> None:
    """Fill shard after shard, in order."""
    number, used = -1, 0
    for member, record in members:
        if number < 0 or _padded(used + member.room) > size:
            number, used = number + 1, 0
        used += member.room
        record["shard"] = f"{group}-{number:03}.tar"
        plan.setdefault(record["shard"], []).append(member)


def _padded(used: int) -> int:
    """Bytes of a tar file: two empty blocks end it, and it is a whole number of records."""
    return -(-(used + 2 * _BLOCK) // _END) * _END


def _info(name: Path, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name.as_posix())
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info


def _header(name: Path, size: int) -> bytes:
    return _info(name, size).tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _writer(members: Sequence[_Member]) -> Callable[[Path], None]:
    def write(target: Path) -> None:
        with tarfile.open(target, "w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
            for member in members:
                data = member.picture.read()
                if hashlib.sha256(data).hexdigest() != member.digest:
                    path = shown(member.picture.entry.path)
                    raise ValueError(f"{path} was changed meanwhile: run the same command again")
                tar.addfile(_info(member.picture.name, len(data)), io.BytesIO(data))

    return write
