"""Each degradation on its own: purity, range, determinism, and its closed form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from likeness.degrade import OPERATIONS, Step, apply_steps
from likeness.degrade.blur import gaussian_blur, gaussian_kernel, motion_blur, motion_kernel
from likeness.degrade.compress import jpeg, webp
from likeness.degrade.damage import misalign, occlude, paper_grain, scratches
from likeness.degrade.noise import gaussian_noise, poisson_noise
from likeness.degrade.resample import antialiased_bicubic, resize
from likeness.degrade.tone import LUMA, colour_shift, fade, grey, low_light
from likeness.measure import psnr

CASES: list[tuple[str, dict[str, Any]]] = [
    ("gaussian_blur", {"sigma_x": 2.0}),
    ("gaussian_blur", {"sigma_x": 3.0, "sigma_y": 1.0, "angle": 0.7}),
    ("motion_blur", {"length": 9.0, "angle": 0.4}),
    ("resize", {"height": 24, "width": 40, "kernel": "bicubic"}),
    ("resize", {"height": 24, "width": 40, "kernel": "bilinear"}),
    ("resize", {"height": 24, "width": 40, "kernel": "area"}),
    ("resize", {"height": 150, "width": 130, "kernel": "bicubic"}),
    ("antialiased_bicubic", {"height": 24, "width": 40}),
    ("gaussian_noise", {"sigma": 12.0, "seed": 1}),
    ("gaussian_noise", {"sigma": 12.0, "seed": 1, "grey": True}),
    ("poisson_noise", {"peak": 100.0, "seed": 1}),
    ("jpeg", {"quality": 40}),
    ("webp", {"quality": 40}),
    ("colour_shift", {"shift": [20.0, -20.0, 5.0]}),
    ("grey", {}),
    ("fade", {"contrast": 0.6, "black": 0.1, "tint": [1.0, 0.95, 0.9]}),
    ("low_light", {"exposure": 0.5, "gamma": 1.4}),
    ("occlude", {"seed": 1, "cover": 0.2}),
    ("misalign", {"dx": 3.0, "dy": -2.0, "angle": 4.0, "scale": 1.05}),
    ("scratches", {"seed": 1, "count": 4, "strength": 0.8}),
    ("paper_grain", {"seed": 1, "sigma": 0.1, "size": 1.0}),
]
IDS = [f"{op}-{i}" for i, (op, _) in enumerate(CASES)]
SEEDED = [(op, params) for op, params in CASES if "seed" in params]


@pytest.fixture(scope="module")
def photo(degrade_astronaut: np.ndarray) -> np.ndarray:
    """(96, 112, 3) of the astronaut's face, with pure black and pure white in it."""
    image = cv2.resize(degrade_astronaut[30:222, 110:334], (112, 96), interpolation=cv2.INTER_AREA)
    image = image.astype(np.float32) / np.float32(255)
    image[:30, :30], image[-30:, :30] = 0.0, 1.0
    return image


def flat(value: float, side: int = 64) -> np.ndarray:
    return np.full((side, side, 3), value, np.float32)


def moments(kernel: np.ndarray) -> np.ndarray:
    """(2, 2) covariance of x and y, in pixels squared, of a kernel taken as a density."""
    weight = kernel.astype(np.float64) / kernel.sum()
    y, x = np.mgrid[: kernel.shape[0], : kernel.shape[1]].astype(np.float64)
    x, y = x - (weight * x).sum(), y - (weight * y).sum()
    xy = (weight * x * y).sum()
    return np.array([[(weight * x * x).sum(), xy], [xy, (weight * y * y).sum()]])


def axis(kernel: np.ndarray) -> float:
    """Direction of the longest extent, radians in [0, pi)."""
    _, vectors = np.linalg.eigh(moments(kernel))
    x, y = vectors[:, -1]
    return float(np.arctan2(y, x) % np.pi)


# What all operations keep


def test_every_operation_has_a_case() -> None:
    assert {op for op, _ in CASES} == set(OPERATIONS)


@pytest.mark.parametrize(("op", "params"), CASES, ids=IDS)
def test_operation_is_pure_and_keeps_the_form(op: str, params: dict[str, Any], photo: np.ndarray) -> None:
    given = photo.copy()
    given.setflags(write=False)
    out = OPERATIONS[op](given, **params)
    assert np.array_equal(given, photo)
    assert not np.shares_memory(out, given)
    assert out.dtype == np.float32
    assert out.shape == (params.get("height", photo.shape[0]), params.get("width", photo.shape[1]), 3)
    assert np.isfinite(out).all()
    # One operation may leave the range by a rounding (a Fourier transform); apply_steps may not.
    assert out.min() >= -1e-6
    assert out.max() <= 1.0 + 1e-6
    if out.shape == photo.shape:
        assert np.abs(out - photo).mean() > 1e-4


