"""The records of faces and photos: what they refuse, what they count."""

from __future__ import annotations

import json
from typing import Any

import pytest

from likeness.results import FaceResult, PhotoResult, Report

BOX = (1.04, 2.06, 30.0, 40.0)


def restored(distance: float = 0.25, same: bool = True) -> FaceResult:
    return FaceResult(BOX, 1.5, "restored", None, distance, same, "dlib", seconds=0.5)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"status": "done"}, "status must be one of"),  # not a status
        ({"status": "kept"}, "must have a reason"),  # left alone, and not said why
        ({"status": "skipped"}, "must have a reason"),
        ({"status": "failed"}, "must have a reason"),
        ({"status": "restored", "reason": "x", "identity_distance": 0.1}, "must not have a reason"),
        ({"status": "restored"}, "identity distance"),  # restored without evidence
    ],
)
def test_a_face_record_that_contradicts_itself_is_refused(fields: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        FaceResult(BOX, 1.0, **fields)


def test_a_face_record_becomes_plain_rounded_data() -> None:
    face = FaceResult(BOX, 1.23456, "restored", None, 0.123456, True, "dlib", 0.0123456, 0.45678, "by hand", 0.98765432)
    assert json.loads(json.dumps(face.as_dict())) == {
        "box": [1.0, 2.1, 30.0, 40.0],
        "score": 1.2346,
        "status": "restored",
        "reason": None,
        "identity_distance": 0.1235,
        "same_person": True,
        "recognizer": "dlib",
        "uncertainty": 0.01235,
        "identity_spread": 0.4568,
        "note": "by hand",
        "seconds": 0.9877,
    }


def test_a_photo_fails_with_any_of_its_faces() -> None:
    broken = FaceResult(BOX, 1.0, "failed", "out of memory")
    assert PhotoResult("a", "a.jpg", "restored", faces=(restored(), broken)).failed
    assert PhotoResult("a", None, "failed", "not a picture").failed
    assert not PhotoResult("a", "a.jpg", "restored", faces=(restored(),)).failed
    assert not PhotoResult("a", "a.jpg", "kept", "no face found").failed


def test_a_report_counts_and_names_what_failed() -> None:
    report = Report({"likeness": "1"})
    skipped = FaceResult(BOX, 1.0, "skipped", "too small")
    broken = FaceResult(BOX, 1.0, "failed", "out of memory")
    faces = (restored(0.2), restored(0.6, same=False), skipped, broken)
    report.add(PhotoResult("a.jpg", "a.jpg", "restored", None, faces).as_dict())
    report.add(PhotoResult("b.jpg", None, "failed", "b.jpg: not a picture").as_dict())
    report.add(PhotoResult("c.jpg", "c.jpg", "kept", "no face found").as_dict())

    assert sorted(report.failures) == [("a.jpg", "face 4: out of memory"), ("b.jpg", "b.jpg: not a picture")]
    assert report.summary() == {
        "photos": {"restored": 1, "kept": 1, "skipped": 0, "failed": 1},
        "faces": {"restored": 2, "kept": 0, "skipped": 1, "failed": 1},
        "mean_identity_distance": 0.4,
        "other_person_likely": 1,
    }
    plain = json.loads(json.dumps(report.as_dict()))
    assert plain["likeness"] == "1"
    assert [p["input"] for p in plain["photos"]] == ["a.jpg", "b.jpg", "c.jpg"]


def test_an_empty_report_has_no_mean() -> None:
    report = Report({})
    assert report.failures == []
    assert report.summary()["mean_identity_distance"] is None
