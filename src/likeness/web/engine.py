"""The studio without a browser: photos come in, faces are found, jobs run, results expire."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from likeness import parts
from likeness.faces import Detector, Face, select_faces
from likeness.methods import Restorer
from likeness.methods import load as load_method
from likeness.pipeline import MIN_FACE
from likeness.web.ask import Ask, Wanted
from likeness.web.jobs import Job, Jobs
from likeness.web.limits import Limits
from likeness.web.memory import free_memory, too_little
from likeness.web.offer import Offer, offers
from likeness.web.refusal import Refused
from likeness.web.uploads import Upload, Uploads
from likeness.web.work import Work

LOADED = 2  # methods held in memory
SWEEP_SECONDS = 20.0


@dataclass(frozen=True)
class Found:
    """A face of an upload: ``number`` counts from 0; ``obstacle``: why it would not be restored (too small)."""

    number: int
    box: tuple[float, float, float, float]
    score: float
    obstacle: str | None


class Engine:
    """One for a process. ``device`` and ``precision`` as in ``Settings``. Everything lies below a folder of its own,
    made in ``scratch`` (the system's temporary folder by default), which ``close`` deletes."""

    def __init__(
        self,
        limits: Limits | None = None,
        scratch: Path | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        self.limits = limits or Limits()
        self.device, self.precision = device, precision
        self.folder = Path(tempfile.mkdtemp(prefix="likeness-web-", dir=scratch))
        self.uploads = Uploads(self.folder / "uploads", self.limits)
        self.jobs = Jobs(self.folder / "jobs", self.limits)
        self._loaded: OrderedDict[str, Restorer] = OrderedDict()  # by method; the jobs' thread only
        self._detectors: dict[str, Detector] = {}
        self._found: OrderedDict[tuple[str, str, bool], list[Found]] = OrderedDict()
        self._finding = threading.Lock()
        self._closed = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="sweep", daemon=True)
        self._sweeper.start()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def too_small(self) -> str | None:
        """Why this machine is too small for anything, in words; None when it is not."""
        return too_little(self.limits.memory_bytes, free_memory())

    def take(self, source: BinaryIO, name: str) -> Upload:
        """A photo from a client, with the name that it has there. Raises Refused."""
        return self.uploads.take(source, name, self._free)

    def find(self, upload: Upload, detector: str = "dlib", aligned: bool = False) -> list[Found]:
        """The faces of an upload, in the order by which ``Ask.faces`` counts them. Raises Refused."""
        key = (upload.id, detector, aligned)
        with self._finding:
            if key not in self._found:
                self._found[key] = self._find(upload, detector, aligned)
                while len(self._found) > self.limits.remembered:
                    self._found.popitem(last=False)
            return self._found[key]

    def _find(self, upload: Upload, detector: str, aligned: bool) -> list[Found]:
        pixels = upload.read().pixels
        if aligned:
            faces = [Face.aligned(*pixels.shape[:2])] if pixels.shape[0] == pixels.shape[1] else []
        else:
            if pixels.dtype == np.uint16:
                pixels = (pixels >> 8).astype(np.uint8)
            faces = self._detector(detector).detect(pixels)
        chosen = select_faces(faces, "all", MIN_FACE)
        return [Found(i, face.box, face.score, reason) for i, (face, reason) in enumerate(chosen)]

    def _detector(self, name: str) -> Detector:
        if name not in self._detectors:
            try:
                self._detectors[name] = parts.find_detector(name)
            except ValueError as error:  # unknown, or its weights are not here
                raise Refused(400, str(error)) from None
        return self._detectors[name]

    def submit(self, ask: Ask) -> Job:
        """Queue a job. Raises Refused."""
        ask.check(self.limits)
        if self._free() < 0:
            raise Refused(429, "the studio's space on disk is used up; try again later")
        used = [one.id for one in (*ask.photos, *ask.references, *([ask.mask] if ask.mask else []))]
        for token in used:
            self.uploads.get(token)
        return self.jobs.submit(Work(ask, self._load), frozenset(used))

    def methods(self) -> list[Offer]:
        """What can be chosen, and what stands in the way."""
        return offers()

    def _load(self, wanted: Wanted) -> Restorer:
        key = wanted.method
        if key not in self._loaded:
            while len(self._loaded) >= LOADED:
                self._loaded.popitem(last=False)
            self._loaded[key] = load_method(wanted.method, device=self.device, precision=self.precision)
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def _free(self) -> int:
        on_disk = shutil.disk_usage(self.folder).free - 2**28  # some is left to everybody else
        return min(on_disk, self.limits.scratch_bytes - self.uploads.bytes - self.jobs.bytes)

    def _sweep(self) -> None:
        while not self._closed.wait(min(SWEEP_SECONDS, self.limits.keep_seconds)):
            self.sweep()

    def sweep(self) -> None:
        """Delete what has expired."""
        self.jobs.forget()
        self.uploads.forget(self.jobs.in_use())

    def close(self) -> None:
        """Stop all jobs and delete every upload and result."""
        self._closed.set()
        self.jobs.close()
        self._sweeper.join()
        shutil.rmtree(self.folder)
