"""What a job does: each method on each photo, with its pictures and records."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from likeness import provenance
from likeness.folder import uncertainty_picture
from likeness.memory import sha256
from likeness.methods import Restorer
from likeness.methods.progress import listening
from likeness.photo import (
    Photo,
    PhotoError,
    PhotoInput,
    add_suffix,
    assign_outputs,
    atomic_path,
    output_suffix,
    write_photo,
)
from likeness.pipeline import Session, spread
from likeness.pipeline.work import Finished
from likeness.results import FaceResult
from likeness.web.ask import Ask, Wanted
from likeness.web.jobs import Job
from likeness.web.refusal import Refused
from likeness.web.uploads import Upload
from likeness.web.words import in_words

VIEW_QUALITY = 95  # of the pictures that browsers show


@dataclass(frozen=True)
class Work:
    """An Ask as a job's work. ``load(wanted)`` gives the loaded method; it raises ValueError when it cannot be."""

    ask: Ask
    load: Callable[[Wanted], Restorer]

    def __call__(self, job: Job) -> None:
        """Fill ``job.items`` and ``job.files``. Raises Refused when not one method could run, Cancelled."""
        ask, faults = self.ask, []
        stems = assign_outputs([PhotoInput(one.path, Path(one.name)) for one in ask.photos])
        total = len(ask.photos) * len(ask.methods)
        given = self._given(job)
        for number, wanted in enumerate(ask.methods):
            done = number * len(ask.photos)
            job.tell(f"loading {wanted.name}", done, total)
            try:
                session = Session(ask.settings(wanted, given), self.load(wanted))
            except ValueError as error:  # OptionError, WeightsError, ComputeError, PhotoError
                faults.append(f"{wanted.name}: {_without(str(error), job.folder)}")
                job.notes.append(faults[-1])
                continue
            for i, (upload, stem) in enumerate(zip(ask.photos, stems, strict=True)):
                job.tell(f"{wanted.name}: {upload.name}", done + i, total)
                job.items.append(_One(job, session, wanted, upload, stem, ask).run())
        job.done, job.step = total, ""
        if len(faults) == len(ask.methods):
            raise Refused(400, "; ".join(faults))

    def _given(self, job: Job) -> dict[str, Any]:
        given: dict[str, Any] = {}
        if self.ask.references:
            given["reference"] = folder = job.folder / "references"
            folder.mkdir()
            for i, one in enumerate(self.ask.references):
                shutil.copyfile(one.path, folder / f"{i}{_suffix(one)}")
        if self.ask.mask is not None:
            given["hole"] = str(job.folder / f"mask{_suffix(self.ask.mask)}")
            shutil.copyfile(self.ask.mask.path, given["hole"])
        return given


@dataclass(frozen=True)
class _One:
    """One photo and one method."""

    job: Job
    session: Session
    wanted: Wanted
    upload: Upload
    stem: Path
    ask: Ask

    def run(self) -> dict[str, Any]:
        """The record: ``PhotoResult.as_dict`` with what the studio shows beside it."""
        began = time.perf_counter()
        try:
            photo = self.upload.read()
            finished = self._restore(photo)
            record = finished.result.as_dict()
            files = {} if finished.photo is None else self._write(photo, finished, finished.photo)
        except PhotoError as error:
            record = {"input": self.upload.name, "status": "failed", "reason": str(error), "faces": [], "notes": []}
            files = {}
        for one in (record, *record["faces"]):
            one["reason"] = one["reason"] and _without(one["reason"], self.job.folder)
        limit = self.session.recognizer.same_person
        words = [in_words(face, limit) for face in record["faces"]]
        return {
            **record,
            "photo": self.upload.id,
            "method": self.wanted.name,
            "seconds": round(time.perf_counter() - began, 3),
            "output": files.get("restored"),
            "extra_outputs": [],
            "words": [{"headline": w.headline, "detail": list(w.detail), "level": w.level} for w in words],
            "files": files,
        }

    def _restore(self, photo: Photo) -> Finished:
        session = self.session
        work = session.prepare(self.upload.name, photo)
        chosen = self.ask.faces.get(self.upload.id)
        if chosen is not None:
            work.faces = [
                face
                if i in chosen or isinstance(face, FaceResult)
                else FaceResult(face.face.box, face.face.score, "skipped", "not chosen")
                for i, face in enumerate(work.faces)
            ]
        faces = work.chosen
        shown = f"{self.wanted.name}: {self.upload.name}"
        for start in range(0, len(faces), session.batch):

            def step(done: int, total: int, first: int = start) -> None:
                self.job.tell(f"{shown}, face {first + 1} of {len(faces)}, step {done} of {total}")

            self.job.tell(f"{shown}, face {start + 1} of {len(faces)}")
            with listening(step):
                session.restore(faces[start : start + session.batch])
        self.job.tell(f"{shown}, writing")
        return session.finish(work)

    def _write(self, original: Photo, finished: Finished, photo: Photo) -> dict[str, str]:
        """The pictures, kind to name: restored (to download), before and after (to look at), and of each face."""
        files: dict[str, str] = {}

        def name(kind: str, suffix: str = ".jpg") -> Path:
            stem = self.stem if kind == "restored" else add_suffix(self.stem, f".{kind}")
            files[kind] = f"{self.wanted.name}/{add_suffix(stem, suffix)}"
            return self.job.add(files[kind])

        if finished.result.status == "kept" and not finished.enlarged:
            with atomic_path(name("restored", _suffix(self.upload))) as partial:  # its bytes, unchanged
                shutil.copyfile(self.upload.path, partial)
        else:
            facts = provenance.describe(self.session, finished.result.faces, sha256(self.upload.path))
            suffix = output_suffix(photo)
            write_photo(provenance.stamp(photo, facts, f"picture{suffix}")[0], name("restored", suffix))
        before = _resized(original.pixels, photo.height, photo.width) if finished.enlarged else original.pixels
        _view(before, name("before"), photo.icc)
        _view(photo.pixels, name("after"), photo.icc)
        boxes = [record.box for record in finished.result.faces]
        for face in finished.restored:
            title = f"face-{boxes.index(face.face.box) + 1}"
            _view(face.crop, name(f"{title}-before"), photo.icc)
            _view(face.samples[0], name(f"{title}-after"), photo.icc)
            if len(face.samples) > 1:
                _view(uncertainty_picture(spread(face.samples)), name(f"{title}-uncertainty"))
                for k, sample in enumerate(face.samples, 1):
                    _view(sample, name(f"{title}-sample-{k}"), photo.icc)
        return files


def _view(pixels: np.ndarray, path: Path, icc: bytes | None = None) -> None:
    """As an 8-bit JPEG, which every browser shows."""
    eight = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    write_photo(replace(Photo.from_array(eight), icc=icc), path, quality=VIEW_QUALITY)


def _resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    import cv2

    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC))


def _suffix(upload: Upload) -> str:
    from likeness.photo.formats import FORMATS

    return FORMATS[upload.format].suffix


def _without(text: str, folder: Path) -> str:
    """``text`` without the job's folder: paths of this machine are nobody's business."""
    return text.replace(f"{folder}/", "")
