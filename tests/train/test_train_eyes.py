"""Other eyes: found where they are, changed and nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import scenes
from likeness.faces.template import FFHQ_TEMPLATE
from likeness.train.eyes import IRIS, find_pupil, other_eyes

SKIN, SCLERA, BLUE = (0.8, 0.62, 0.52), (0.92, 0.9, 0.88), (0.42, 0.5, 0.56)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(dx: float = 0.0, dy: float = 0.0, iris: tuple[float, ...] = BLUE) -> np.ndarray:
    """A face of skin with two almond eyes, whose irises lie (dx, dy) beside the template's points."""
    face = np.full((512, 512, 3), SKIN, np.float32)
    for x, y in FFHQ_TEMPLATE[:2]:
        eye = np.zeros((512, 512), np.uint8)
        cv2.ellipse(eye, (round(x), round(y)), (30, 9), 0, 0, 360, 1, -1)
        ball = np.full((512, 512, 3), SCLERA, np.float32)
        cv2.circle(ball, (round(x + dx), round(y + dy)), round(IRIS), iris, -1)
        cv2.circle(ball, (round(x + dx), round(y + dy)), 4, (0.05, 0.05, 0.05), -1)
        face[eye > 0] = ball[eye > 0]
    return cv2.GaussianBlur(face, (0, 0), 0.8)


@pytest.mark.parametrize("shift", [(0, 0), (6, 1), (-9, -3)], ids=["ahead", "right", "left and up"])
def test_the_pupil_is_found(shift: tuple[int, int]) -> None:
    face = drawn(*shift)
    for x, y in FFHQ_TEMPLATE[:2]:
        found = find_pupil(face, float(x), float(y))
        assert np.hypot(found[0] - x - shift[0], found[1] - y - shift[1]) < 2.5


def test_irises_change_and_lids_sclera_and_the_rest_stay() -> None:
    face = drawn(4, 0)
    recoloured = [one for one in (other_eyes(face, rng(seed)) for seed in range(30)) if one[240, 193 + 4 + 8, 0] < 0.35]
    assert len(recoloured) >= 5  # dark and brown are the common colours
    for one in recoloured:
        change = np.abs(one - face).max(axis=2)
        far = np.ones((512, 512), bool)
        for x, y in FFHQ_TEMPLATE[:2]:
            near = np.hypot(*(np.indices((512, 512))[::-1] - np.array([x + 4, y])[:, None, None])) < IRIS + 12
            far &= ~near
        assert change[far].max() == 0
        white = np.linalg.norm(face - np.array(SCLERA, np.float32), axis=2) < 0.03
        skin = np.linalg.norm(face - np.array(SKIN, np.float32), axis=2) < 0.03
        lamp = one.min(axis=2) > face.min(axis=2) + 0.02  # a mirrored lamp may reach over the edge
        assert change[white & ~lamp].max() < 0.15
        assert change[skin & ~lamp].max() < 0.15


def test_lamps_are_bright_and_at_the_same_place_in_both_eyes() -> None:
    face = drawn(0, 0, iris=(0.1, 0.08, 0.07))
    for seed in range(12):
        lit = np.clip(other_eyes(face, rng(seed)) - face, 0, 1).max(axis=2) > 0.3
        left, right = (lit[220:260, x - 20 : x + 20] for x in (193, 319))
        assert left.sum() == pytest.approx(right.sum(), abs=6)
    lamps = [(other_eyes(face, rng(seed))[220:260, 173:213].min(axis=2) > 0.5) & (face[220:260, 173:213, 0] < 0.2)
             for seed in range(12)]  # fmt: skip
    assert sum(bool(one.any()) for one in lamps) >= 5
    assert max(one.sum() for one in lamps) < 120


def test_on_a_real_face_it_is_pure_seeded_and_small() -> None:
    face = scenes.aligned_face()
    before = face.copy()
    first, again, other = other_eyes(face, rng(1)), other_eyes(face, rng(1)), other_eyes(face, rng(2))
    assert np.array_equal(face, before)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert 0 <= first.min() <= first.max() <= 1
    assert 0 < (np.abs(first - face).max(axis=2) > 0.02).mean() < 0.02


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(512, 512, 3\) float32"):
        other_eyes(np.zeros((64, 64, 3), np.float32), rng())
