"""Similarity transforms and crops."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from face_scenes import similarity

from likeness.faces import FFHQ_TEMPLATE, crop_face, similarity_transform
from likeness.faces.geometry import apply_transform, compose, invert_transform, resize_transform


@pytest.mark.parametrize(("scale", "degrees"), [(1.0, 0.0), (0.2, 25.0), (7.0, -170.0)])
def test_similarity_recovers_the_transform(scale: float, degrees: float) -> None:
    true = similarity(scale, degrees, 31.0, -7.5)
    found = similarity_transform(FFHQ_TEMPLATE, apply_transform(true, FFHQ_TEMPLATE))
    np.testing.assert_allclose(found, true, atol=1e-9)


def test_similarity_is_least_squares_and_equals_umeyama_by_svd() -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    a, b = source - source.mean(0), target - target.mean(0)
    u, d, vt = np.linalg.svd(b.T @ a)
    sign = np.diag([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    linear = (d * np.diag(sign)).sum() / (a**2).sum() * u @ sign @ vt
    expected = np.hstack([linear, (target.mean(0) - linear @ source.mean(0))[:, None]])
    np.testing.assert_allclose(similarity_transform(source, target), expected, atol=1e-12)


def test_similarity_never_mirrors() -> None:
    mirrored = FFHQ_TEMPLATE * [-1.0, 1.0]
    assert np.linalg.det(similarity_transform(FFHQ_TEMPLATE, mirrored)[:, :2]) > 0


def test_weights_move_the_fit_towards_the_trusted_points() -> None:
    target = FFHQ_TEMPLATE.copy()
    target[2] += 20.0
    errors = []
    for trust in (1.0, 0.1):
        found = similarity_transform(FFHQ_TEMPLATE, target, np.array([1, 1, trust, 1, 1]))
        errors.append(np.abs(apply_transform(found, FFHQ_TEMPLATE) - FFHQ_TEMPLATE)[[0, 1, 3, 4]].max())
    assert errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (np.zeros((3, 2)), np.ones((3, 2)), "coincide"),  # one place only
        (np.zeros((1, 2)), np.ones((1, 2)), "N >= 2"),  # too few
        (np.eye(2), np.ones((3, 2)), "N >= 2"),  # different numbers
        (np.eye(2), np.array([[0, np.nan], [1, 1]]), "finite"),  # not a number
    ],
)
def test_similarity_refuses(source: np.ndarray, target: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        similarity_transform(source, target)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_ready_crop_is_returned_as_it_is(dtype: type, astronaut: np.ndarray) -> None:
    unit = astronaut.astype(np.float32) / 255
    pixels = unit if dtype is np.float32 else np.rint(unit * np.iinfo(dtype).max).astype(dtype)
    crop = crop_face(pixels, similarity(1, 0, 0, 0))
    assert crop.dtype == np.float32
    np.testing.assert_allclose(crop, unit, atol=1e-5)


def test_crop_and_back_gives_the_photo(astronaut: np.ndarray) -> None:
    """Turned, at twice the size: what comes back through the inverse is the photo again."""
    transform = similarity(2.0, 25.0, -60.0, -150.0)
    crop = crop_face(astronaut, transform)
    inside = apply_transform(invert_transform(transform), np.array([[255.5, 255.5]]))[0]
    x, y = np.rint(inside).astype(int)
    shift = np.array([[1.0, 0.0, -(x - 40)], [0.0, 1.0, -(y - 40)]])
    back = cv2.warpAffine(crop, compose(shift, invert_transform(transform)), (80, 80), flags=cv2.INTER_CUBIC)
    error = back - astronaut[y - 40 : y + 40, x - 40 : x + 40] / 255.0
    assert np.sqrt((error**2).mean()) < 0.012


def test_template_points_arrive_at_the_template() -> None:
    """A dot drawn at a landmark is found at the template's place."""
    transform = similarity(0.8, -20.0, 90.0, 200.0)
    photo = np.zeros((700, 700, 3), dtype=np.uint8)
    where = apply_transform(invert_transform(transform), FFHQ_TEMPLATE[2:3])[0]
    yy, xx = np.mgrid[:700, :700]
    photo[...] = (255 * np.exp(-((xx - where[0]) ** 2 + (yy - where[1]) ** 2) / 50))[..., None]
    crop = crop_face(photo, transform)[..., 0]
    gy, gx = np.mgrid[:512, :512]
    crop = crop * (np.hypot(gx - FFHQ_TEMPLATE[2, 0], gy - FFHQ_TEMPLATE[2, 1]) < 30)  # not its mirror image
    center = np.array([(crop * gx).sum(), (crop * gy).sum()]) / crop.sum()
    np.testing.assert_allclose(center, FFHQ_TEMPLATE[2], atol=0.1)


def test_smaller_crop_shows_the_same_part(astronaut: np.ndarray) -> None:
    transform = similarity(1.3, 10.0, 0.0, 0.0)
    whole, small = crop_face(astronaut, transform), crop_face(astronaut, transform, 128)
    expected = cv2.resize(whole, (128, 128), interpolation=cv2.INTER_AREA)
    assert np.abs(small - expected).mean() < 0.01


@pytest.mark.parametrize("degrees", [0.0, 15.0])
def test_a_fine_checker_turns_grey_instead_of_aliasing(degrees: float) -> None:
    photo = np.zeros((2048, 2048, 3), dtype=np.uint8)
    photo[::2, ::2] = photo[1::2, 1::2] = 255
    crop = crop_face(photo, similarity(0.25, degrees, 60.0 if degrees else 0.0, 0.0))
    assert np.abs(crop[100:400, 100:400] - 0.5).max() < 0.03


def test_beyond_the_photo_it_is_mirrored() -> None:
    photo = np.arange(40, dtype=np.uint8)[None, :, None].repeat(40, 0).repeat(3, 2)
    crop = crop_face(photo, similarity(1, 0, 5, 0), 512) * 255
    np.testing.assert_allclose(crop[0, :11, 0], [5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5], atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 3), (3, 2, 3)])
def test_tiny_photos_can_be_cropped(shape: tuple[int, ...]) -> None:
    crop = crop_face(np.full(shape, 100, dtype=np.uint8), resize_transform(512 / shape[1], 512 / shape[1]))
    np.testing.assert_allclose(crop, 100 / 255, atol=1e-5)


def test_the_cost_follows_the_face_not_the_photo() -> None:
    """A view of 400 megapixels that owns one row: touching more than the region would need 1.2 GB."""
    row = np.zeros((1, 20_000, 3), dtype=np.uint8)
    photo = np.broadcast_to(row, (20_000, 20_000, 3))
    assert crop_face(photo, similarity(2, 0, -20_000, -20_000)).shape == (512, 512, 3)


@pytest.mark.parametrize("pixels", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_other_pixels_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pixels must be"):
        crop_face(pixels, similarity(1, 0, 0, 0))
