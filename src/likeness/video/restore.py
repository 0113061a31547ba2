"""The faces of frames: restored with the noise of their track, blended in time, pasted, and measured."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from likeness.faces import crop_face, identity_distance, paste_face
from likeness.pipeline import Session
from likeness.pipeline.work import FaceWork
from likeness.video import flicker
from likeness.video.colour import add_change
from likeness.video.flicker import Flicker
from likeness.video.plan import Course
from likeness.video.read import Clip, Frame
from likeness.video.settings import VideoSettings
from likeness.video.smooth import blend, fitted, gate

JUDGE_EVERY = 5  # frames of a track between two looks at its identity, which cost as much as detecting
MEASURED = 256  # side of the crops in which flicker is measured


@dataclass
class Record:
    """What happened to one track. distance: the sum of ``looks`` identity distances to the input, every few frames.
    level: how far the restoration is shown, 0 (kept as it was) to 1; it goes there smoothly."""

    number: int
    first: int
    last: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    expected: int = 0
    looks: int = 0
    distance: float = 0.0
    farthest: float = 0.0
    kept: str | None = None
    level: float | None = None
    flicker: Flicker = field(default_factory=Flicker)

    def count(self, status: str, reason: str | None = None) -> None:
        """One more frame."""
        self.counts[status] += 1
        if reason:
            self.reasons[reason] += 1

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Record:
        """From ``dataclasses.asdict``."""
        counts, reasons = Counter(data["counts"]), Counter(data["reasons"])
        return cls(**{**data, "counts": counts, "reasons": reasons, "flicker": Flicker(**data["flicker"])})


@dataclass
class Last:
    """Of a track's last restored frame: input crop, blended crop, and both as they are in the picture (MEASURED)."""

    index: int
    crop: np.ndarray
    blended: np.ndarray | None
    before: np.ndarray
    after: np.ndarray


_SAVED = ("crop", "blended", "before", "after")


