"""Metrics against scikit-image, against closed forms, and their own examples."""

from __future__ import annotations

import doctest

import cv2
import numpy as np
import pytest

import likeness.measure.functional
from likeness.measure import gradient_energy, psnr, ssim

metrics = pytest.importorskip("skimage.metrics", reason="needs scikit-image")
data = pytest.importorskip("skimage.data", reason="needs scikit-image for its portrait photograph")


def pair(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """A degraded and a clean face, float32 in [0, 1], (150, 130, 3)."""
    clean = data.astronaut()[20:170, 150:280].astype(np.float32) / np.float32(255)
    rng = np.random.default_rng(0)
    if kind == "noise":
        return np.clip(clean + rng.normal(0, 0.08, clean.shape), 0, 1).astype(np.float32), clean
    if kind == "blur":
        return cv2.GaussianBlur(clean, (0, 0), 2.5), clean
    return np.clip(clean * np.float32(0.6), 0, 1), clean


@pytest.mark.parametrize("kind", ["noise", "blur", "dark"])
def test_psnr_agrees_with_scikit_image(kind: str) -> None:
    image, clean = pair(kind)
    want = metrics.peak_signal_noise_ratio(clean.astype(np.float64), image.astype(np.float64), data_range=1)
    assert psnr(image, clean) == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("kind", ["noise", "blur", "dark"])
def test_ssim_agrees_with_scikit_image(kind: str) -> None:
    """Both use 11x11 windows (3.5 sigma) and leave the 5-pixel border out, so they agree far below 2e-3."""
    image, clean = (a.astype(np.float64) for a in pair(kind))
    want = metrics.structural_similarity(
        clean,
        image,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=-1,
    )
    assert ssim(image, clean) == pytest.approx(want, abs=1e-6)
    assert ssim(image, clean) == pytest.approx(ssim(clean, image), abs=1e-12)
    assert 0.1 < want < 0.99


def test_equal_pictures() -> None:
    _, clean = pair("noise")
    assert psnr(clean, clean) == float("inf")
    assert ssim(clean, clean) == pytest.approx(1.0, abs=1e-12)


def test_psnr_closed_form() -> None:
    black = np.zeros((16, 16, 3), np.float32)
    assert psnr(black, black + np.float32(0.01)) == pytest.approx(40.0, abs=1e-4)


def test_gradient_energy_of_a_ramp() -> None:
    """Luminance rising by a per column and b per row: a^2 + b^2; colour counts by its luma."""
    y, x = np.mgrid[:20, :30]
    ramp = 0.1 + 0.01 * x + 0.02 * y
    assert gradient_energy(np.repeat(ramp[..., None], 3, axis=2)) == pytest.approx(0.01**2 + 0.02**2, rel=1e-9)
    green = np.zeros((20, 30, 3))
    green[..., 1] = ramp
    assert gradient_energy(green) == pytest.approx((0.01**2 + 0.02**2) * 0.587**2, rel=1e-9)


def test_gradient_energy_falls_with_blur_and_rises_with_noise() -> None:
    clean = pair("noise")[1]
    assert gradient_energy(pair("blur")[0]) < 0.5 * gradient_energy(clean) < gradient_energy(pair("noise")[0])


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_other_shapes_are_refused_by_name(metric: object) -> None:
    with pytest.raises(ValueError, match=r"\(20, 20, 3\) and \(20, 20, 1\)"):
        metric(np.zeros((20, 20, 3)), np.zeros((20, 20, 1)))  # type: ignore[operator]


def test_ssim_of_a_picture_smaller_than_its_window_is_an_error() -> None:
    with pytest.raises(ValueError, match="11"):
        ssim(np.zeros((10, 40, 3)), np.zeros((10, 40, 3)))


def test_examples_in_docstrings() -> None:
    result = doctest.testmod(likeness.measure.functional, extraglobs={"np": np})
    assert result.attempted >= 2
    assert result.failed == 0
