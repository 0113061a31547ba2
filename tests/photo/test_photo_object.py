"""The Photo dataclass: what it accepts, refuses and converts."""

from __future__ import annotations

import dataclasses

import numpy as np
import photo_files as files
import pytest

from likeness.photo import Photo, PhotoError


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16], ids=["8bit", "16bit"])
def test_size_and_white(dtype: type) -> None:
    photo = Photo.from_array(files.picture(3, dtype))
    assert (photo.height, photo.width, photo.max_value) == (37, 53, np.iinfo(dtype).max)
    assert photo.as_float().dtype == np.float32
    assert photo.as_float().max() <= 1.0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16], ids=["8bit", "16bit"])
def test_every_value_survives_float(dtype: type) -> None:
    values = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(-1, 64, 1).repeat(3, axis=2)
    photo = Photo.from_array(values)
    assert np.array_equal(photo.with_pixels(photo.as_float()).pixels, values)


def test_floats_are_rounded_not_cut() -> None:
    photo = Photo.from_array(np.zeros((1, 3, 3), np.uint8))
    values = np.array([0.4, 0.6, 254.5001], np.float32).reshape(1, 3, 1).repeat(3, 2) / 255
    assert photo.with_pixels(values).pixels[0, :, 0].tolist() == [0, 1, 255]


@pytest.mark.parametrize(
    ("array", "grey", "alpha"),
    [
        pytest.param(np.ones((2, 3), np.uint8), True, False, id="HW"),
        pytest.param(np.ones((2, 3, 1), np.uint16), True, False, id="HW1"),
        pytest.param(np.ones((2, 3, 3), np.float64), False, False, id="float-HW3"),
        pytest.param(np.ones((2, 3, 4), np.float32), False, True, id="float-HW4"),
        pytest.param(np.ones((2, 3), bool), True, False, id="bool"),
    ],
)
def test_from_array(array: np.ndarray, grey: bool, alpha: bool) -> None:
    photo = Photo.from_array(array)
    assert photo.pixels.shape == (2, 3, 3)
    assert (photo.grey, photo.alpha is not None, photo.format) == (grey, alpha, "PNG")
    if array.dtype.kind in "fb":
        assert (photo.pixels == 255).all()


def test_from_array_does_not_share_memory() -> None:
    array = np.zeros((2, 2, 3), np.uint8)
    photo = Photo.from_array(array)
    array[:] = 9
    assert not photo.pixels.any()


@pytest.mark.parametrize(
    ("array", "match"),
    [
        pytest.param(np.zeros((2, 2, 2), np.uint8), r"\(2, 2, 2\)", id="two-channels"),
        pytest.param(np.zeros(4, np.uint8), r"\(4,\)", id="one-axis"),
        pytest.param(np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)", id="no-pixels"),
        pytest.param(np.zeros((2, 2, 3), np.int64), "int64", id="int64"),
        pytest.param(np.full((2, 2, 3), 255.0), r"\[255,255\]", id="float-0-255"),
        pytest.param(np.full((2, 2, 3), -0.1), r"-0\.1", id="negative"),
        pytest.param(np.full((2, 2, 3), np.nan), "nan", id="nan"),
    ],
)
def test_from_array_names_what_is_wrong(array: np.ndarray, match: str) -> None:
    with pytest.raises(PhotoError, match=match):
        Photo.from_array(array)


def test_with_pixels_keeps_the_rest() -> None:
    array = files.picture(4)
    photo = Photo(
        array[:, :, :3], array[:, :, 3], format="WEBP", exif=files.exif(1), icc=b"icc", extras={"dpi": (1, 2)}
    )
    changed = photo.with_pixels(255 - photo.pixels)
    assert np.array_equal(changed.pixels, 255 - array[:, :, :3])
    for name in (f.name for f in dataclasses.fields(Photo) if f.name != "pixels"):
        assert getattr(changed, name) is getattr(photo, name)


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.zeros((36, 53, 3), np.uint8), id="size"),
        pytest.param(np.zeros((37, 53), np.uint8), id="channels"),
        pytest.param(np.zeros((37, 53, 3), np.uint16), id="depth"),
        pytest.param(np.full((37, 53, 3), 1.5, np.float32), id="range"),
    ],
)
def test_with_pixels_refuses(pixels: np.ndarray) -> None:
    with pytest.raises(PhotoError):
        Photo.from_array(files.picture()).with_pixels(pixels)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"pixels": np.zeros((2, 2), np.uint8)}, id="shape"),
        pytest.param({"pixels": np.zeros((2, 2, 3), np.float32)}, id="type"),
        pytest.param({"alpha": np.zeros((3, 2), np.uint8)}, id="alpha-shape"),
        pytest.param({"alpha": np.zeros((2, 2), np.uint16)}, id="alpha-type"),
        pytest.param({"format": "GIF"}, id="format"),
    ],
)
def test_creation_validates(fields: dict) -> None:
    with pytest.raises(PhotoError):
        Photo(**{"pixels": np.zeros((2, 2, 3), np.uint8), **fields})


def test_frozen_and_compared_by_identity() -> None:
    photo = Photo.from_array(files.picture())
    with pytest.raises(dataclasses.FrozenInstanceError):
        photo.grey = True  # type: ignore[misc]
    assert photo != Photo.from_array(files.picture())
    assert {photo: 1}[photo] == 1