@pytest.mark.parametrize(("op", "params"), CASES, ids=IDS)
@pytest.mark.parametrize("kind", ["photo", "white", "black"])
def test_applied_steps_stay_in_range(op: str, params: dict[str, Any], kind: str, photo: np.ndarray) -> None:
    """Exactly: a float picture outside [0, 1] is refused by Photo.from_array."""
    image = photo if kind == "photo" else flat(1.0 if kind == "white" else 0.0)
    out = apply_steps(image, [Step(op, params)])
    assert out.min() >= 0.0
    assert out.max() <= 1.0


@pytest.mark.parametrize(("op", "params"), CASES, ids=IDS)
def test_same_parameters_same_pixels(op: str, params: dict[str, Any], photo: np.ndarray) -> None:
    assert np.array_equal(OPERATIONS[op](photo, **params), OPERATIONS[op](photo, **params))


@pytest.mark.parametrize(("op", "params"), SEEDED, ids=[op for op, _ in SEEDED])
def test_another_seed_other_pixels(op: str, params: dict[str, Any], photo: np.ndarray) -> None:
    assert not np.array_equal(OPERATIONS[op](photo, **params), OPERATIONS[op](photo, **{**params, "seed": 2}))


# Blur


@pytest.mark.parametrize("sigma", [0.5, 2.0, 5.0, 8.0])
@pytest.mark.parametrize("function", ["separable", "kernel"])
def test_blurred_impulse_has_the_stated_sigma(sigma: float, function: str) -> None:
    impulse = np.zeros((81, 81, 3), np.float32)
    impulse[40, 40] = 1.0
    out = gaussian_blur(impulse, sigma, None if function == "separable" else sigma)
    x = np.arange(-20, 21)
    law = np.exp(-0.5 * (x / sigma) ** 2)  # truncated to 41 pixels and normalised
    law /= law.sum()
    assert out.sum() / 3 == pytest.approx(1.0, abs=1e-5)
    assert moments(out[..., 0]) == pytest.approx(np.diag([(law * x * x).sum()] * 2), rel=2e-3, abs=1e-6)
    assert out[40, 40, 1] == pytest.approx(law[20] ** 2, rel=1e-3)
    if 1 <= sigma <= 5:  # neither sampled too coarsely nor cut off
        assert moments(out[..., 0])[0, 0] ** 0.5 == pytest.approx(sigma, rel=0.01)


@pytest.mark.parametrize("angle", [0.0, 0.6, np.pi / 2, 2.5])
def test_anisotropic_kernel_turns(angle: float) -> None:
    kernel = gaussian_kernel(5.0, 2.0, angle)
    assert kernel.sum() == pytest.approx(1.0, abs=1e-5)
    assert np.sqrt(np.linalg.eigvalsh(moments(kernel))) == pytest.approx([2.0, 5.0], rel=0.01)
    assert np.cos(2 * (axis(kernel) - angle)) == pytest.approx(1.0, abs=1e-3)


def test_blur_keeps_a_flat_picture_at_the_border() -> None:
    for out in (
        gaussian_blur(flat(0.5), 9.0),
        gaussian_blur(flat(0.5), 9.0, 3.0, 1.0),
        motion_blur(flat(0.5), 20, 1),
    ):
        assert np.abs(out - 0.5).max() < 1e-5


@pytest.mark.parametrize("length", [5.0, 12.0, 24.0])
@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi / 2, -2.0])
def test_motion_kernel_has_length_and_direction(length: float, angle: float) -> None:
    kernel = motion_kernel(length, angle)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.shape[0] >= length
    assert kernel.sum() == pytest.approx(1.0, abs=1e-5)
    assert np.cos(2 * (axis(kernel) - angle)) == pytest.approx(1.0, abs=0.01)
    longest = np.linalg.eigvalsh(moments(kernel))[-1]
    assert np.sqrt(12 * longest) == pytest.approx(length, abs=1.1)  # a uniform law; the pen is a pixel wide


@pytest.mark.parametrize(
    "call",
    [lambda: gaussian_kernel(0, 1), lambda: gaussian_kernel(1, 1, size=40), lambda: motion_kernel(0.5)],
    ids=["sigma", "even size", "length"],
)
def test_impossible_kernels_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        call()


# Size


def test_area_averages() -> None:
    image = np.random.default_rng(0).random((32, 48, 3), dtype=np.float32)
    want = image.reshape(8, 4, 12, 4, 3).mean(axis=(1, 3))
    assert np.abs(resize(image, 8, 12, "area") - want).max() < 1e-5


