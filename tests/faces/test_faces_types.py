"""Face, selection, and what the package promises about itself."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from likeness.faces import CHIP_TRANSFORM, DLIB5_TEMPLATE, FFHQ_TEMPLATE, Face, crop_face, select_faces
from likeness.faces.geometry import apply_transform


def face(side: float, x: float = 0.0) -> Face:
    """A face whose 512 crop covers `side` photo pixels."""
    s = 512 / side
    return Face((x, 0.0, x + side, side), np.zeros((5, 2)), 1.0, np.array([[s, 0, -x * s], [0, s, 0]]))


def test_from_landmarks_takes_them_to_the_template() -> None:
    made = Face.from_landmarks((0, 0, 9, 9), FFHQ_TEMPLATE / 4 + 30, 2, FFHQ_TEMPLATE)
    np.testing.assert_allclose(apply_transform(made.transform, made.landmarks), FFHQ_TEMPLATE, atol=1e-9)
    assert made.scale == pytest.approx(4.0)
    assert made.size == pytest.approx(128.0)


@pytest.mark.parametrize("side", [128, 512, 1024])
def test_aligned_covers_the_whole_picture(side: int) -> None:
    made = Face.aligned(side, side)
    corners = apply_transform(made.transform, np.array([[-0.5, -0.5], [side - 0.5, side - 0.5]]))
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [511.5, 511.5]])
    np.testing.assert_allclose(apply_transform(made.transform, made.landmarks), FFHQ_TEMPLATE)
    assert crop_face(np.zeros((side, side, 3), np.uint8), made.transform).shape == (512, 512, 3)


def test_aligned_refuses_what_is_not_square() -> None:
    with pytest.raises(ValueError, match="square, got 500 x 512"):
        Face.aligned(512, 500)


GOOD = {"box": (0, 0, 1, 1), "landmarks": np.zeros((5, 2)), "score": 1.0, "transform": np.eye(2, 3)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box": (0, 0, 0, 1)}, "box"),  # empty
        ({"box": (0, 0, np.inf, 1)}, "box"),
        ({"landmarks": np.zeros((5, 3))}, "landmarks"),
        ({"landmarks": np.full((5, 2), np.nan)}, "landmarks"),
        ({"score": np.nan}, "score"),
        ({"transform": np.eye(3)}, "transform"),
        ({"transform": np.full((2, 3), np.nan)}, "transform"),
        ({"transform": np.zeros((2, 3))}, "similarity"),  # nothing left of the photo
        ({"transform": np.array([[1, 0, 0], [0, 2, 0]])}, "similarity"),  # stretched
        ({"transform": np.array([[-1, 0, 0], [0, 1, 0]])}, "similarity"),  # mirrored
    ],
)
def test_a_bad_face_is_refused(change: dict, message: str) -> None:
    Face(**GOOD)
    with pytest.raises(ValueError, match=message):
        Face(**{**GOOD, **change})


def test_faces_and_constants_cannot_be_changed_by_accident() -> None:
    mine = np.eye(2, 3)
    made = Face((0, 0, 1, 1), np.zeros((5, 2)), 1.0, mine)
    mine[0, 0] = 9.0
    assert made.transform[0, 0] == 1.0
    for array in (made.transform, made.landmarks, FFHQ_TEMPLATE, DLIB5_TEMPLATE, CHIP_TRANSFORM):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1.0


def test_selection_gives_a_reason_for_each_face_left_out() -> None:
    faces = [face(100, 5), face(18), face(60)]
    assert [reason for _, reason in select_faces(faces, "all", 24)] == [
        None,
        "smaller than --min-face 24 px (18 px)",
        None,
    ]
    chosen = select_faces(faces, "largest", 24)
    assert [reason for _, reason in chosen] == [None, "not the largest face", "not the largest face"]
    assert [kept for kept, _ in chosen] == faces
    assert [reason for _, reason in select_faces(faces[1:2], "largest", 24)] == [
        "smaller than --min-face 24 px (18 px)"
    ]
    assert select_faces([], "largest", 0) == []


def test_only_one_of_two_equal_faces_is_the_largest() -> None:
    assert [reason for _, reason in select_faces([face(50), face(50, 70)], "largest", 0)] == [
        None,
        "not the largest face",
    ]


def test_selection_refuses_unknown_choices() -> None:
    with pytest.raises(ValueError, match="all, largest"):
        select_faces([], "best", 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="min_size"):
        select_faces([], "all", float("nan"))


def test_importing_loads_neither_opencv_nor_dlib_nor_torch() -> None:
    code = "import sys, likeness.faces; print([m for m in ('cv2', 'dlib', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
