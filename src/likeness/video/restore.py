"""The faces of frames: followed, restored with the noise of their track, blended in time, pasted, and measured."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from likeness.faces import crop_face, identity_distance, paste_face
from likeness.pipeline import FaceWork, Session
from likeness.video import cuts, flicker
from likeness.video.colour import add_change
from likeness.video.errors import VideoError
from likeness.video.flicker import Flicker
from likeness.video.read import Clip, Frame
from likeness.video.settings import VideoSettings
from likeness.video.smooth import blend, gate
from likeness.video.track import Track, Tracker

JUDGE_EVERY = 5  # frames of a track between two looks at its identity, which cost as much as detecting
MEASURED = 256  # side of the crops in which flicker is measured
_RELAXED = 0.8  # a track that was large enough may shrink to this share of --min-face before it is left


@dataclass
class Record:
    """What happened to one track. ``distances``: identity distances to the input, every few frames."""

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
    blended: np.ndarray
    before: np.ndarray
    after: np.ndarray


class Restoration:
    """Restores frames in their order; ``save`` gives the state from which another goes on exactly as this one."""

    def __init__(self, session: Session, clip: Clip, video: VideoSettings) -> None:
        if session.detector is None:
            raise VideoError("--aligned is for pictures, not for video")
        if session.conditions:
            needs = " and ".join(session.restorer.card.needs)
            raise VideoError(f"{session.restorer.card.name} needs {needs}, which video cannot give; use another method")
        self.session, self.clip, self.video = session, clip, video
        self.seed = session.settings.seed
        self.detector = session.detector
        self.records: dict[int, Record] = {}
        self.cuts: list[int] = []
        self.moments: list[dict[str, Any]] = []
        self.wanted: set[int] = set()
        self.last: dict[int, Last] = {}
        self._chosen: int | None = None
        self._thumbnail: np.ndarray | None = None
        self.tracker = self._tracker(None)

    def _tracker(self, state: dict[str, Any] | None) -> Tracker:
        return Tracker(self.detector, self.video.detect_every, self.video.hold, self.video.steady, state)

    def save(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Plain data and arrays."""
        state = {
            "tracker": self.tracker.state,
            "records": [_plain(record) for record in self.records.values()],
            "cuts": self.cuts,
            "moments": self.moments,
            "chosen": self._chosen,
            "last": {str(number): last.index for number, last in self.last.items()},
        }
        arrays = {} if self._thumbnail is None else {"thumbnail": self._thumbnail}
        for number, last in self.last.items():
            for name in ("crop", "blended", "before", "after"):
                arrays[f"{name}-{number}"] = getattr(last, name)
        return state, arrays

    def load(self, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Go on from what ``save`` gave."""
        self.tracker = self._tracker(state["tracker"])
        self.records = {record["number"]: Record.from_dict(record) for record in state["records"]}
        self.cuts, self.moments, self._chosen = state["cuts"], state["moments"], state["chosen"]
        self._thumbnail = arrays.get("thumbnail")
        self.last = {
            int(number): Last(index, *(arrays[f"{name}-{number}"] for name in ("crop", "blended", "before", "after")))
            for number, index in state["last"].items()
        }

    def restore(self, frames: list[Frame]) -> None:
        """Restore frames that follow one another, in place; about as many as the method takes at once."""
        pictures = [frame.rgb(self.clip.colour) for frame in frames]
        found = [self._find(frame, pixels) for frame, pixels in zip(frames, pictures, strict=True)]
        works = [(frame, work) for frame, faces in zip(frames, found, strict=True) for _, work in faces]
        batch = self.session.batch if self.video.noise == "track" else 1
        for start in range(0, len(works), batch):
            some = works[start : start + batch]
            if self.video.noise == "frame":
                self.session.settings = replace(self.session.settings, seed=self.seed + 1 + some[0][0].index)
            self.session.restore([work for _, work in some])
        for frame, pixels, faces in zip(frames, pictures, found, strict=True):
            self._finish(frame, pixels, faces)

    def _find(self, frame: Frame, pixels: np.ndarray) -> list[tuple[int, FaceWork]]:
        """The faces of a frame that are to be restored, with the numbers of their tracks."""
        small = cuts.thumbnail(pixels)
        if self._thumbnail is not None and cuts.is_cut(self._thumbnail, small):
            self.cuts.append(frame.index)
            self.tracker.cut()
        self._thumbnail = small
        eight = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
        seen = self.tracker.follow(eight, float(frame.pts * self.clip.time_base))
        tracks = [track for track, _ in seen]
        self._choose(tracks)
        works = []
        for track, found in seen:
            record = self.records.setdefault(track.number, Record(track.number, frame.index))
            record.last = frame.index
            record.expected += not found
            face = track.face()
            reason = self._left_out(track, face.size, record)
            if reason is None:
                works.append((track.number, FaceWork(face, crop_face(pixels, face.transform))))
            else:
                record.count("skipped", reason)
        return works

    def _choose(self, tracks: list[Track]) -> None:
        """With --faces largest: one face, and the same one as long as it is there."""
        if self._chosen not in {track.number for track in tracks}:
            largest = max(tracks, key=lambda track: track.values[2], default=None)
            self._chosen = largest.number if largest else None

    def _left_out(self, track: Track, size: float, record: Record) -> str | None:
        settings = self.session.settings
        if settings.faces == "largest" and track.number != self._chosen:
            return "not the largest face"
        limit = settings.min_face * (_RELAXED if record.counts["restored"] else 1.0)
        return f"smaller than --min-face {settings.min_face:g} px" if size < limit else None

    def _finish(self, frame: Frame, pixels: np.ndarray, faces: list[tuple[int, FaceWork]]) -> None:
        after = pixels.copy()
        pasted, boxes = [], []
        for number, work in faces:
            record = self.records[number]
            if work.error is not None:
                record.count("failed", work.error)
                continue
            restored = self._blended(number, frame.index, work)
            reason = self._judge(record, work, restored)
            mask = self.session.mask.mask(restored)
            if reason is None:
                strength = self.session.settings.blend
                boxes.append(paste_face(after, work.crop, restored, work.face.transform, mask, strength=strength))
            record.count("restored" if reason is None else "kept", reason)
            pasted.append((number, work, restored, mask, reason))
        if boxes:  # once for all: faces may overlap
            x0, y0, x1, y1 = (f(edge) for f, edge in zip((min, min, max, max), zip(*boxes, strict=True), strict=True))
            add_change(frame.planes, pixels, after, self.clip.colour, (x0, y0, x1, y1))
        for number, work, restored, mask, reason in pasted:
            self._measure(number, frame.index, work, restored, (pixels, after), mask, reason)
        alive = {track.number for track in self.tracker.tracks}
        # A frame in the middle of a batch may have tracks that the tracker has ended since.
        self.last = {n: last for n, last in self.last.items() if n in alive or last.index == frame.index}
        if frame.index in self.wanted:
            shown = [work.face.transform.tolist() for _, work, _, _, reason in pasted if reason is None]
            self.moments.append({"frame": frame.index, "face": shown[0] if shown else None})

    def _blended(self, number: int, index: int, work: FaceWork) -> np.ndarray:
        """The restored crop, with some of the one before where the input did not change."""
        last = self.last.get(number)
        restored = work.samples[0]
        if last is None or last.index != index - 1 or not self.video.smooth:
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
        self,
        number: int,
        index: int,
        work: FaceWork,
        restored: np.ndarray,
        pictures: tuple[np.ndarray, np.ndarray],
        mask: np.ndarray,
        reason: str | None,
    ) -> None:
        import cv2

        before, after = (crop_face(p, work.face.transform, MEASURED) for p in pictures)
        last = self.last.get(number)
        if last is not None and last.index == index - 1 and reason is None:
            small = cv2.resize(mask, (MEASURED, MEASURED), interpolation=cv2.INTER_AREA)
            changes = [flicker.difference(*pair, small) for pair in ((before, last.before), (after, last.after))]
            self.records[number].flicker.add(*changes)
        self.last[number] = Last(index, work.crop, restored, before, after)


def _plain(record: Record) -> dict[str, Any]:
    data = {**vars(record), "flicker": vars(record.flicker)}
    return {**data, "counts": dict(record.counts), "reasons": dict(record.reasons)}