def test_bilinear_and_bicubic_do_not_prefilter() -> None:
    """Reducing by 4 reads at x = 1.5, 5.5, ...: between columns 1 and 2, whatever the columns 0 and 3 hold."""
    image = flat(0.5)
    image[:, 1::4] = image[:, 2::4] = 0.25
    assert np.abs(resize(image, 16, 16, "bilinear") - 0.25).max() < 1e-5
    image[:, 0::4] = image[:, 3::4] = 0.25
    image[:, 4::8] = 0.5
    assert np.ptp(resize(image, 16, 16, "bicubic")[4:-4, 4:-4]) > 0.01  # four taps see column 4


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_enlarging_interpolates_a_ramp(kernel: str) -> None:
    ramp = np.repeat(np.linspace(0.2, 0.8, 16, dtype=np.float32)[None, :, None], 3, axis=2).repeat(16, axis=0)
    out = resize(ramp, 16, 64, kernel)
    place = (np.arange(64) + 0.5) / 4 - 0.5
    error = np.abs(out[8, 12:-12, 0] - (0.2 + 0.6 * place[12:-12] / 15)).max()
    assert error < (1e-5 if kernel == "bilinear" else 2e-3)  # OpenCV's cubic (a = -0.75) bends a ramp a little


def test_antialiased_bicubic_prefilters() -> None:
    stripes = flat(0.0)
    stripes[:, ::2] = 1.0
    assert np.abs(antialiased_bicubic(stripes, 16, 16)[:, 2:-2] - 0.5).max() < 0.02
    with pytest.raises(KeyError):
        resize(stripes, 16, 16, "lanczos")


# Noise


@pytest.mark.parametrize("sigma", [2.0, 15.0, 25.0])
def test_gaussian_noise_has_the_stated_deviation(sigma: float) -> None:
    noise = gaussian_noise(flat(0.5, 128), sigma, 3) - 0.5
    assert noise.std() == pytest.approx(sigma / 255, rel=0.03)
    assert abs(noise.mean()) < 4 * sigma / 255 / np.sqrt(noise.size)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.03


def test_grey_noise_is_one_plane() -> None:
    noise = gaussian_noise(flat(0.5), 15, 3, grey=True)
    assert np.array_equal(noise[..., 0], noise[..., 1])
    assert np.array_equal(noise[..., 0], noise[..., 2])
    assert noise.std() == pytest.approx(15 / 255, rel=0.05)


@pytest.mark.parametrize(("value", "peak"), [(0.2, 60.0), (0.5, 200.0), (0.7, 600.0)])
def test_poisson_variance_is_mean_over_peak(value: float, peak: float) -> None:
    out = poisson_noise(flat(value, 128), peak, 5).astype(np.float64)
    assert out.mean() == pytest.approx(value, rel=0.01)
    assert out.var() == pytest.approx(value / peak, rel=0.04)
    with pytest.raises(ValueError, match="peak"):
        poisson_noise(flat(value), 0.0, 5)


# Codecs


@pytest.mark.parametrize("codec", [jpeg, webp])
def test_lower_quality_is_worse(codec: Callable[[np.ndarray, int], np.ndarray], photo: np.ndarray) -> None:
    scores = [psnr(codec(photo, quality), photo) for quality in (5, 30, 60, 95)]
    assert scores == sorted(scores)
    assert scores[-1] - scores[0] > 6
    assert scores[-1] > 30  # in particular, the channels are not swapped


# Tone


def test_tone_closed_forms(photo: np.ndarray) -> None:
    shifted = colour_shift(photo, (20, -20, 5))
    assert np.abs(shifted - np.clip(photo + np.array([20, -20, 5]) / 255, 0, 1)).max() < 1e-6
    assert np.abs(low_light(photo, 0.5, 1.4) - photo.astype(np.float64) ** 1.4 * 0.5).max() < 1e-6
    tint = np.array([1.0, 0.95, 0.9])
    want = (0.1 + 0.9 * (0.5 + (photo - 0.5) * 0.6)) * tint
    assert np.abs(fade(photo, 0.6, 0.1, (1.0, 0.95, 0.9)) - want).max() < 1e-6
    monochrome = grey(photo)
    assert np.array_equal(monochrome[..., 0], monochrome[..., 2])
    assert np.abs(monochrome[..., 1] - photo @ np.array([0.299, 0.587, 0.114])).max() < 1e-6
    assert LUMA.sum() == pytest.approx(1.0)


def test_fade_without_effect_is_the_picture(photo: np.ndarray) -> None:
    assert np.abs(fade(photo, 1.0, 0.0, (1, 1, 1)) - photo).max() < 1e-6
    assert fade(flat(0.0), 1.0, 0.15, (1, 1, 1)).min() == pytest.approx(0.15)  # blacks are lifted to `black`


# Damage


