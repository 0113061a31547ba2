"""What happened to each face and each photo: the evidence, as validated data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Status = Literal["restored", "kept", "skipped", "failed"]


@dataclass(frozen=True)
class FaceResult:
    """The record of one face.

    ``status``: restored; kept (left as it was, on purpose); skipped (not asked for); failed. All but restored carry
    a ``reason``. ``identity_distance``: between the face before and after, by ``recognizer`` (None when not
    restored); ``same_person``: that distance is within the recogniser's threshold. ``uncertainty``: mean spread of
    the samples, in [0, 1] (None for one sample). ``identity_spread``: mean identity distance between two samples
    (None for one). ``note``: what else there is to say of how it was restored. ``seconds``: restoring, this face's
    share of its batch.
    """

    box: tuple[float, float, float, float]
    score: float
    status: Status
    reason: str | None = None
    identity_distance: float | None = None
    same_person: bool | None = None
    recognizer: str | None = None
    uncertainty: float | None = None
    identity_spread: float | None = None
    note: str | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ValueError(f"status must be one of {get_args(Status)}, got {self.status!r}")
        if (self.status == "restored") == (self.reason is not None):
            raise ValueError(f"a {self.status} face must {'not ' if self.reason else ''}have a reason: {self.reason!r}")
        if self.status == "restored" and self.identity_distance is None:
            raise ValueError("a restored face must say its identity distance")

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; numbers rounded to what they mean."""
        return {
            "box": [round(v, 1) for v in self.box],
            "score": round(self.score, 4),
            "status": self.status,
            "reason": self.reason,
            "identity_distance": _rounded(self.identity_distance),
            "same_person": self.same_person,
            "recognizer": self.recognizer,
            "uncertainty": _rounded(self.uncertainty, 5),
            "identity_spread": _rounded(self.identity_spread),
            "note": self.note,
            "seconds": round(self.seconds, 4),
        }


@dataclass(frozen=True)
class PhotoResult:
    """The record of one photo: restored (some face was), kept (written unchanged), or failed (nothing written).

    ``notes``: what had to be changed while reading it, in words.
    """

    input: str
    output: str | None
    status: Status
    reason: str | None = None
    faces: Sequence[FaceResult] = ()
    extra_outputs: Sequence[str] = ()
    seconds: float = 0.0
    notes: Sequence[str] = ()

    @property
    def failed(self) -> bool:
        """Whether the photo or one of its faces failed."""
        return self.status == "failed" or any(face.status == "failed" for face in self.faces)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "input": self.input,
            "output": self.output,
            "status": self.status,
            "reason": self.reason,
            "seconds": round(self.seconds, 4),
            "extra_outputs": list(self.extra_outputs),
            "notes": list(self.notes),
            "faces": [face.as_dict() for face in self.faces],
        }


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)


@dataclass
class Report:
    """All records of a run: what ``report.json`` holds."""

    settings: dict[str, Any]
    photos: list[dict[str, Any]] = field(default_factory=list)

    def add(self, photo: dict[str, Any]) -> None:
        """Append the record of a photo (``PhotoResult.as_dict``)."""
        self.photos.append(photo)

    @property
    def failures(self) -> list[tuple[str, str]]:
        """(input, what is wrong) of every photo and face that failed."""
        found = [(p["input"], p["reason"]) for p in self.photos if p["status"] == "failed"]
        found += [
            (p["input"], f"face {i}: {f['reason']}")
            for p in self.photos
            for i, f in enumerate(p["faces"], 1)
            if f["status"] == "failed"
        ]
        return found

    @property
    def notices(self) -> list[str]:
        """What was said of the files given beside the photos: references that were not used."""
        given = self.settings.get("given", {}).values()
        return [note for one in given if isinstance(one, dict) for note in one.get("notes", ())]

    def summary(self) -> dict[str, Any]:
        """Counts of photos and faces by status, and the identity distances of the restored faces."""
        faces = [face for photo in self.photos for face in photo["faces"]]
        distances = [f["identity_distance"] for f in faces if f["identity_distance"] is not None]
        return {
            "photos": _counts(self.photos),
            "faces": _counts(faces),
            "mean_identity_distance": round(sum(distances) / len(distances), 4) if distances else None,
            "other_person_likely": sum(1 for f in faces if f["same_person"] is False),
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**self.settings, "summary": self.summary(), "photos": self.photos}


def _counts(records: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {status: sum(1 for r in records if r["status"] == status) for status in get_args(Status)}
