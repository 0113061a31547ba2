"""What is measured of a face, and that each screen drops exactly what it should."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

import scenes
from likeness.faces import DLIB5_TEMPLATE, FFHQ_TEMPLATE
from likeness.train.dataset import figures
from likeness.train.dataset.duplicates import Candidate, find_duplicates
from likeness.train.dataset.expressions import parse_condition
from likeness.train.dataset.hashing import hamming, phash
from likeness.train.dataset.screen import Screens


@cache
def face() -> np.ndarray:
    return scenes.aligned_face()


def jpeg(crop: np.ndarray, quality: int) -> np.ndarray:
    data = cv2.imencode(".jpg", np.rint(crop * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.float32) / 255


def measured(crop: np.ndarray, landmarks: np.ndarray = DLIB5_TEMPLATE) -> dict[str, float | None]:
    return {
        **figures.light(crop),
        "sharpness": figures.sharpness(crop),
        **figures.pose(landmarks, "dlib"),
        "size": 600.0,
    }


def turned(by: float) -> np.ndarray:
    """The template with the nose moved by a share of the half eye distance."""
    points = DLIB5_TEMPLATE.copy()
    half = (points[:2].mean(axis=0) - points[2:4].mean(axis=0))[0] / 2
    points[4, 0] = points[:4, 0].mean() + by * half
    return points


# Figures


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0, 3.0, 4.0, 6.0])
def test_sharpness_falls_with_blur_and_the_default_limit_is_between_1_and_3(sigma: float) -> None:
    crop = cv2.GaussianBlur(face(), (0, 0), sigma) if sigma else face()
    value = figures.sharpness(crop)
    softer = figures.sharpness(cv2.GaussianBlur(face(), (0, 0), sigma + 1))
    assert softer < value
    if sigma != 2.0:
        assert (value > Screens().min_sharpness) == (sigma < 2)


def test_sharpness_is_not_contrast_and_hardly_noise() -> None:
    assert figures.sharpness(0.3 + 0.3 * face()) == pytest.approx(figures.sharpness(face()), rel=1e-3)
    soft = cv2.GaussianBlur(face(), (0, 0), 4)
    noise = np.random.default_rng(0).normal(0, 8 / 255, soft.shape).astype(np.float32)
    noisy = np.clip(soft + noise, 0, 1)
    assert figures.sharpness(noisy) < Screens().min_sharpness
    # What the usual measure would say: the noise is sharper than the face.
    grey, clean = (cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (noisy, face()))
    assert cv2.Laplacian(grey, cv2.CV_32F).var() > cv2.Laplacian(clean, cv2.CV_32F).var()
    assert figures.sharpness(np.full((512, 512, 3), 0.5, np.float32)) == 0


def test_background_does_not_count() -> None:
    busy = face().copy()
    busy[:120] = np.random.default_rng(0).random((120, 512, 3), dtype=np.float32)
    assert figures.sharpness(busy) == pytest.approx(figures.sharpness(face()), rel=1e-4)
    assert figures.light(busy) == figures.light(face())


@pytest.mark.parametrize(
    ("detector", "template"), [("dlib", DLIB5_TEMPLATE), ("retinaface", FFHQ_TEMPLATE), ("yunet", FFHQ_TEMPLATE)]
)
def test_pose_of_the_template_is_frontal_whatever_its_place(detector: str, template: np.ndarray) -> None:
    assert figures.pose(template, detector)["yaw"] == pytest.approx(0, abs=0.05)
    assert figures.pose(template, detector)["pitch"] == pytest.approx(0, abs=0.01)
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = 0.3 * template @ turn.T + 40
    before, after = figures.pose(template, detector), figures.pose(moved, detector)
    assert after["yaw"] == pytest.approx(before["yaw"])
    assert after["pitch"] == pytest.approx(before["pitch"])
    assert after["roll"] - before["roll"] == pytest.approx(20)


def test_yaw_is_signed_and_mirrors() -> None:
    assert figures.pose(turned(0.4), "dlib")["yaw"] == pytest.approx(0.4, abs=0.02)
    assert figures.pose(turned(-1.0), "dlib")["yaw"] == pytest.approx(-1, abs=0.02)


def test_a_crop_half_beyond_the_photo_is_half_outside() -> None:
    identity = np.array([[1.0, 0, 0], [0, 1, 0]])
    assert figures.outside(identity, 512, 512) == 0
    assert figures.outside(identity, 512, 256) == pytest.approx(0.5)
    assert figures.outside(identity + np.array([[0, 0, 256], [0, 0, 256]]), 512, 512) == pytest.approx(0.75)


# Screens


@pytest.mark.parametrize(
    ("screen", "change"),
    [
        ("size", {"size": 200.0}),
        ("sharpness", {"sharpness": 0.29}),
        ("yaw", {"yaw": -0.6}),
        ("pitch", {"pitch": 0.5}),
        ("dark", {"luma": 0.05}),
        ("bright", {"luma": 0.95}),
        ("clipped dark", {"dark": 0.2}),
        ("clipped bright", {"bright": 0.2}),
        ("outside", {"outside": 0.4}),
    ],
)
def test_each_screen_drops_its_own(screen: str, change: dict[str, float]) -> None:
    good = measured(face())
    assert Screens().judge(good) == {}
    assert list(Screens().judge({**good, **change})) == [screen]
    (reason,) = Screens().judge({**good, **change}).values()
    assert f"{next(iter(change.values())):g}" in reason
    assert Screens().judge({**good, **dict.fromkeys(change)}) == {}  # not known: passes


@pytest.mark.parametrize(
    ("screens", "crop"),
    [
        (["sharpness"], lambda: cv2.GaussianBlur(face(), (0, 0), 4)),
        (["dark", "clipped dark"], lambda: face() * 0.02),
        (["clipped bright"], lambda: np.clip(face() * 1.5, 0, 1)),
        ([], lambda: face() * 0.3),  # dark, as dark skin may be
        ([], lambda: jpeg(face(), 40)),
    ],
    ids=["blurred", "black", "overexposed", "dim", "jpeg"],
)
def test_pictures_are_dropped_for_what_was_done_to_them(screens: list[str], crop: object) -> None:
    assert list(Screens().judge(measured(crop()))) == screens  # type: ignore[operator]


def test_limits_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="min_size"):
        replace(Screens(), min_size=float("nan"))


# Hashes and duplicates


def test_hash_stays_under_copies_and_not_under_mirroring() -> None:
    original = phash(face())

    def apart(crop: np.ndarray) -> int:
        return int(hamming(original, np.array([phash(crop)], np.uint64))[0])

    small = cv2.resize(face(), (200, 200), interpolation=cv2.INTER_AREA)
    copies = (jpeg(face(), 30), cv2.resize(small, (512, 512)), cv2.GaussianBlur(face(), (0, 0), 4), face() * 0.8)
    assert all(apart(copy) <= 2 for copy in copies)
    assert apart(np.ascontiguousarray(face()[:, ::-1])) > 20
    assert bin(original).count("1") == 32  # half are above the median


def test_hamming_counts_bits() -> None:
    many = np.array([0, 1, 2**64 - 1, 0xF0F0], np.uint64)
    assert hamming(0, many).tolist() == [0, 1, 64, 8]
    assert hamming(5, many[:0]).tolist() == []


def candidate(name: str, quality: float, phash: int, vector: float | None = None) -> Candidate:
    return Candidate(name, (quality,), phash, None if vector is None else np.array([vector, 0], np.float32))


def test_the_better_of_two_is_kept_whatever_the_order() -> None:
    three = [candidate("a", 1, 0b1), candidate("b", 2, 0b11), candidate("c", 2, 0xFFFF)]
    for order in (three, three[::-1]):
        found = find_duplicates(order, 2, -1, 0.0)
        assert list(found) == ["a"]
        assert found["a"] == ("b", "duplicate of b (1 of 64 bits differ)")
    same = [candidate("b", 1, 7), candidate("a", 1, 7)]
    assert list(find_duplicates(same, 0, -1, 0.0)) == ["b"]  # equally good: the first by name stays


def test_farther_hashes_are_duplicates_only_of_the_same_person() -> None:
    faces = [candidate("a", 3, 0, 0.0), candidate("b", 2, 0xFF, 0.2), candidate("c", 1, 0xFF00, 0.9)]
    assert list(find_duplicates(faces, 2, 10, 0.25)) == ["b"]
    assert find_duplicates(faces, 2, 7, 0.25) == {}
    assert find_duplicates(faces, -1, -1, 0.25) == {}
    assert "same person at 0.20" in find_duplicates(faces, 2, 10, 0.25)["b"][1]


# Conditions


def test_conditions() -> None:
    condition = parse_condition("sharpness>0.4 and size >= 5e2", ["sharpness", "size"])
    assert condition.holds({"sharpness": 0.41, "size": 500.0})
    assert not condition.holds({"sharpness": 0.4, "size": 500.0})
    assert not condition.holds({"sharpness": 0.5, "size": None})
    assert parse_condition("yaw<-.3", ["yaw"]).holds({"yaw": -0.4})


@pytest.mark.parametrize(
    "text", ["", "sharpness", "sharpness>>1", "sharpness>a", "sharpness>1 or size>2", "size>1.2.3"]
)
def test_conditions_that_are_none_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="a condition looks like"):
        parse_condition(text, ["sharpness", "size"])


def test_an_unknown_figure_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown figure 'blur'.*known: sharpness, size"):
        parse_condition("blur>1", ["size", "sharpness"])
