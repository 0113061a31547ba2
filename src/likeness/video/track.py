"""Follow faces from frame to frame by where they are; nobody is recognised.

The whole picture is searched every few frames; between, only the surroundings of the faces that are known, which is
several times as fast. A face that is not found is expected to go on as it moved for a few frames, then its track ends.
A scene cut ends all tracks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from likeness.faces import Detector, Face
from likeness.faces.geometry import apply_transform, compose, invert_transform, warp
from likeness.video.smooth import Steady, from_parameters, parameters

SAME = 0.3  # intersection over union with where the face is expected
NEAR = 0.5  # widths of the face from where it is expected, if the boxes do not overlap enough
LOOK = 1.6  # side of the surroundings, in sides of the aligned square
LOOK_SIDE = 256  # pixels; larger surroundings are reduced to this
_DRAG = 0.8  # what is left of a lost face's motion after a frame

Box = tuple[float, float, float, float]


@dataclass
class Track:
    """One face over time. ``values``: the smoothed parameters (``smooth.parameters``) of its last frame; ``motion``:
    their change in a frame; ``misses``: frames since it was found; ``hits``: frames in which it was."""

    number: int
    values: np.ndarray
    motion: np.ndarray
    box: Box
    score: float
    time: float
    steady: Steady
    misses: int = 0
    hits: int = 1

    def expected(self) -> np.ndarray:
        """The parameters in the next frame."""
        return np.asarray(self.values + self.motion)

    def face(self) -> Face:
        """Where it is now, smoothed; the landmarks are the corners of its box."""
        return Face(self.box, np.array(self.box).reshape(2, 2), self.score, from_parameters(self.values))

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``Track.restored``."""
        return {
            "number": self.number,
            "values": self.values.tolist(),
            "motion": self.motion.tolist(),
            "box": list(self.box),
            "score": self.score,
            "time": self.time,
            "steady": self.steady.state,
            "misses": self.misses,
            "hits": self.hits,
        }

    @classmethod
    def restored(cls, data: dict[str, Any]) -> Track:
        """From ``as_dict``."""
        arrays = {"values": np.array(data["values"]), "motion": np.array(data["motion"])}
        return cls(**{**data, **arrays, "box": tuple(data["box"]), "steady": Steady(data["steady"])})


