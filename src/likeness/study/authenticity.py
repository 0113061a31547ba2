"""Is a restoration authentic: does it leave a clean face alone, and its own result (papers/001, eq. 2-3)?

A restoration f is authentic when f(x) = x for a clean picture x, and f(f(x)) = f(x). Both are measured on the aligned
faces, through 8 bits as files would be, over any number of repetitions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from likeness.faces import identity_distance
from likeness.measure import psnr
from likeness.photo import find_photos
from likeness.pipeline import Session
from likeness.pipeline.work import FaceWork
from likeness.study.statistics import Estimate, bootstrap


@dataclass(frozen=True)
class Repetition:
    """A face after k restorations (k = 1, 2, ...), against the clean one and against what it was one before.

    PSNR in dB (inf for equal pictures), identity as the recogniser's distance.
    """

    psnr_to_clean: float
    identity_to_clean: float
    psnr_to_last: float


@dataclass(frozen=True)
class FaceDrift:
    """What repeated restoration does to one face: one Repetition each time, or why there are none."""

    source: str
    number: int
    repetitions: tuple[Repetition, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Summary:
    """Over all faces, for the k-th repetition: the worst, the median, and the mean with its interval."""

    psnr_to_clean: tuple[float, float]
    psnr_to_last: tuple[float, float]
    identity_to_clean_worst: float
    identity_to_clean: Estimate


@dataclass(frozen=True)
class Authenticity:
    """All faces, and files in which no face could be restored."""

    method: str
    recognizer: str
    faces: tuple[FaceDrift, ...]
    problems: tuple[str, ...]

    def summary(self, k: int) -> Summary:
        """After ``k`` restorations. Raises ValueError when there are no faces."""
        chosen = [face.repetitions[k - 1] for face in self.faces if face.error is None]
        if not chosen:
            raise ValueError("no face was restored")
        identity = np.array([one.identity_to_clean for one in chosen])
        return Summary(
            _worst_and_median([one.psnr_to_clean for one in chosen]),
            _worst_and_median([one.psnr_to_last for one in chosen]),
            float(identity.max()),
            bootstrap(identity),
        )


def measure_authenticity(
    paths: Sequence[str | Path],
    session: Session,
    repeats: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Authenticity:
    """Restore every face of clean photographs ``repeats`` times over. Raises PhotoError when there are no photos."""
    if repeats < 1:
        raise ValueError(f"there must be at least one repetition, got {repeats}")
    found = find_photos(paths)
    faces: list[FaceDrift] = []
    problems: list[str] = []
    for done, photo in enumerate(found, 1):
        work = session.prepare(str(photo.path), photo.path)
        if work.error is not None:
            problems.append(work.error)
        elif not work.chosen:
            problems.append(f"{photo.path}: no face found")
        for number, face in enumerate(work.chosen, 1):
            drift = _drift(session, face, str(photo.path), number, repeats)
            faces.append(drift)
            if drift.error is not None:
                problems.append(f"{photo.path}: face {number}: {drift.error}")
        progress(done, len(found))
    return Authenticity(session.restorer.card.name, session.recognizer.name, tuple(faces), tuple(problems))


def _drift(session: Session, face: FaceWork, source: str, number: int, repeats: int) -> FaceDrift:
    clean = _eight_bit(face.crop)
    person = session.recognizer.embed(clean[None])[0]
    last, repetitions = clean, []
    for _ in range(repeats):
        again = replace(face, crop=last, samples=[], error=None)
        session.restore([again])
        if again.error is not None:
            return FaceDrift(source, number, error=again.error)
        new = _eight_bit(again.samples[0])
        distance = float(identity_distance(person, session.recognizer.embed(new[None])[0]))
        repetitions.append(Repetition(psnr(new, clean), distance, psnr(new, last)))
        last = new
    return FaceDrift(source, number, tuple(repetitions))


def _eight_bit(crop: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(crop.clip(0, 1) * 255), np.float32) / np.float32(255)


def _worst_and_median(values: list[float]) -> tuple[float, float]:
    return min(values), float(np.median(values))
