"""Uploaded photos: checked on arrival, kept under random names, forgotten after a while."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from likeness.photo import Photo, PhotoError, read_photo
from likeness.web.limits import Limits
from likeness.web.refusal import Refused

CHUNK = 1 << 20
NAME_LENGTH = 120  # characters of a client's file name that are kept


@dataclass
class Upload:
    """A photo that was read once, hence can be read. ``name``: what the client calls it, only ever shown."""

    id: str
    name: str
    path: Path = field(repr=False)
    format: str
    width: int
    height: int
    bytes: int
    used: float = field(repr=False)

    def read(self) -> Photo:
        """The photo, with the client's name as its source. Raises PhotoError."""
        return replace(read_photo(self.path, max_pixels=self.width * self.height), source=Path(self.name))


class Uploads:
    """All uploads, in ``folder``; safe to use from many threads."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.limits = folder, limits
        self._known: dict[str, Upload] = {}
        self._lock = threading.Lock()
        self._reading = threading.Lock()  # one at a time: a photo takes much more memory than its file
        self._arriving: dict[str, int] = {}  # bytes so far of what is on its way

    @property
    def bytes(self) -> int:
        """What lies on disk, or is on its way there."""
        with self._lock:
            return sum(self._arriving.values()) + sum(upload.bytes for upload in self._known.values())

    def take(self, source: BinaryIO, name: str, free: Callable[[], int]) -> Upload:
        """Keep what ``source`` holds, if it is a photo. ``free()``: bytes that may still be written.

        Raises Refused: 413 too many bytes or pixels, 415 not a photo that can be read, 429 no room.
        """
        shown, token = plain_name(name), secrets.token_urlsafe(24)
        path = self.folder / token
        try:
            size = self._copy(source, path, shown, free)
            with self._reading:
                photo = self._read(path, shown)
            upload = Upload(token, shown, path, photo.format, photo.width, photo.height, size, time.monotonic())
            with self._lock:
                self._known[token] = upload
            return upload
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            with self._lock:
                self._arriving.pop(token, None)

    def _copy(self, source: BinaryIO, path: Path, shown: str, free: Callable[[], int]) -> int:
        size = 0
        with path.open("xb") as target:
            while chunk := source.read(CHUNK):
                size += len(chunk)
                with self._lock:
                    self._arriving[path.name] = size
                if size > self.limits.upload_bytes:
                    raise Refused(413, f"{shown}: larger than the limit of {_mib(self.limits.upload_bytes)}")
                if free() < 0:
                    raise Refused(429, "the studio's space on disk is used up; try again later")
                target.write(chunk)
        return size

    def _read(self, path: Path, shown: str) -> Photo:
        try:
            return read_photo(path, max_pixels=self.limits.pixels)
        except PhotoError as error:
            reason = str(error).removeprefix(f"{path}: ").replace("; make it smaller or raise max_pixels", "")
            status = 413 if "more than the limit" in reason else 415
            raise Refused(status, f"{shown}: {reason}") from None

    def get(self, token: str) -> Upload:
        """The upload so named. Raises Refused (404)."""
        with self._lock:
            upload = self._known.get(token)
            if upload is None:
                raise Refused(404, "that photo is not here (any more): upload it again")
            upload.used = time.monotonic()
            return upload

    def forget(self, in_use: set[str]) -> None:
        """Delete what has not been used for long, and the oldest beyond what may be remembered; never ``in_use``."""
        with self._lock:
            now = time.monotonic()
            idle = sorted((u for u in self._known.values() if u.id not in in_use), key=lambda u: u.used)
            beyond = max(0, len(self._known) - self.limits.remembered)
            gone = [u for i, u in enumerate(idle) if i < beyond or now - u.used > self.limits.keep_seconds]
            for upload in gone:
                del self._known[upload.id]
        for upload in gone:
            upload.path.unlink(missing_ok=True)


def plain_name(name: str) -> str:
    """A client's file name without folders and control characters, never empty; it names no file of ours."""
    last = PurePosixPath(name.replace("\\", "/")).name
    plain = "".join(c for c in last if c.isprintable() and c not in '<>:"|?*').strip(" .")
    return plain[-NAME_LENGTH:] or "photo"


def _mib(count: int) -> str:
    return f"{count / 2**20:g} MiB"