@pytest.mark.parametrize("cover", [0.05, 0.2, 0.4])
def test_occlusion_covers_about_what_was_asked(cover: float) -> None:
    """Shapes overlap and leave the frame, so a picture has less on average; none has much more."""
    black, white = flat(0.0, 128), flat(1.0, 128)
    shares = [1 - float((occlude(white, seed, cover) - occlude(black, seed, cover)).mean()) for seed in range(60)]
    assert max(shares) < 1.1 * cover + 0.01
    assert 0.5 * cover < float(np.mean(shares)) < cover


def test_occlusion_is_of_plain_colour() -> None:
    image = np.random.default_rng(0).random((96, 96, 3), dtype=np.float32)
    out = occlude(image, 0, 0.3)
    values, counts = np.unique(np.round(out.reshape(-1, 3), 4), axis=0, return_counts=True)
    assert counts.max() > 0.05 * 96 * 96
    assert (values >= 0).all()


def test_misalign_moves_turns_and_scales() -> None:
    y, x = np.mgrid[:65, :65]
    spot = np.exp(-((x - 32) ** 2 + (y - 32) ** 2) / 18).astype(np.float32)
    bar = np.exp(-((x - 32) ** 2) / 200 - (y - 32) ** 2 / 18).astype(np.float32)

    def warped(image: np.ndarray, **change: float) -> np.ndarray:
        params = {"dx": 0.0, "dy": 0.0, "angle": 0.0, "scale": 1.0, **change}
        return misalign(np.repeat(image[..., None], 3, 2), **params)[..., 0]

    moved = warped(spot, dx=5, dy=-3)
    assert [(moved * x).sum() / moved.sum(), (moved * y).sum() / moved.sum()] == pytest.approx([37, 29], abs=0.05)
    assert np.sqrt(moments(warped(spot, scale=1.5))[0, 0]) == pytest.approx(4.5, rel=0.02)
    assert np.degrees(axis(warped(bar, angle=30))) == pytest.approx(150, abs=1)  # up is -y: counter-clockwise
    assert np.abs(warped(spot) - spot).max() < 1e-6


def test_scratches_and_grain_change_the_picture(photo: np.ndarray) -> None:
    middle = flat(0.5, 96)
    changed = (np.abs(scratches(middle, 3, 6, 0.8) - middle).max(axis=2) > 0.05).mean()
    assert 0.002 < changed < 0.3
    assert np.array_equal(scratches(photo, 3, 0, 0.8), photo)
    light = np.abs(scratches(middle, 3, 6, 0.3) - middle).sum()
    assert light == pytest.approx(np.abs(scratches(middle, 3, 6, 0.6) - middle).sum() / 2, rel=0.15)


@pytest.mark.parametrize("size", [0.0, 0.7, 1.5])
def test_paper_grain_has_the_stated_deviation_and_size(size: float) -> None:
    texture = paper_grain(flat(0.5, 128), 2, 0.08, size)[..., 0] / 0.5 - 1
    assert texture.std() == pytest.approx(0.08, rel=0.03)
    neighbours = np.corrcoef(texture[:, :-1].ravel(), texture[:, 1:].ravel())[0, 1]
    want = np.exp(-1 / (4 * size**2)) if size > 0.5 else 0.0  # autocorrelation of white noise blurred by size
    assert neighbours == pytest.approx(want, abs=0.07)


# Steps


def test_step_round_trip_through_json(photo: np.ndarray) -> None:
    steps = [Step(op, params) for op, params in CASES]
    again = [Step.from_dict(data) for data in json.loads(json.dumps([s.as_dict() for s in steps]))]
    assert again == steps
    assert np.array_equal(apply_steps(photo, again), apply_steps(photo, steps))


def test_unknown_step_is_refused_with_the_choices() -> None:
    with pytest.raises(KeyError, match=r"unknown degradation 'jpg'.*motion_blur"):
        Step("jpg", {})
    with pytest.raises(KeyError, match="melt"):
        Step.from_dict({"op": "melt"})


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8, 3)),
        np.zeros((8, 8), np.float32),
        np.zeros((8, 8, 4), np.float32),
        np.zeros((8, 8, 3), np.uint8),
    ],
    ids=["float64", "two axes", "four channels", "uint8"],
)
def test_apply_steps_refuses_other_images(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected \(H, W, 3\) float32, got"):
        apply_steps(image, [])


def test_steps_are_applied_in_order(photo: np.ndarray) -> None:
    a, b = Step("grey", {}), Step("colour_shift", {"shift": [20.0, 0.0, 0.0]})
    assert np.ptp(apply_steps(photo, [b, a]), axis=2).max() < 1e-6
    assert np.ptp(apply_steps(photo, [a, b]), axis=2).max() > 0.05
    assert np.array_equal(apply_steps(photo, [a, b]), colour_shift(grey(photo), (20, 0, 0)))
