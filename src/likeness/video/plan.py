"""Which face is restored in which frame, where exactly, and how much: from the tracks of the whole video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from likeness.faces import Face
from likeness.faces.geometry import apply_transform, invert_transform
from likeness.faces.template import DLIB_BOX
from likeness.pipeline import Settings
from likeness.video.settings import VideoSettings
from likeness.video.smooth import SIGMA, from_parameters, steadied
from likeness.video.track import FOUND, Track

_RELAXED = 0.8  # a face that was large enough may shrink to this share of --min-face before it is left


@dataclass
class Course:
    """One face: its frames from ``first`` on. values: (N, 4) ``smooth.parameters``; weight: (N,) share of the
    restoration, 0 where it is left out, for the ``reasons`` there; found: (N,) where the detector saw it."""

    number: int
    first: int
    score: float
    times: np.ndarray
    values: np.ndarray
    found: np.ndarray
    weight: np.ndarray
    reasons: dict[int, str] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """Its last frame."""
        return self.first + len(self.values) - 1

    @property
    def sizes(self) -> np.ndarray:
        """(N,) sides of the aligned square in pixels of the video."""
        return np.asarray(np.exp(self.values[:, 2]))

    def face(self, index: int) -> Face:
        """In frame ``index``; the landmarks are the corners of its box."""
        transform = from_parameters(self.values[index - self.first])
        corners = np.array(DLIB_BOX, np.float64).reshape(2, 2)
        sides = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]) * (corners[1] - corners[0]) + corners[0]
        points = apply_transform(invert_transform(transform), sides)
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        return Face((x0, y0, x1, y1), points[2:], self.score, transform)


def make_plan(
    tracks: Sequence[Track], cuts: Sequence[int], frames: int, settings: Settings, video: VideoSettings
) -> list[Course]:
    """The courses of all tracks of a video with ``frames`` frames and new scenes at ``cuts``, by their numbers."""
    sigma = SIGMA if video.steady else 0.0
    courses = []
    for track in tracks:
        values = steadied(*(arrays := track.arrays()), sigma)
        found = np.array(track.how) == FOUND
        courses.append(Course(track.number, track.first, track.score, arrays[0], values, found, np.ones(len(values))))
    if settings.faces == "largest":
        _leave_all_but_one(courses, frames)
    for course in courses:
        _leave_small(course, settings.min_face)
        active = np.array([k not in course.reasons for k in range(len(course.values))])
        sudden = course.first in (0, *cuts), course.last + 1 in (frames, *cuts)
        course.weight = fades(course.times, active, sudden, video.fade)
    return courses


def fades(times: np.ndarray, active: np.ndarray, sudden: tuple[bool, bool], seconds: float) -> np.ndarray:
    """(N,) weights, 0 where not ``active``, that rise and fall smoothly within ``seconds`` at both ends of each run.

    sudden: whether the first frame begins, the last ends at once, as at a cut.
    """
    weights = active.astype(np.float64)
    if not seconds:
        return weights
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    for start, stop in edges.reshape(-1, 2):
        run = times[start:stop]
        frame = (run[-1] - run[0]) / max(1, len(run) - 1)
        for away, none in ((run - run[0], start == 0 and sudden[0]), (run[-1] - run, stop == len(times) and sudden[1])):
            if not none:
                share = np.clip((away + frame) / (seconds + frame), 0, 1)
                weights[start:stop] *= share * share * (3 - 2 * share)
    return weights


def _leave_all_but_one(courses: list[Course], frames: int) -> None:
    """With --faces largest: one face, and the same one as long as it is there."""
    chosen: Course | None = None
    for index in range(frames):
        if chosen is None or not chosen.first <= index <= chosen.last:
            there = [c for c in courses if c.first <= index <= c.last]
            chosen = max(there, key=lambda c: float(c.values[index - c.first, 2]), default=None)
        for course in courses:
            if course is not chosen and course.first <= index <= course.last:
                course.reasons[index - course.first] = "not the largest face"


def _leave_small(course: Course, limit: float) -> None:
    large = False
    for k, size in enumerate(course.sizes):
        large = bool(size >= limit * (_RELAXED if large else 1.0))
        if not large:
            course.reasons.setdefault(k, f"smaller than --min-face {limit:g} px")