class Restoration:
    """Restores frames in their order, along the ``courses`` of their faces; ``save`` gives the state from which another
    goes on exactly as this one."""

    def __init__(self, session: Session, clip: Clip, video: VideoSettings, courses: list[Course]) -> None:
        self.session, self.clip, self.video, self.courses = session, clip, video, courses
        self.seed = session.settings.seed
        self.records: dict[int, Record] = {}
        self.moments: list[dict[str, Any]] = []
        self.wanted: set[int] = set()
        self.last: dict[int, Last] = {}
        self._ahead = deque(sorted(courses, key=lambda course: (course.first, course.number)))
        self._there: list[Course] = []

    def save(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Plain data and arrays."""
        state = {
            "records": [_plain(record) for record in self.records.values()],
            "moments": self.moments,
            "last": {str(number): last.index for number, last in self.last.items()},
        }
        arrays = {}
        for number, last in self.last.items():
            for name in _SAVED:
                if getattr(last, name) is not None:
                    arrays[f"{name}-{number}"] = getattr(last, name)
        return state, arrays

    def load(self, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Go on from what ``save`` gave."""
        self.records = {record["number"]: Record.from_dict(record) for record in state["records"]}
        self.moments = state["moments"]
        self.last = {
            int(number): Last(index, *(arrays.get(f"{name}-{number}") for name in _SAVED))  # type: ignore[arg-type]
            for number, index in state["last"].items()
        }

    def restore(self, frames: list[Frame]) -> None:
        """Restore frames that follow one another, in place; about as many as the method takes at once."""
        pictures = [frame.rgb(self.clip.colour) for frame in frames]
        found = [self._find(frame, pixels) for frame, pixels in zip(frames, pictures, strict=True)]
        works = [
            (frame, work) for frame, faces in zip(frames, found, strict=True) for _, work, weight in faces if weight
        ]
        batch = self.session.batch if self.video.noise == "track" else 1
        for start in range(0, len(works), batch):
            some = works[start : start + batch]
            if self.video.noise == "frame":
                self.session.settings = replace(self.session.settings, seed=self.seed + 1 + some[0][0].index)
            self.session.restore([work for _, work in some])
        for frame, pixels, faces in zip(frames, pictures, found, strict=True):
            self._finish(frame, pixels, faces)

    def _find(self, frame: Frame, pixels: np.ndarray) -> list[tuple[Course, FaceWork, float]]:
        """The faces of a frame, and how much of their restoration is to be shown; 0: only measured."""
        while self._ahead and self._ahead[0].first <= frame.index:
            self._there.append(self._ahead.popleft())
        self._there = [course for course in self._there if course.last >= frame.index]
        works = []
        for course in self._there:
            k = frame.index - course.first
            record = self.records.setdefault(course.number, Record(course.number, frame.index))
            record.last = frame.index
            record.expected += not course.found[k]
            if k in course.reasons:
                record.count("skipped", course.reasons[k])
            face = course.face(frame.index)
            works.append((course, FaceWork(face, crop_face(pixels, face.transform)), float(course.weight[k])))
        return works

    def _finish(self, frame: Frame, pixels: np.ndarray, faces: list[tuple[Course, FaceWork, float]]) -> None:
        after = pixels.copy()
        boxes, shown, masks = [], [], []
        for course, work, weight in faces:
            record = self.records[course.number]
            masks.append(self.session.mask.mask(work.crop))
            if not weight:
                continue
            if work.error is not None:
                record.count("failed", work.error)
                continue
            restored = self._blended(course.number, frame.index, work)
            reason = self._judge(record, work, restored)
            masks[-1] = self.session.mask.mask(restored)
            strength = self.session.settings.blend * weight * self._level(record, frame, reason)
            if strength:
                ready = fitted(restored, work.face.scale)
                boxes.append(paste_face(after, work.crop, ready, work.face.transform, masks[-1], strength=strength))
            record.count("restored" if reason is None else "kept", reason)
            shown += [work.face.transform.tolist()] if reason is None else []
            work.samples[0] = restored
        if boxes:  # once for all: faces may overlap
            x0, y0, x1, y1 = (f(edge) for f, edge in zip((min, min, max, max), zip(*boxes, strict=True), strict=True))
            add_change(frame.planes, pixels, after, self.clip.colour, (x0, y0, x1, y1))
        for (course, work, _), mask in zip(faces, masks, strict=True):
            self._measure(course.number, frame.index, work, (pixels, after), mask)
        self.last = {number: last for number, last in self.last.items() if last.index == frame.index}
        if frame.index in self.wanted:
            self.moments.append({"frame": frame.index, "face": shown[0] if shown else None})

    def _level(self, record: Record, frame: Frame, reason: str | None) -> float:
        """How far the restoration is shown when it is kept back or comes again: not at once."""
        target = 0.0 if reason else 1.0
        if record.level is None or not self.video.fade:
            record.level = target
        step = float(frame.duration * self.clip.time_base) / (self.video.fade or 1.0)
        record.level += min(step, max(-step, target - record.level))
        return min(1.0, max(0.0, record.level))

    def _blended(self, number: int, index: int, work: FaceWork) -> np.ndarray:
        """The restored crop, with some of the one before where the input did not change."""
        last = self.last.get(number)
        restored = work.samples[0]
        if last is None or last.blended is None or last.index != index - 1 or not self.video.smooth:
            return restored
        return blend(restored, last.blended, gate(work.crop, last.crop), self.video.smooth)

    def _judge(self, record: Record, work: FaceWork, restored: np.ndarray) -> str | None:
        """Why the face of the input is kept, if it is. The identity is looked at every few frames."""
        done = record.counts["restored"] + record.counts["kept"]
        if done % JUDGE_EVERY == 0:
            settings, recognizer = self.session.settings, self.session.recognizer
            seen = work.crop + np.float32(settings.blend) * (restored - work.crop)
            before, after = recognizer.embed(np.stack([work.crop, seen]))
            distance = float(identity_distance(before, after))
            record.looks += 1
            record.distance += distance
            record.farthest = max(record.farthest, distance)
            limit = settings.identity_limit
            above = limit is not None and distance > limit
            record.kept = f"identity distance is above the limit of {limit:.2f}" if above else None
        return record.kept

    def _measure(
        self, number: int, index: int, work: FaceWork, pictures: tuple[np.ndarray, np.ndarray], mask: np.ndarray
    ) -> None:
        import cv2

        before, after = (crop_face(p, work.face.transform, MEASURED) for p in pictures)
        last = self.last.get(number)
        if last is not None and last.index == index - 1:
            small = cv2.resize(mask, (MEASURED, MEASURED), interpolation=cv2.INTER_AREA)
            changes = [flicker.difference(*pair, small) for pair in ((before, last.before), (after, last.after))]
            self.records[number].flicker.add(*changes)
        blended = work.samples[0] if work.samples and not work.error else None
        self.last[number] = Last(index, work.crop, blended, before, after)


def _plain(record: Record) -> dict[str, Any]:
    data = {**vars(record), "flicker": vars(record.flicker)}
    return {**data, "counts": dict(record.counts), "reasons": dict(record.reasons)}
