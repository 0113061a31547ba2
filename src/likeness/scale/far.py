"""One photo whose input or output is behind an address: fetched, restored in a folder of its own, sent whole.

The order of what is written is that of ``memory``: the intention, the pictures, the record. So a worker that is
killed leaves pictures that are known to be ours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness import memory
from likeness.folder import Task
from likeness.memory import Memory
from likeness.photo import PhotoError, add_suffix, atomic_write_text
from likeness.scale import places


class FarMemory(Memory):
    """``Memory`` of a photo whose outputs are below the address ``far``; ``output`` holds copies of them."""

    def __init__(self, stem: Path, output: Path, key: str, far: str) -> None:
        self.far = far
        self._address = places.join(far, f"{memory.FOLDER}/{add_suffix(stem, '.json').as_posix()}")
        super().__init__(output / memory.FOLDER / add_suffix(stem, ".json"), output, key)

    def _read(self) -> dict[str, Any]:
        data = places.fetch_bytes(self._address)
        if data is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(data)
        return super()._read()

    def recall(self, photo: Path) -> dict[str, Any] | None:
        """The record, when the photo was done in this very way; its outputs are fetched to be compared."""
        if self._last.get("key") == self.key and self._last.get("record"):
            try:
                self._fetch(self._last["outputs"])
            except PhotoError:  # it is not intact; doing it again will say why
                return None
        return super().recall(photo)

    def done(self, photo: Path, names: Sequence[str], record: dict[str, Any]) -> None:
        """Send the pictures, then remember; files of an earlier way that are ours and unchanged are removed."""
        for name in names:
            places.send(self.output / name, places.join(self.far, name))
        earlier = [name for name in self._last["outputs"] if name not in names]
        there = [name for name in earlier if places.exists(places.join(self.far, name))]
        self._fetch(there)
        super().done(photo, names, record)
        for name in there:
            if not (self.output / name).exists():
                places.remove(places.join(self.far, name))

    def _fetch(self, names: Sequence[str]) -> None:
        for name in names:
            places.fetch(places.join(self.far, name), self.output / name)

    def _write(self, memory: dict[str, Any]) -> None:
        atomic_write_text(self.path, json.dumps(memory, ensure_ascii=False))
        places.send(self.path, self._address)
        self._last = memory


@dataclass(frozen=True)
class FarTask(Task):
    """A task whose outputs are below the address ``far``."""

    far: str = ""

    def exists(self, name: str) -> bool:
        """Whether there is a file ``name`` below the address."""
        return places.exists(places.join(self.far, name))


def bring(source: str, folder: Path) -> Path:
    """The file of an input: itself, or a copy below ``folder``. Raises PhotoError."""
    if not places.is_address(source):
        return Path(source)
    file = folder / Path(source).name
    places.fetch(source, file)
    return file


def make_task(source: str, stem: Path, output: str, key: str, scratch: Path) -> Task:
    """The task of one photo; copies go below ``scratch``. Raises PhotoError when its storage cannot be reached."""
    file = bring(source, scratch / "in" / stem)
    if not places.is_address(output):
        where = Path(output)
        return Task(file, stem, Memory(where / memory.FOLDER / add_suffix(stem, ".json"), where, key), source)
    return FarTask(file, stem, FarMemory(stem, scratch / "out", key, output), source, output)
