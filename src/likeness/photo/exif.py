"""EXIF bytes (and any TIFF header) read and patched in place, so that everything else stays byte for byte.

Rewriting EXIF through a library moves maker notes, whose inner offsets then point nowhere. Patching does not.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

ORIENTATION = 0x0112
EXIF_IFD, USER_COMMENT = 0x8769, 0x9286
_INTEGER = {1: "B", 3: "H", 4: "I"}  # TIFF type -> struct letter


@dataclass(frozen=True)
class Ifd:
    """One directory of a TIFF structure, as positions in its bytes."""

    order: str  # "<" or ">"
    big: bool  # BigTIFF
    count_at: int
    entries: dict[int, tuple[int, int, int]]  # tag -> (type, position of the entry, position of its value field)
    next_at: int  # where the position of the next directory stands
    next_ifd: int


def exif_payload(data: bytes | None) -> bytes | None:
    """`data` without "Exif\\0\\0" prefixes; None when empty or when its first directory is not readable."""
    payload = re.sub(rb"\A(Exif\x00\x00)+", b"", data or b"")
    return payload if payload and read_ifd(payload) is not None else None


def read_ifd(data: bytes, at: int | None = None) -> Ifd | None:
    """The directory at position `at` (default: the first) of a TIFF structure; None when there is none."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None or len(data) < 8:
        return None
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    try:
        if at is None:
            at = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
        count = struct.unpack_from(order + ("Q" if big else "H"), data, at)[0]
        first, size, value = (at + 8, 20, 12) if big else (at + 2, 12, 8)
        if count == 0 or first + count * size > len(data):
            return None
        entries = {}
        for entry in range(first, first + count * size, size):
            tag, kind = struct.unpack_from(order + "HH", data, entry)
            entries[tag] = (kind, entry, entry + value)
    except struct.error:
        return None
    next_at = first + count * size
    width = 8 if big else 4
    # Some cameras leave out the last four bytes.
    last = data[next_at : next_at + width]
    next_ifd = struct.unpack(order + ("Q" if big else "I"), last)[0] if len(last) == width else 0
    return Ifd(order, big, at, entries, next_at, next_ifd)


def orientation_of(data: bytes) -> int | None:
    """The orientation tag of the first directory: 1 to 8; None when absent; 1 when it is nonsense."""
    ifd = read_ifd(data)
    if ifd is None or ORIENTATION not in ifd.entries:
        return None
    kind, _, value = ifd.entries[ORIENTATION]
    if kind not in _INTEGER:
        return 1
    number = int(struct.unpack_from(ifd.order + _INTEGER[kind], data, value)[0])
    return number if 1 <= number <= 8 else 1


def upright(data: bytes) -> bytes:
    """`data` with its orientation tag, if any, set to 1."""
    ifd = read_ifd(data)
    if ifd is None or ORIENTATION not in ifd.entries:
        return data
    _, entry, value = ifd.entries[ORIENTATION]
    patched = bytearray(data)
    struct.pack_into(ifd.order + "HH" + ("Q" if ifd.big else "I"), patched, entry, ORIENTATION, 3, 1)
    struct.pack_into(ifd.order + ("HHI" if ifd.big else "HH"), patched, value, 1, *((0, 0) if ifd.big else (0,)))
    return bytes(patched)


def without_orientation(data: bytes) -> bytes:
    """`data` with the orientation entry taken out of its first directory; the rest keeps its position.

    Empty when there was no other entry.
    """
    ifd = read_ifd(data)
    if ifd is None or ORIENTATION not in ifd.entries or ifd.big:
        return data
    if len(ifd.entries) == 1:
        return b""
    entry = ifd.entries[ORIENTATION][1]
    patched = bytearray(data)
    end = min(ifd.next_at + 4, len(data))
    patched[entry : end - 12] = data[entry + 12 : end]
    patched[end - 12 : end] = bytes(12)
    (count,) = struct.unpack_from(ifd.order + "H", data, ifd.count_at)
    struct.pack_into(ifd.order + "H", patched, ifd.count_at, count - 1)
    return bytes(patched)


def drop_thumbnail(data: bytes) -> bytes:
    """`data` whose first directory is the last: nobody finds the thumbnail in the second."""
    ifd = read_ifd(data)
    if ifd is None or ifd.next_ifd == 0:
        return data
    width = 8 if ifd.big else 4
    return data[: ifd.next_at] + bytes(width) + data[ifd.next_at + width :]


def count_ifds(data: bytes) -> int:
    """Number of chained directories (pages of a TIFF file), at least 1."""
    seen: set[int] = set()
    ifd = read_ifd(data)
    while ifd is not None and ifd.count_at not in seen:
        seen.add(ifd.count_at)
        ifd = read_ifd(data, ifd.next_ifd) if ifd.next_ifd else None
    return max(1, len(seen))


def has_text(data: bytes | None, tag: int) -> bool:
    """Whether the first directory has a text `tag` that is not blank."""
    return bool(_value(data or b"", read_ifd(data or b""), tag).strip(b" \0"))


def user_comment(data: bytes | None) -> bytes | None:
    """The UserComment, with the 8 bytes of its character code; None when there is none."""
    return _value(data or b"", _exif_ifd(data or b""), USER_COMMENT) or None


def with_user_comment(data: bytes | None, comment: bytes) -> bytes | None:
    """`data` (None: a new payload) with this UserComment, its character code included; None when `data` is damaged.

    What is there keeps its position: the directory that gets another entry is written again at the end.
    """
    first, sub = read_ifd(data or b""), _exif_ifd(data or b"")
    if (data and (first is None or first.big)) or (first and sub is None and EXIF_IFD in first.entries):
        return None
    order = first.order if first else "<"
    patched = bytearray(data or b"II*\0\0\0\0\0")

    def append(piece: bytes) -> int:
        patched.extend(bytes(len(patched) % 2))
        patched.extend(piece)
        return len(patched) - len(piece)

    def directory(old: Ifd | None, tag: int, kind: int, count: int, value: int) -> int:
        entries = {} if old is None else {t: bytes(patched[e : e + 12]) for t, (_, e, _) in old.entries.items()}
        entries[tag] = struct.pack(order + "HHII", tag, kind, count, value)
        body = b"".join(entries[t] for t in sorted(entries))
        return append(
            struct.pack(order + "H", len(entries)) + body + struct.pack(order + "I", old.next_ifd if old else 0)
        )

    exif_at = directory(sub, USER_COMMENT, 7, len(comment), append(comment))
    if first is not None and EXIF_IFD in first.entries:
        struct.pack_into(order + "HHII", patched, first.entries[EXIF_IFD][1], EXIF_IFD, 4, 1, exif_at)
    else:
        struct.pack_into(order + "I", patched, 4, directory(first, EXIF_IFD, 4, 1, exif_at))
    return bytes(patched)


def _exif_ifd(data: bytes) -> Ifd | None:
    first = read_ifd(data)
    if first is None or first.big or EXIF_IFD not in first.entries:
        return None
    return read_ifd(data, struct.unpack_from(first.order + "I", data, first.entries[EXIF_IFD][2])[0])


def _value(data: bytes, ifd: Ifd | None, tag: int) -> bytes:
    """The bytes of a value of single bytes or characters; empty when there is none."""
    if ifd is None or ifd.big or tag not in ifd.entries or ifd.entries[tag][0] not in (1, 2, 7):
        return b""
    _, entry, at = ifd.entries[tag]
    (count,) = struct.unpack_from(ifd.order + "I", data, entry + 4)
    if count > 4:
        (at,) = struct.unpack_from(ifd.order + "I", data, at)
    return data[at : at + count]
