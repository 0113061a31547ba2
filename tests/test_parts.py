"""Detector, mask and up-sampler by name; enlarging a whole photo with its faces; any option on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import scenes
from likeness import parts
from likeness.faces import FeatheredMask, enlarged
from likeness.faces.geometry import apply_transform
from likeness.photo import Photo, read_photo
from likeness.pipeline import Session, Settings, restore_photo
from likeness.upscale import LanczosUpscaler
from likeness.weights.errors import WeightsError

Command = Callable[..., scenes.Ended]


@pytest.fixture(autouse=True)
def _empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize(
    ("find", "match"),
    [
        (lambda: parts.find_detector("yolo"), "unknown detector 'yolo'; choose one of: dlib, retinaface"),
        (lambda: parts.find_mask("oval"), "unknown mask 'oval'; choose one of: feathered, parsing"),
        (lambda: parts.find_upscaler("swinir", 2), "unknown upscaler 'swinir'; choose one of: lanczos"),
        (lambda: parts.find_upscaler("lanczos", 3), "scale must be one of 1, 2, 4, got 3"),
        (lambda: parts.find_upscaler("realesr-general", 2), "realesr-general enlarges 4 times, not 2 times"),
    ],
)
def test_unknown_names_are_answered_with_the_choices(find: Callable[[], object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        find()


@pytest.mark.parametrize(
    ("find", "pull"),
    [
        (lambda: parts.find_detector("retinaface"), "likeness models pull retinaface-resnet50"),
        (lambda: parts.find_mask("parsing"), "likeness models pull parsenet"),
        (lambda: parts.find_upscaler("realesrgan", 2), "likeness models pull realesrgan-x2plus"),
        (lambda: parts.find_upscaler("realesrgan", 4), "likeness models pull realesrgan-x4plus"),
    ],
)
def test_what_is_not_there_says_what_to_type(find: Callable[[], object], pull: str) -> None:
    with pytest.raises(WeightsError, match=pull):
        find()


def test_what_needs_no_weights() -> None:
    assert parts.find_detector("dlib").name == "dlib"
    assert isinstance(parts.find_mask("feathered"), FeatheredMask)
    assert isinstance(parts.find_upscaler("lanczos", 2), LanczosUpscaler)
    assert parts.find_upscaler("realesrgan", 1) is None


def test_an_enlarged_transform_takes_the_same_points_to_the_same_place() -> None:
    transform = np.array([[2.0, 0.5, -7.0], [-0.5, 2.0, 3.0]])
    points = np.array([[0.0, 0.0], [10.0, 4.0]])
    larger = points * 4 + 1.5  # centres of pixels
    assert np.allclose(apply_transform(enlarged(transform, 4), larger), apply_transform(transform, points))


@pytest.mark.parametrize("scale", [2, 4])
def test_an_enlarged_photo_has_its_face_restored_in_place(scale: int) -> None:
    """The pattern lands where it lands without enlarging, and the rest is the up-sampler's picture."""
    photo = Photo.from_array(scenes.portrait(256))
    plain = restore_photo(Session(Settings(), scenes.Pattern()), photo)
    large = restore_photo(Session(Settings(scale=scale), scenes.Pattern()), photo)
    assert plain.photo is not None
    assert large.photo is not None
    assert large.photo.pixels.shape == (256 * scale, 256 * scale, 3)
    background = LanczosUpscaler(scale).upscale(photo.pixels)
    far = scenes.far_outside(background.shape, tuple(scale * v for v in large.result.faces[0].box))
    assert far.any()
    assert np.array_equal(large.photo.pixels[far], background[far])
    moved = (large.photo.pixels.astype(int) - background).reshape(256, scale, 256, scale, 3).mean(axis=(1, 3))
    wanted = plain.photo.pixels.astype(int) - photo.pixels
    assert np.abs(wanted).max() > 20
    assert np.abs(moved - wanted).mean() < 0.6
    assert np.corrcoef(moved.ravel(), wanted.ravel())[0, 1] > 0.97


def test_alpha_and_depth_survive_enlarging(tmp_path: Path, command: Command, pattern: str) -> None:
    pixels = (scenes.portrait(256).astype(np.uint16) * 257).copy()
    alpha = np.full((256, 256, 1), 40000, np.uint16)
    import cv2

    source = tmp_path / "deep.png"
    assert cv2.imwrite(str(source), np.concatenate([pixels[..., ::-1], alpha], axis=2))
    ended = command("restore", source, "-o", tmp_path / "out", "--method", pattern, "--scale", 2)
    assert ended.status == 0, ended.err
    photo = read_photo(tmp_path / "out" / "deep.png")
    assert photo.pixels.shape == (512, 512, 3)
    assert photo.pixels.dtype == np.uint16
    assert photo.alpha is not None
    assert (photo.alpha == 40000).all()


def test_a_photo_without_a_face_is_enlarged_all_the_same(tmp_path: Path, command: Command, pattern: str) -> None:
    (tmp_path / "land.jpg").write_bytes(scenes.encoded(scenes.landscape(150, 200)))
    ended = command("restore", tmp_path / "land.jpg", "-o", tmp_path / "out", "--method", pattern, "--scale", 2)
    assert ended.status == 0, ended.err
    assert scenes.load_pixels(tmp_path / "out" / "land.jpg").shape == (300, 400, 3)


def test_the_mask_is_asked_about_the_restored_face(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsing sees more in a restored face than in a blurred one."""
    seen: list[np.ndarray] = []

    class Spy(FeatheredMask):
        def mask(self, crop: np.ndarray) -> np.ndarray:
            seen.append(crop)
            return super().mask(crop)

    monkeypatch.setattr(parts, "find_mask", lambda name, device: Spy())
    done = restore_photo(Session(Settings(), scenes.Pattern()), Photo.from_array(scenes.portrait(256)))
    assert np.array_equal(seen[0], done.restored[0].samples[0])
    assert not np.array_equal(seen[0], done.restored[0].crop)


@pytest.mark.parametrize("text", ["steps", "=3", "steps=many", "steps="])
def test_an_option_that_is_no_number_is_quoted(text: str, tmp_path: Path, command: Command) -> None:
    ended = command("restore", tmp_path, "-o", tmp_path / "out", "--option", text)
    assert ended.status == 2
    assert f"--option looks like NAME=NUMBER, got {text!r}" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_any_option_of_a_method_reaches_it(tmp_path: Path, command: Command) -> None:
    (tmp_path / "a.jpg").write_bytes(scenes.encoded(scenes.portrait(256)))
    for option, status in (("fidelity=1", 0), ("fidelity=2", 2), ("sharpness=1", 2)):
        ended = command("restore", tmp_path / "a.jpg", "-o", tmp_path / option, "--option", option)
        assert ended.status == status, ended.err
    assert "method likeness has no option sharpness" in ended.err
