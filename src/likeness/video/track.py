"""Follow faces from frame to frame by where they are; nobody is recognised.

The whole picture is searched every few frames; between, only the surroundings of the faces that are known, which is
several times as fast. From frame to frame a face is followed by optical flow; where the detector loses it, that alone
holds it for up to a second, as long as it looks like the face. A face that appears in the middle of a scene is followed
back to before it was found. A scene cut ends all tracks.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from likeness.faces import Detector, Face
from likeness.faces.geometry import apply_transform, compose, invert_transform, warp
from likeness.video import flow
from likeness.video.flow import Grey
from likeness.video.smooth import parameters

SAME = 0.3  # intersection over union with where the face is expected
NEAR = 0.5  # widths of the face from where it is expected, if the boxes do not overlap enough
LOOK = 1.6  # side of the surroundings, in sides of the aligned square
LOOK_SIDE = 256  # pixels; larger surroundings are reduced to this
BACK = 32  # frames that are kept to follow a new face back
BLIND = 5  # frames for which a face is expected to go on as it moved when the flow fails, too
_DRAG = 0.8  # what is left of its motion then after a frame
_GAIN = 0.3  # how far the expectation goes to what was detected; `smooth.steadied` does better afterwards

Box = tuple[float, float, float, float]
FOUND, FLOWED, GUESSED = 1, 0, -1


@dataclass
class Track:
    """One face over time.

    values: the parameters (``smooth.parameters``) at which it is expected in its last frame; motion: their change in
    a frame. first: its first frame; those after follow without a gap. how: FOUND, FLOWED or GUESSED in each frame, at
    its time; path: the parameters as the flow alone says (4 each); found: as detected (4 each, zeros where not).
    """

    number: int
    first: int
    values: np.ndarray
    box: Box
    score: float
    looks: np.ndarray
    motion: np.ndarray = field(default_factory=lambda: np.zeros(4))
    how: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    path: list[list[float]] = field(default_factory=list)
    found: list[list[float]] = field(default_factory=list)
    hits: int = 1

    @property
    def last(self) -> int:
        """Its last frame."""
        return self.first + len(self.how) - 1

    @property
    def misses(self) -> int:
        """Frames since it was found."""
        return next((k for k, how in enumerate(reversed(self.how)) if how == FOUND), len(self.how))

    def add(self, how: int, seconds: float, path: np.ndarray, found: np.ndarray | None) -> None:
        """One more frame."""
        self.how.append(how)
        self.times.append(seconds)
        self.path.append(path.tolist())
        self.found.append(np.zeros(4).tolist() if found is None else found.tolist())

    def trim(self) -> None:
        """Take away the guesses at its end, and of what was followed back more frames than it was found in."""
        head = max(0, self.how.index(FOUND) - self.hits + 1)
        tail = next(k for k, how in enumerate(reversed(self.how)) if how != GUESSED)
        for rows in (self.how, self.times, self.path, self.found):
            del rows[len(rows) - tail :]
            del rows[:head]
        self.first += head

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N,) times, (N, 4) path, guesses drawn straight, and (N, 4) what was detected, NaN where nothing was."""
        how, times = np.array(self.how), np.array(self.times)
        path, found = np.array(self.path), np.array(self.found)
        found[how != FOUND] = np.nan
        known = how != GUESSED
        for column in path.T:
            column[~known] = np.interp(times[~known], times[known], column[known])
        return times, path, found

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``Track.restored``."""
        arrays = {name: getattr(self, name).tolist() for name in ("values", "motion", "looks")}
        return {**vars(self), **arrays, "box": list(self.box)}

    @classmethod
    def restored(cls, data: dict[str, Any]) -> Track:
        """From ``as_dict``."""
        arrays = {name: np.array(data[name]) for name in ("values", "motion")}
        lists = {name: list(data[name]) for name in ("how", "times", "path", "found")}
        looks = np.array(data["looks"], np.uint8)
        return cls(**{**data, **arrays, **lists, "looks": looks, "box": tuple(data["box"])})


class Tracker:
    """Finds and follows the faces of a video, frame by frame, in their order. Deterministic.

    every: frames between two searches of the whole picture. hold: seconds for which a lost face is followed yet (one
    that was found n times, for n - 1 frames at most). ``tracks`` are those in the last frame, ``ended`` the others.
    ``state`` is plain data from which another goes on exactly as this one, once it has seen the frames before again
    (``remember``).
    """

    def __init__(self, detector: Detector, every: int, hold: float, state: dict[str, Any] | None = None) -> None:
        state = state or {"tracks": [], "ended": [], "next": 1, "since": 0}
        self.detector, self.every, self.hold = detector, every, hold
        self.tracks = [Track.restored(track) for track in state["tracks"]]
        self.ended = [Track.restored(track) for track in state["ended"]]
        self._next: int = state["next"]
        self._since: int = state["since"]
        self._before: deque[Grey] = deque(maxlen=BACK)

    @property
    def state(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "tracks": [t.as_dict() for t in self.tracks],
            "ended": [t.as_dict() for t in self.ended],
            "next": self._next,
            "since": self._since,
        }

    def cut(self) -> None:
        """A new scene begins with the next frame: all tracks end."""
        self._end(self.tracks)
        self.tracks, self._since = [], 0
        self._before.clear()

    def remember(self, pixels: np.ndarray, index: int, seconds: float) -> Grey:
        """A frame that was followed before ``state`` was taken; the last BACK are needed."""
        grey = Grey.of(pixels, index, seconds)
        self._before.append(grey)
        return grey

    def follow(self, pixels: np.ndarray, index: int, seconds: float) -> list[tuple[Track, bool]]:
        """The tracks that are in the next frame, (H, W, 3) uint8 RGB at this time, oldest first; whether it was found
        there or only expected."""
        last = self._before[-1] if self._before else None
        grey = self.remember(pixels, index, seconds)
        steps: dict[int, np.ndarray | None] = {}
        for track in self.tracks:
            step = steps[track.number] = None if last is None else flow.step(last, grey, track.values)
            x, y = track.values[:2]
            if step is None:
                track.values = track.values + track.motion
            else:
                after = flow.moved(track.values, step)
                track.motion, track.values = after - track.values, after
            dx, dy = track.values[0] - x, track.values[1] - y
            track.box = (track.box[0] + dx, track.box[1] + dy, track.box[2] + dx, track.box[3] + dy)
        found, new = self._detect(pixels)
        seen: list[tuple[Track, bool]] = []
        for track in self.tracks:
            if track.number in found:
                _found(track, found[track.number], grey, steps[track.number])
            elif not self._lost(track, grey, steps[track.number]):
                self._end([track])
                continue
            seen.append((track, track.how[-1] == FOUND))
        for face in new:
            track = self._begin(face, grey)
            if self._look(pixels, track) is not None:  # seen again at another scale: clutter is mostly not
                seen.append((self._back(track), True))
        self.tracks = sorted((track for track, _ in seen), key=lambda track: track.number)
        return sorted(seen, key=lambda row: row[0].number)

    def end(self) -> list[Track]:
        """All tracks, when the video is over."""
        self._end(self.tracks)
        self.tracks = []
        return sorted(self.ended, key=lambda track: track.number)

    def _end(self, tracks: list[Track]) -> None:
        for track in tracks:
            track.trim()
            self.ended.append(track)

    def _detect(self, pixels: np.ndarray) -> tuple[dict[int, Face], list[Face]]:
        """The faces of the tracks, by their numbers, and new ones."""
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
        return found, new

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
        x, y, log_side, _ = track.values
        side = float(np.exp(log_side)) * LOOK
        size = max(32, min(LOOK_SIDE, round(side)))
        factor = size / side
        middle = (size - 1) / 2
        to_region = np.array([[factor, 0.0, middle - factor * x], [0.0, factor, middle - factor * y]])
        region = np.rint(warp(pixels, to_region, size, size) * 255).astype(np.uint8)
        faces = [_moved(face, to_region) for face in self.detector.detect(region)]
        best = max(faces, key=lambda face: _fit(track, face), default=None)
        return best if best is not None and _fit(track, best) > 0 else None

    def _lost(self, track: Track, grey: Grey, step: np.ndarray | None) -> bool:
        """Hold a track whose face was not found; False when it is over."""
        x, y = track.values[:2] * grey.factor
        inside = 0 <= x < grey.pixels.shape[1] and 0 <= y < grey.pixels.shape[0]
        misses = track.misses
        since = grey.seconds - track.times[-1 - misses]
        if not inside or misses >= track.hits - 1 or since > self.hold + 1e-6:
            return False
        if step is not None and flow.alike(track.looks, flow.appearance(grey, track.values)) > flow.ALIKE:
            track.add(FLOWED, grey.seconds, flow.moved(np.array(track.path[-1]), step), None)
            return True
        if len(track.how) >= BLIND and all(how == GUESSED for how in track.how[-BLIND:]):
            return False
        track.add(GUESSED, grey.seconds, np.array(track.path[-1]) + track.motion, None)
        track.motion = track.motion * _DRAG
        return True

    def _begin(self, face: Face, grey: Grey) -> Track:
        values = parameters(face.transform)
        looks = flow.appearance(grey, values)
        track = Track(self._next, grey.index, values, face.box, face.score, looks)
        track.add(FOUND, grey.seconds, values, values)
        self._next += 1
        return track

    def _back(self, track: Track) -> Track:
        """Follow a new face back to before it was found. Where a track that was lost is met, they are one."""
        rows: list[tuple[Grey, np.ndarray]] = []
        after, values = self._before[-1], track.values
        for grey in list(self._before)[-2::-1]:
            step = flow.step(after, grey, values)
            if step is None or self._before[-1].seconds - grey.seconds > self.hold + 1e-6:
                break
            values = flow.moved(values, step)
            if flow.alike(track.looks, flow.appearance(grey, values)) <= flow.ALIKE:
                break
            met = next((t for t in self.ended if t.last == grey.index and _near(t.values, values)), None)
            if met is not None:
                return self._joined(met, track, rows, values)
            rows.append((grey, values))
            after = grey
        if rows:
            found, track.first = track.found[0], rows[-1][0].index
            for now in (track.how, track.times, track.path, track.found):
                now.clear()
            _prepend(track, rows)
            track.add(FOUND, self._before[-1].seconds, np.array(found), np.array(found))
        return track

    def _joined(self, met: Track, track: Track, rows: list[tuple[Grey, np.ndarray]], values: np.ndarray) -> Track:
        """The lost track ``met`` goes on as ``track``; ``values``: where that was in the last frame of the lost one."""
        self.ended = [t for t in self.ended if t is not met]
        shift = np.array(met.path[-1]) - flow.unturned(values, np.array(met.path[-1]))
        _prepend(met, [(grey, row + shift) for grey, row in rows])
        for how, seconds, path, found in zip(track.how, track.times, track.path, track.found, strict=True):
            met.add(how, seconds, flow.unturned(np.array(path), values) + shift, np.array(found))
        for name in ("values", "box", "score", "looks", "motion"):
            setattr(met, name, getattr(track, name))
        met.hits += track.hits
        return met


def _prepend(track: Track, rows: list[tuple[Grey, np.ndarray]]) -> None:
    """Add frames that were followed backwards, the last first."""
    for grey, values in reversed(rows):
        track.add(FLOWED, grey.seconds, values, None)


def _found(track: Track, face: Face, grey: Grey, step: np.ndarray | None) -> None:
    found = flow.unturned(parameters(face.transform), track.values)
    if step is None:
        path = np.array(track.path[-1]) + found - (track.values - track.motion)
        track.motion = (found - (track.values - track.motion)) / (track.misses + 1)
        track.values = found
    else:
        path = flow.moved(np.array(track.path[-1]), step)
        track.values = track.values + _GAIN * (found - track.values)
    track.add(FOUND, grey.seconds, path, found)
    track.looks = flow.appearance(grey, track.values)
    track.hits += 1
    track.box, track.score = face.box, face.score


def _near(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether two alignments hold one face."""
    away = float(np.hypot(*(one - two)[:2]))
    return away < 0.3 * float(np.exp(two[2])) and abs(float(one[2] - two[2])) < 0.4


def _fit(track: Track, face: Face) -> float:
    """How well a face continues a track: above 0 if it can."""
    box = track.box
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