class Tracker:
    """Finds and follows the faces of a video, frame by frame, in their order. Deterministic.

    every: frames between two searches of the whole picture. hold: frames for which a lost face is expected to be there
    yet (a face that was found n times, for n - 1 at most). steady: smooth the alignment. ``state`` is plain data from
    which another goes on exactly as this one.
    """

    def __init__(self, detector: Detector, every: int, hold: int, steady: bool, state: dict[str, Any] | None) -> None:
        state = state or {"tracks": [], "next": 1, "since": 0}
        self.detector, self.every, self.hold, self.steady = detector, every, hold, steady
        self.tracks = [Track.restored(track) for track in state["tracks"]]
        self._next: int = state["next"]
        self._since: int = state["since"]

    @property
    def state(self) -> dict[str, Any]:
        """Plain data."""
        return {"tracks": [t.as_dict() for t in self.tracks], "next": self._next, "since": self._since}

    def cut(self) -> None:
        """A new scene begins with the next frame: all tracks end."""
        self.tracks, self._since = [], 0

    def follow(self, pixels: np.ndarray, seconds: float) -> list[tuple[Track, bool]]:
        """The tracks that are in the next frame, (H, W, 3) uint8 RGB at this time, oldest first; whether it was found
        there or only expected."""
        found: dict[int, Face] = {}
        new: list[Face] = []
        if self._since % self.every == 0:
            found, new = self._match(self.detector.detect(pixels))
        self._since += 1
        for track in self.tracks:
            if track.number not in found:
                face = self._look(pixels, track)
                taken = [f.box for f in (*found.values(), *new)]
                if face is not None and all(overlap(face.box, box) < SAME for box in taken):
                    found[track.number] = face
        seen: list[tuple[Track, bool]] = []
        for track in self.tracks:
            if track.number in found:
                self._found(track, found[track.number], seconds)
            elif track.misses < min(self.hold, track.hits - 1) and _inside(track, pixels):
                _lost(track)
            else:
                continue
            seen.append((track, track.misses == 0))
        for face in new:
            track = self._begin(face, seconds)
            if self._look(pixels, track) is not None:  # seen again at another scale: clutter is mostly not
                seen.append((track, True))
        self.tracks = [track for track, _ in seen]
        return seen

    def _match(self, faces: list[Face]) -> tuple[dict[int, Face], list[Face]]:
        """Each track takes the face that fits best; the best fits first."""
        fits = sorted(
            (-fit, track.number, i)
            for track in self.tracks
            for i, face in enumerate(faces)
            if (fit := _fit(track, face)) > 0
        )
        found: dict[int, Face] = {}
        taken: set[int] = set()
        for _, number, i in fits:
            if number not in found and i not in taken:
                found[number] = faces[i]
                taken.add(i)
        return found, [face for i, face in enumerate(faces) if i not in taken]

    def _look(self, pixels: np.ndarray, track: Track) -> Face | None:
        """The face that fits best in the surroundings of where it is expected."""
        x, y, log_side, _ = track.expected()
        side = float(np.exp(log_side)) * LOOK
        size = max(32, min(LOOK_SIDE, round(side)))
        factor = size / side
        middle = (size - 1) / 2
        to_region = np.array([[factor, 0.0, middle - factor * x], [0.0, factor, middle - factor * y]])
        region = np.rint(warp(pixels, to_region, size, size) * 255).astype(np.uint8)
        faces = [_moved(face, to_region) for face in self.detector.detect(region)]
        best = max(faces, key=lambda face: _fit(track, face), default=None)
        return best if best is not None and _fit(track, best) > 0 else None

    def _found(self, track: Track, face: Face, seconds: float) -> None:
        transform = face.transform
        if self.steady:
            transform = track.steady(transform, max(seconds - track.time, 1e-3))
        values = parameters(transform)
        values[3] = track.values[3] + np.remainder(values[3] - track.values[3] + np.pi, 2 * np.pi) - np.pi
        track.motion = (values - track.values) / (track.misses + 1)
        track.hits += 1
        track.values, track.box, track.score, track.time, track.misses = values, face.box, face.score, seconds, 0

    def _begin(self, face: Face, seconds: float) -> Track:
        steady = Steady()
        transform = steady(face.transform, 1.0) if self.steady else face.transform
        track = Track(self._next, parameters(transform), np.zeros(4), face.box, face.score, seconds, steady)
        self._next += 1
        return track


def _lost(track: Track) -> None:
    x, y = track.values[:2]
    track.values = track.expected()
    track.motion = track.motion * _DRAG
    track.misses += 1
    dx, dy = track.values[0] - x, track.values[1] - y
    track.box = (track.box[0] + dx, track.box[1] + dy, track.box[2] + dx, track.box[3] + dy)


def _inside(track: Track, pixels: np.ndarray) -> bool:
    x, y = track.expected()[:2]
    return bool(0 <= x < pixels.shape[1] and 0 <= y < pixels.shape[0])


def _fit(track: Track, face: Face) -> float:
    """How well a face continues a track: above 0 if it can."""
    dx, dy = track.motion[:2]
    box = (track.box[0] + dx, track.box[1] + dy, track.box[2] + dx, track.box[3] + dy)
    both = overlap(box, face.box)
    if both >= SAME:
        return 1.0 + both
    width = box[2] - box[0]
    away = float(np.hypot(box[0] + box[2] - face.box[0] - face.box[2], box[1] + box[3] - face.box[1] - face.box[3])) / 2
    ratio = (face.box[2] - face.box[0]) / width
    return 1.0 - away / width if away < NEAR * width and 0.6 < ratio < 1.6 else 0.0


def _moved(face: Face, to_region: np.ndarray) -> Face:
    """A face that was found in a region, in the photo."""
    back = invert_transform(to_region)
    (x0, y0), (x1, y1) = apply_transform(back, np.array(face.box).reshape(2, 2))
    landmarks = apply_transform(back, face.landmarks)
    return Face((x0, y0, x1, y1), landmarks, face.score, compose(face.transform, to_region))


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
