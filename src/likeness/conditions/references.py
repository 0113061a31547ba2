"""Photographs of the people in the photo: aligned, screened, and matched to the faces by identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.conditions.types import Cut, Given, Missing
from likeness.faces import Detector, Recognizer, crop_face, identity_distance, load_recognizer
from likeness.photo import Photo, PhotoError, find_photos, read_photo
from likeness.weights.digest import fingerprint

MOST = 4  # references of one person that are used
SMALLEST = 96.0  # side of the crop in photo pixels: below it a reference has no detail to give
SHARPEST_SHARE = 0.25  # of the sharpest reference's detail: what has less is blurred
MATCH = 0.6  # identity distance up to which a degraded face is taken for a person


@dataclass(frozen=True)
class Person:
    """Someone with references: crops (R, 512, 512, 3) float32 RGB in [0, 1] and their identity vectors (R, D)."""

    name: str
    crops: np.ndarray
    vectors: np.ndarray


@dataclass(frozen=True)
class _Candidate:
    path: Path
    crop: np.ndarray
    vector: np.ndarray
    detail: float


class References:
    """The people of a folder: its own photos are one person's, or each of its folders is a person.

    Every photo's largest face is aligned and screened; ``notes`` says which photo is not used and why (no face, too
    small, blurred beside the person's sharpest, not the same person). Up to four of the sharpest are used. Raises
    ValueError when the folder is not there or no person has a usable photo.
    """

    name = "references"

    def __init__(self, folder: Path, detector: Detector, limit: float = MATCH) -> None:
        if not folder.is_dir():
            raise ValueError(f"reference {folder} is not a folder")
        self.folder, self.limit = folder, limit
        self.recognizer: Recognizer = load_recognizer("dlib")
        self.notes: list[str] = []
        self.used: dict[str, list[Path]] = {}
        folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        self.people = [person for path in folders or [folder] if (person := self._read(path, detector)) is not None]
        if not self.people:
            why = f" ({'; '.join(self.notes[:3])})" if self.notes else ""
            raise ValueError(f"reference {folder} holds no photograph that can be used{why}")

    def of(self, photo: Photo, file: str, faces: Sequence[Cut]) -> list[Given | Missing]:
        """A list of one (R, 3, 512, 512) array for each face that is somebody here; each person is one face at most.

        Pairs of face and person are made in the order of their distance, the nearest first.
        """
        if not faces:
            return []
        vectors = self.recognizer.embed(np.stack([crop for _, crop in faces]))
        distance = np.array([[_nearest(vector, person) for person in self.people] for vector in vectors])
        found: list[Given | Missing] = [
            Missing("kept", f"nobody in {self.folder} looks like this face (nearest at {row.min():.2f})")
            for row in distance
        ]
        open_ = distance.copy()
        while open_.min() <= self.limit:
            face, who = np.unravel_index(int(open_.argmin()), open_.shape)
            person = self.people[who]
            pictures = np.ascontiguousarray(person.crops.transpose(0, 3, 1, 2))
            count = f"{len(pictures)} reference{'s' if len(pictures) > 1 else ''}"
            found[face] = Given([pictures], f"as {person.name}, {count}, at distance {distance[face, who]:.2f}")
            open_[face, :] = open_[:, who] = np.inf
        return found

    def describe(self) -> dict[str, Any]:
        """Who there is, from which files, and what was not used."""
        files = {name: {path.name: fingerprint(path) for path in paths} for name, paths in self.used.items()}
        return {"people": files, "notes": self.notes, "limit": self.limit}

    def _read(self, folder: Path, detector: Detector) -> Person | None:
        candidates = []
        for photo in find_photos([str(folder)]):
            one = self._candidate(photo.path, detector)
            if isinstance(one, str):
                self._note(photo.path, one)
            else:
                candidates.append(one)
        candidates = self._of_one_person(self._sharp(candidates))
        if not candidates:
            return None
        best = sorted(candidates, key=lambda c: -c.detail)[:MOST]
        self.used[folder.name] = [c.path for c in best]
        return Person(folder.name, np.stack([c.crop for c in best]), np.stack([c.vector for c in best]))

    def _candidate(self, path: Path, detector: Detector) -> _Candidate | str:
        try:
            photo = read_photo(path)
        except PhotoError as error:
            return str(error)
        pixels = photo.pixels if photo.pixels.dtype == np.uint8 else (photo.pixels >> 8).astype(np.uint8)
        found = detector.detect(pixels)
        if not found:
            return "no face found"
        if found[0].size < SMALLEST:
            return f"the face is too small ({found[0].size:.0f} px)"
        crop = crop_face(photo.pixels, found[0].transform)
        return _Candidate(path, crop, self.recognizer.embed(crop[None])[0], detail(crop))

    def _sharp(self, candidates: list[_Candidate]) -> list[_Candidate]:
        floor = SHARPEST_SHARE * max((c.detail for c in candidates), default=0.0)
        for blurred in (c for c in candidates if c.detail < floor):
            self._note(blurred.path, "too blurred")
        return [c for c in candidates if c.detail >= floor]

    def _of_one_person(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """Those near the one that is nearest to all."""
        if len(candidates) < 2:
            return candidates
        vectors = np.stack([c.vector for c in candidates])
        distances = np.asarray(identity_distance(vectors[:, None], vectors[None]))
        middle = int(distances.sum(axis=1).argmin())
        same = distances[middle] <= self.recognizer.same_person
        for other in (c for c, near in zip(candidates, same, strict=True) if not near):
            self._note(other.path, "not the same person as the others")
        return [c for c, near in zip(candidates, same, strict=True) if near]

    def _note(self, path: Path, why: str) -> None:
        name = path.relative_to(self.folder).as_posix()
        self.notes.append(f"{name} is not used: {why}")


def detail(crop: np.ndarray) -> float:
    """How much fine detail there is in the inner face: the mean square of the Laplacian of its grey values."""
    import cv2

    grey = np.ascontiguousarray(crop[128:448, 128:384].mean(axis=2), np.float32)
    return float(np.square(cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 1.0), cv2.CV_32F)).mean())


def _nearest(vector: np.ndarray, person: Person) -> float:
    return float(np.min(identity_distance(vector[None], person.vectors)))
