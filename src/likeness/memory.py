"""What an output folder remembers of each photo, so that nothing is done twice and nothing of others is replaced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from likeness.photo import PhotoError, atomic_write_text

FOLDER = ".likeness"
LOCK = "lock"


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Within it no other process works in the folder ``output``. Raises PhotoError when one does; OSError."""
    folder = output / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PhotoError(f"{output}: another process is restoring into this folder; wait, or choose another") from None
    try:
        yield
    finally:
        lock.release()


class Memory:
    """The memory of one photo, ``OUT/.likeness/<stem>.json``.

    It holds ``key`` (how: settings, weights, version), ``input_sha256`` (from what), ``outputs`` (into what: name to
    sha256) and ``record``. It is written before the pictures, as an intention without record, and again after them.
    """

    def __init__(self, path: Path, output: Path, key: str) -> None:
        self.path, self.output, self.key = path, output, key
        self._last = self._read()

    def _read(self) -> dict[str, Any]:
        damaged = {"outputs": {}, "damaged": True}
        try:
            memory = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"outputs": {}}
        except (OSError, ValueError):  # then all is made again
            return damaged
        return memory if isinstance(memory, dict) and isinstance(memory.get("outputs"), dict) else damaged

    def recall(self, photo: Path) -> dict[str, Any] | None:
        """The record, when the photo was done in this very way and it and its outputs are unchanged."""
        record = self._last.get("record")
        if self._last.get("key") != self.key or not record:
            return None
        if any(face["status"] == "failed" for face in record["faces"]):  # out of memory then, perhaps not now
            return None
        try:
            intact = sha256(photo) == self._last["input_sha256"] and all(
                sha256(self.output / name) == digest for name, digest in self._last["outputs"].items()
            )
        except OSError:  # an input or output that cannot be read is not intact; doing it again will say why
            return None
        return record if intact else None

    def owns(self, name: str) -> bool:
        """Whether the file ``name`` (relative to the output folder) was made for this photo, or was about to be.

        A memory that is damaged shows that something was made; then any name is taken for ours.
        """
        return name in self._last["outputs"] or "damaged" in self._last

    def intend(self, names: Sequence[str]) -> None:
        """Say which files will be written, before they are."""
        before = self._last["outputs"]
        self._write({"key": self.key, "outputs": {**before, **dict.fromkeys(names)}, "record": None})

    def done(self, photo: Path, names: Sequence[str], record: dict[str, Any]) -> None:
        """Remember that the files are written; files of an earlier way that are ours and unchanged are removed."""
        for name, digest in self._last["outputs"].items():
            path = self.output / name
            if name not in names and path.is_file() and digest == sha256(path):
                path.unlink()
        outputs = {name: sha256(self.output / name) for name in names}
        self._write({"key": self.key, "input_sha256": sha256(photo), "outputs": outputs, "record": record})

    def _write(self, memory: dict[str, Any]) -> None:
        atomic_write_text(self.path, json.dumps(memory, ensure_ascii=False))
        self._last = memory


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
