"""The evidence of a face in plain words, with the numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["good", "doubtful", "bad", "none"]
LIKELY, UNLIKELY = 0.8, 1.15  # of the recogniser's limit: nearer is "likely", farther is "unlikely"


@dataclass(frozen=True)
class Words:
    """``headline``: a sentence; ``detail``: the numbers behind it, as sentences; ``level``: for its colour."""

    headline: str
    detail: tuple[str, ...]
    level: Level


def in_words(face: dict[str, Any], limit: float) -> Words:
    """What the record of a face (``FaceResult.as_dict``) says; ``limit``: its recogniser's for one person."""
    if face["identity_distance"] is None:
        level: Level = "bad" if face["status"] == "failed" else "none"
        return Words(f"{_STATUS[face['status']]}: {face['reason']}", (), level)
    distance = face["identity_distance"]
    detail = [
        f"Identity distance between the face before and after: {distance:.2f}. "
        f"Two photos of one person usually lie below {limit:.2f} ({face['recognizer']})."
    ]
    if face["uncertainty"] is not None:
        detail.append(f"The samples differ by {face['uncertainty'] * 255:.1f} of 255 levels on average.")
    if face["identity_spread"] is not None:
        detail.append(f"Identity distance between one sample and another: {face['identity_spread']:.2f}.")
    detail += [face["note"]] if face["note"] else []
    if face["status"] == "kept":
        return Words(f"Left as it was: {face['reason']}", tuple(detail), "none")
    share = distance / limit
    if share <= LIKELY:
        return Words("Still the same person: likely", tuple(detail), "good")
    if share <= UNLIKELY:
        return Words("Still the same person: doubtful", tuple(detail), "doubtful")
    return Words("Still the same person: unlikely. This may be somebody else's face", tuple(detail), "bad")


_STATUS = {"failed": "Could not be restored", "skipped": "Not restored", "kept": "Left as it was"}
