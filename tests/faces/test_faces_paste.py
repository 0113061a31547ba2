"""Masks and pasting: what changes, what may not change."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from face_scenes import similarity

from likeness.faces import FeatheredMask, crop_face, paste_face
from likeness.faces.geometry import resize_transform

MASK = FeatheredMask().mask(np.zeros((512, 512, 3), dtype=np.float32))

# photo pixel -> 512 frame, for a 640 x 480 photo
PLACES = {
    "small face, turned": similarity(3.0, 25.0, -400.0, -700.0),
    "as large as the crop": similarity(1.0, 0.0, -60.0, 10.0),
    "large face, turned": similarity(0.8, -20.0, -30.0, 130.0),
    "half outside": similarity(1.5, 10.0, 250.0, 300.0),
}


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    data = pytest.importorskip("skimage.data", reason="needs scikit-image for its photographs")
    return np.ascontiguousarray(cv2.resize(data.coffee(), (640, 480)))


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=2)


def smooth_pattern(amplitude: float) -> np.ndarray:
    """A change without low frequencies: stripes of 64 pixels."""
    wave = amplitude * np.sin(np.arange(512) * 2 * np.pi / 64)
    return (wave[:, None, None] * wave[None, :, None] / amplitude * np.ones(3)).astype(np.float32)


def test_mask_covers_the_face_and_ends_before_the_border() -> None:
    assert MASK.dtype == np.float32
    assert MASK.shape == (512, 512)
    border = np.concatenate([MASK[0], MASK[-1], MASK[:, 0], MASK[:, -1]])
    assert border.max() == 0.0
    assert MASK[110:460, 180:330].min() == 1.0  # forehead to chin
    assert MASK[200:340, 60:452].min() == 1.0  # ear to ear
    assert max(np.abs(np.diff(MASK, axis=axis)).max() for axis in (0, 1)) < 0.05  # no step
    with pytest.raises(ValueError, match="512"):
        FeatheredMask().mask(np.zeros((256, 256, 3), dtype=np.float32))


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_nothing_restored_changes_nothing(photo: np.ndarray, name: str, dtype: type) -> None:
    pixels = photo.astype(dtype) * dtype(1 if dtype is np.uint8 else 257)
    before = pixels.copy()
    crop = crop_face(pixels, PLACES[name])
    paste_face(pixels, crop, crop.copy(), PLACES[name], MASK)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("name", PLACES)
def test_only_the_rectangle_changes(photo: np.ndarray, name: str) -> None:
    pixels = photo.copy()
    crop = crop_face(pixels, PLACES[name])
    noise = np.random.default_rng(0).random(crop.shape, dtype=np.float32)
    x0, y0, x1, y1 = paste_face(pixels, crop, noise, PLACES[name], MASK)
    difference = changed(photo, pixels)
    assert difference[y0:y1, x0:x1].mean() > 0.3
    difference[y0:y1, x0:x1] = False
    assert not difference.any()
    assert 0 <= x0 < x1 <= 640
    assert 0 <= y0 < y1 <= 480


def test_nothing_changes_where_the_mask_is_zero() -> None:
    pixels = np.full((512, 512, 3), 100, dtype=np.uint8)
    crop = np.full((512, 512, 3), 0.4, dtype=np.float32)
    noise = np.random.default_rng(0).random(crop.shape, dtype=np.float32)
    paste_face(pixels, crop, noise, np.eye(2, 3), MASK)
    assert (pixels[MASK == 0] == 100).all()
    assert (pixels[MASK == 1] != 100).mean() > 0.9


def test_a_face_outside_of_the_photo_changes_nothing(photo: np.ndarray) -> None:
    pixels = photo.copy()
    crop = np.zeros((512, 512, 3), dtype=np.float32)
    x0, y0, x1, y1 = paste_face(pixels, crop, crop + 1, similarity(1, 0, 5000, 0), MASK)
    assert x0 == x1 or y0 == y1
    np.testing.assert_array_equal(pixels, photo)


@pytest.mark.parametrize("name", PLACES)
def test_a_constant_colour_shift_leaves_no_trace(name: str) -> None:
    """A network that tints the whole crop must not leave a tinted face, nor a step around it."""
    pixels = np.full((480, 640, 3), 120, dtype=np.uint8)
    before = pixels.copy()
    crop = crop_face(pixels, PLACES[name])
    paste_face(pixels, crop, crop + np.float32([0.1, -0.05, 0.02]), PLACES[name], MASK)
    np.testing.assert_array_equal(pixels, before)


def test_a_slanted_colour_shift_leaves_no_step() -> None:
    """Lighter on the left, darker on the right by 0.1: no step is left where the mask ends."""
    pixels = np.full((512, 512, 3), 120, dtype=np.uint8)
    before = pixels.copy()
    crop = crop_face(pixels, np.eye(2, 3))
    slope = np.linspace(0.1, -0.1, 512, dtype=np.float32)[None, :, None]
    paste_face(pixels, crop, crop + slope, np.eye(2, 3), MASK)
    rim = (MASK > 0) & (MASK < 0.5)
    assert np.abs(pixels.astype(int) - before)[rim].max() <= 3
    assert np.abs(np.diff(pixels.astype(int), axis=1)).max() <= 1


@pytest.mark.parametrize("name", ["as large as the crop", "large face, turned"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_real_change_arrives(photo: np.ndarray, name: str, dtype: type) -> None:
    """Cropped again, the photo shows the restored face where the mask is 1."""
    pixels = photo.astype(dtype) * dtype(1 if dtype is np.uint8 else 257)
    crop = crop_face(pixels, PLACES[name])
    wanted = crop + smooth_pattern(0.15) * np.float32(0.5)
    restored = np.clip(wanted, 0, 1)
    paste_face(pixels, crop, restored, PLACES[name], MASK)
    inside = MASK == 1
    inside &= crop_inside_photo(PLACES[name])
    error = (crop_face(pixels, PLACES[name]) - restored)[inside]
    assert -10 * np.log10((error**2).mean()) > 38
    unchanged = (crop - restored)[inside]
    assert -10 * np.log10((unchanged**2).mean()) < 30


def crop_inside_photo(transform: np.ndarray) -> np.ndarray:
    """Pixels of the crop that come from inside the 640 x 480 photo, with 4 pixels to spare."""
    ones = np.ones((480 - 8, 640 - 8), dtype=np.uint8)
    shift = transform.copy()
    shift[:, 2] += transform[:, :2] @ (4.0, 4.0)
    return cv2.warpAffine(ones, shift, (512, 512)) > 0


def test_strength_scales_the_change() -> None:
    crop = np.full((512, 512, 3), 0.5, dtype=np.float32)
    restored = crop + smooth_pattern(0.3)
    results = []
    for strength in (0.0, 0.5, 1.0):
        pixels = np.full((512, 512, 3), 32768, dtype=np.uint16)
        paste_face(pixels, crop, restored, np.eye(2, 3), MASK, strength=strength)
        results.append(pixels.astype(int) - 32768)
    assert not results[0].any()
    assert np.abs(2 * results[1] - results[2]).max() <= 2
    assert np.abs(results[2]).max() > 10_000


def test_detail_finer_than_the_crop_survives() -> None:
    """A photo four times finer than the crop keeps its grain under a smooth change."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 190, (2048, 2048, 3), dtype=np.uint8)
    before = pixels.copy()
    transform = resize_transform(0.25, 0.25)
    crop = crop_face(pixels, transform)
    paste_face(pixels, crop, crop + smooth_pattern(0.1), transform, MASK)
    change = pixels.astype(np.float32) - before
    assert np.abs(change).max() > 20
    grain = change - cv2.GaussianBlur(change, (0, 0), 4)
    assert np.abs(grain).mean() < 0.6  # rounding only


