"""Landmarks from a user's file: read with care, and matched to the faces of a photo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenes
from likeness.conditions.landmarks import of_face, read_landmarks
from likeness.faces import Face
from likeness.methods import MethodCard, OptionError
from likeness.photo import Photo
from likeness.pipeline import Session, Settings, restore_photo


def points(x: float, y: float) -> list[list[float]]:
    return [[x + i % 8, y + i // 8] for i in range(68)]


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    path.write_text(json.dumps({"a.jpg": [points(0, 0), points(50, 0)], "b.jpg": [points(1, 2)]}), encoding="utf-8")
    found = read_landmarks(path)
    assert {name: a.shape for name, a in found.items()} == {"a.jpg": (2, 68, 2), "b.jpg": (1, 68, 2)}
    assert found["b.jpg"][0, 9].tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "must be an object"),
        (json.dumps({"a.jpg": [points(0, 0)[:5]]}), r"a\.jpg must hold lists of 68"),
        (json.dumps({"a.jpg": "none"}), r"a\.jpg must hold"),
        (json.dumps({"a.jpg": [points(float("nan"), 0)]}), r"a\.jpg must hold"),
    ],
)
def test_what_is_no_landmarks_is_named(text: str, match: str, tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=match) as caught:
        read_landmarks(path)
    assert "marks.json" in str(caught.value)
    with pytest.raises(ValueError, match="are not there"):
        read_landmarks(tmp_path / "absent.json")


def test_of_a_face_are_those_in_its_box_nearest_to_its_middle() -> None:
    face = Face((0, 0, 100, 100), np.zeros((1, 2)), 1.0, np.array([[2.0, 0, 10], [0, 2.0, 20]]))
    given = np.array([points(200, 200), points(5, 5), points(46, 46)])
    got = of_face(face, given)
    assert got is not None
    assert np.allclose(got, given[2] * 2 + (10, 20))
    assert of_face(face, given[:1]) is None


class Marked(scenes.Pattern):
    """Needs landmarks; keeps what it was given; refuses those with a negative number."""

    card = MethodCard("marked", "M", "none", "none", "one pass", False, needs=("landmarks",))

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[np.ndarray] = []

    def restore(self, crops: Any, *, seed: int = 0, landmarks: Any = None, **options: Any) -> Any:
        self.seen.append(landmarks)
        if (landmarks < -1000).any():
            raise OptionError("face 1: the box leaves the picture")
        return super().restore(crops, seed=seed)


def test_the_pipeline_gives_each_face_its_own(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="marked needs 68 landmarks of each face: give them with --landmarks"):
        Session(Settings(), Marked())
    group = Photo.from_array(scenes.group())
    boxes = sorted(f.box for f in restore_photo(Session(Settings(), scenes.Pattern()), group).result.faces)
    assert len(boxes) == 3
    middles = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in boxes]
    first, bad = points(*middles[0]), points(*middles[1])
    bad[0], bad[1] = [-9000.0, middles[1][1]], [9000.0 + 2 * middles[1][0], middles[1][1]]
    path = tmp_path / "marks.json"
    path.write_text(json.dumps({"group.png": [first, bad]}), encoding="utf-8")

    restorer = Marked()
    done = restore_photo(Session(Settings(landmarks=path), restorer), group, "group.png")
    assert sorted(f.status for f in done.result.faces) == ["failed", "failed", "restored"]
    reasons = sorted(f.reason for f in done.result.faces if f.reason)
    assert "no landmarks of this face" in reasons[1]
    assert reasons[0] == "marked failed: face 1: the box leaves the picture"
    assert all(seen.shape == (1, 68, 2) for seen in restorer.seen)
    centre = min((seen[0].mean(axis=0) for seen in restorer.seen), key=lambda c: float(np.hypot(*(c - 256))))
    assert np.hypot(*(centre - 256)) < 100  # in the frame of the crop
