"""The hidden folder beside the output from which an interrupted run goes on: ``.likeness-video-<output>-<key>/``.

``scan.json`` holds the faces that were found. For each finished segment there is ``segment-00012.bin`` (the packets'
bytes, one after another) and ``segment-00012.json`` (their sizes and times, and the sha256 of all), which is written
last; for the last finished one also ``state-00012.npz``, what the blending must remember. Nothing in it is ever
unpickled.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from likeness.memory import sha256
from likeness.photo import atomic_write_bytes, atomic_write_text, sweep_leftovers
from likeness.video.encode import Packet

PREFIX = ".likeness-video-"


class Work:
    """The folder of one run: ``output`` made in the way ``key`` says."""

    def __init__(self, output: Path, key: str) -> None:
        self._mine = f"{PREFIX}{hashlib.sha256(output.name.encode()).hexdigest()[:12]}-"
        self.folder = output.parent / f"{self._mine}{key[:16]}"

    def begin(self) -> None:
        """Make the folder; take away what a kill left half-written, and what was begun for this output otherwise."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for other in self.folder.parent.glob(f"{self._mine}*"):
            if other != self.folder:
                shutil.rmtree(other, ignore_errors=True)
        sweep_leftovers(self.folder)

    def finished(self) -> tuple[int, dict[str, Any], dict[str, np.ndarray]]:
        """How many segments are done and intact, one after another, and the state after the last of them.

        (0, {}, {}) for none. Of the segments before the last only the presence and size are looked at, the last and
        its state are compared with their sha256.
        """
        count = 0
        while self._whole(count):
            count += 1
        while count:
            found = self._state(count - 1)
            if found is not None:
                return count, *found
            count -= 1
        return 0, {}, {}

    def _whole(self, number: int) -> bool:
        try:
            about = self._about(number)
            size = sum(int(row[0]) for row in about["packets"])
            return self._file("segment", number, "bin").stat().st_size == size
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _state(self, number: int) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        about = self._about(number)
        path = self._file("state", number, "npz")
        try:
            data = path.read_bytes()
            intact = hashlib.sha256(data).hexdigest() == about["state_sha256"]
            if not intact or sha256(self._file("segment", number, "bin")) != about["sha256"]:
                return None
        except OSError:
            return None
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return about["state"], {name: arrays[name] for name in arrays.files}

    def save(
        self,
        number: int,
        packets: list[Packet],
        headers: bytes,
        state: dict[str, Any],
        arrays: dict[str, np.ndarray],
    ) -> None:
        """Write a segment and the state after it; the state before it is removed."""
        data = b"".join(packet.data for packet in packets)
        stream = io.BytesIO()
        np.savez(stream, **arrays)  # type: ignore[arg-type]
        atomic_write_bytes(self._file("segment", number, "bin"), data)
        atomic_write_bytes(self._file("state", number, "npz"), stream.getvalue())
        about = {
            "sha256": hashlib.sha256(data).hexdigest(),
            "state_sha256": hashlib.sha256(stream.getvalue()).hexdigest(),
            "headers": base64.b64encode(headers).decode(),
            "packets": [[len(p.data), p.pts, p.duration, p.key] for p in packets],
            "state": state,
        }
        atomic_write_text(self._file("segment", number, "json"), json.dumps(about))
        for old in self.folder.glob("state-*.npz"):
            if old != self._file("state", number, "npz"):
                old.unlink(missing_ok=True)

    def headers(self) -> bytes:
        """Of the first segment."""
        return base64.b64decode(self._about(0)["headers"])

    def segments(self, count: int) -> Iterator[list[Packet]]:
        """The packets of each segment. One segment is in memory."""
        for number in range(count):
            about = self._about(number)
            data = memoryview(self._file("segment", number, "bin").read_bytes())
            packets, start = [], 0
            for size, pts, duration, key in about["packets"]:
                packets.append(Packet(bytes(data[start : start + size]), pts, duration, key))
                start += size
            yield packets

    def times(self, count: int) -> Iterator[list[int]]:
        """The times of each segment's packets, without their bytes."""
        for number in range(count):
            yield [row[1] for row in self._about(number)["packets"]]

    def save_scan(self, found: dict[str, Any]) -> None:
        """Keep what the first pass found so far."""
        text = json.dumps(found)
        digest = hashlib.sha256(text.encode()).hexdigest()
        atomic_write_text(self.folder / "scan.json", f"{digest}\n{text}\n")

    def scan(self) -> dict[str, Any] | None:
        """What ``save_scan`` kept last; None for nothing, or nothing intact."""
        try:
            digest, text = (self.folder / "scan.json").read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            return None
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            return None
        found = json.loads(text)
        return found if isinstance(found, dict) else None

    def intend(self, digest: str) -> None:
        """Say which output (its sha256) is about to appear."""
        atomic_write_text(self.folder / "output.json", json.dumps({"sha256": digest}))

    def intended(self) -> str | None:
        """The sha256 that was said last."""
        try:
            return str(json.loads((self.folder / "output.json").read_text(encoding="utf-8"))["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remove(self) -> None:
        """All is done: the folder goes."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, what: str, number: int, suffix: str) -> Path:
        return self.folder / f"{what}-{number:05}.{suffix}"

    def _about(self, number: int) -> dict[str, Any]:
        about = json.loads(self._file("segment", number, "json").read_text(encoding="utf-8"))
        if not isinstance(about, dict):
            raise ValueError(f"segment {number} is not described")
        return about