def test_a_fine_change_is_averaged_in_a_small_face() -> None:
    """A checker of single crop pixels is grey at an eighth of the size: no aliasing, so no change."""
    pixels = np.full((480, 640, 3), 128, dtype=np.uint8)
    crop = np.full((512, 512, 3), 0.5, dtype=np.float32)
    checker = np.where(np.indices((512, 512)).sum(0) % 2, 0.4, -0.4).astype(np.float32)[..., None]
    paste_face(pixels, crop, crop + checker, similarity(8.0, 17.0, -1500.0, -1800.0), MASK)
    assert np.abs(pixels.astype(int) - 128).max() <= 2


def test_a_hard_mask_is_pasted_without_seam_correction() -> None:
    pixels = np.full((512, 512, 3), 100, dtype=np.uint8)
    crop = np.full((512, 512, 3), 0.4, dtype=np.float32)
    hard = np.zeros((512, 512), dtype=np.float32)
    hard[100:400, 100:400] = 1
    paste_face(pixels, crop, crop + np.float32(0.1), np.eye(2, 3), hard)
    assert (pixels[150:350, 150:350] == 126).all()


def test_values_are_clipped_not_wrapped() -> None:
    pixels = np.full((512, 512, 3), 250, dtype=np.uint8)
    crop = np.full((512, 512, 3), 0.5, dtype=np.float32)
    paste_face(pixels, crop, crop + smooth_pattern(0.4), np.eye(2, 3), MASK)
    assert pixels.max() == 255
    assert pixels.min() > 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": np.zeros((9, 9, 3), np.float32)}, "pixels"),
        ({"pixels": np.zeros((9, 9, 4), np.uint8)}, "pixels"),
        ({"crop": np.zeros((256, 256, 3), np.float32)}, "crop"),
        ({"restored": np.zeros((512, 512, 3))}, "restored"),  # float64
        ({"restored": np.full((512, 512, 3), np.nan, np.float32)}, "restored has values"),
        ({"mask": np.full((512, 512), 2, np.float32)}, "mask must be in"),
        ({"strength": 1.5}, "strength"),
        ({"strength": float("nan")}, "strength"),
    ],
)
def test_wrong_use_is_refused(change: dict, message: str) -> None:
    crop = np.zeros((512, 512, 3), np.float32)
    good = {"pixels": np.zeros((9, 9, 3), np.uint8), "crop": crop, "restored": crop, "mask": MASK}
    arguments = {**good, "strength": 1.0, "transform": np.eye(2, 3), **change}
    with pytest.raises(ValueError, match=message):
        paste_face(**arguments)
