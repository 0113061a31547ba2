"""PSNR, SSIM and MS-SSIM of batches against scikit-image, torchmetrics, scipy and the numpy functions beside them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from likeness.measure import fidelity, functional

metrics = pytest.importorskip("skimage.metrics", reason="needs scikit-image")
ndimage = pytest.importorskip("scipy.ndimage", reason="needs scipy")

ALL = [fidelity.psnr, fidelity.ssim, fidelity.ms_ssim, fidelity.mean_squared_error]


def pair(height: int = 180, width: int = 176, count: int = 2) -> tuple[Tensor, Tensor]:
    """Noisy and clean waves, (count, 3, height, width) in [0, 1]."""
    generator = torch.Generator().manual_seed(3)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = [torch.sin(0.05 * (c + 1) * y + 0.07 * x + k) for k in range(count) for c in range(3)]
    clean = torch.stack(waves).view(count, 3, height, width) * 0.4 + 0.5
    noise = torch.randn(clean.shape, generator=generator) * torch.linspace(0.03, 0.2, count).view(-1, 1, 1, 1)
    return (clean + noise).clamp(0, 1), clean


def arrays(a: Tensor) -> list[np.ndarray]:
    return [one.permute(1, 2, 0).double().numpy() for one in a]


def test_psnr_and_ssim_agree_with_scikit_image() -> None:
    a, b = pair()
    for i, (x, y) in enumerate(zip(arrays(a), arrays(b), strict=True)):
        want = metrics.peak_signal_noise_ratio(y, x, data_range=1)
        assert float(fidelity.psnr(a, b)[i]) == pytest.approx(want, abs=1e-9)
        want = metrics.structural_similarity(
            y, x, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=-1
        )
        assert float(fidelity.ssim(a, b)[i]) == pytest.approx(want, abs=1e-6)
        assert 0.1 < want < 0.95


def test_they_agree_with_the_numpy_functions() -> None:
    a, b = pair(60, 50)
    for i, (x, y) in enumerate(zip(arrays(a), arrays(b), strict=True)):
        assert float(fidelity.psnr(a, b)[i]) == pytest.approx(functional.psnr(x, y), abs=1e-9)
        assert float(fidelity.ssim(a, b, crop=7)[i]) == pytest.approx(
            functional.ssim(x[7:-7, 7:-7], y[7:-7, 7:-7]), abs=1e-9
        )


def ms_ssim_by_scipy(x: np.ndarray, y: np.ndarray) -> float:
    """Written again with scipy's filters on whole pictures, whose borders are then cut off."""

    def blur(a: np.ndarray) -> np.ndarray:
        return np.asarray(ndimage.gaussian_filter(a, 1.5, radius=5, axes=(0, 1))[5:-5, 5:-5])

    value = 1.0
    for level, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        if level:
            x, y = (
                a[: len(a) // 2 * 2, : a.shape[1] // 2 * 2].reshape(len(a) // 2, 2, a.shape[1] // 2, 2, 3).mean((1, 3))
                for a in (x, y)
            )
        mx, my = blur(x), blur(y)
        vx, vy, cov = blur(x**2) - mx**2, blur(y**2) - my**2, blur(x * y) - mx * my
        term = (2 * cov + 9e-4) / (vx + vy + 9e-4)
        if level == 4:
            term = term * (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
        value *= max(float(term.mean()), 0.0) ** weight
    return value


def test_ms_ssim_agrees_with_another_implementation() -> None:
    a, b = pair(201, 176)  # an odd height: its last row is left out
    for got, x, y in zip(fidelity.ms_ssim(a, b).tolist(), arrays(a), arrays(b), strict=True):
        assert got == pytest.approx(ms_ssim_by_scipy(x, y), abs=1e-9)
        assert 0.3 < got < 0.999


def test_ms_ssim_agrees_with_torchmetrics() -> None:
    image = pytest.importorskip("torchmetrics.functional.image", reason="needs torchmetrics")
    a, b = (x.double() for x in pair(201, 190))
    want = image.multiscale_structural_similarity_index_measure(a, b, data_range=1.0, reduction="none")
    # Looser: at the last size torchmetrics takes in a mirrored border, which Wang et al. (and we) leave out.
    torch.testing.assert_close(fidelity.ms_ssim(a, b), want, rtol=0, atol=1e-3)


def test_a_negative_of_a_picture_has_no_ms_ssim() -> None:
    clean = pair()[1]
    assert fidelity.ms_ssim(1 - clean, clean).tolist() == [0.0, 0.0]


def test_equal_pictures() -> None:
    clean = pair()[1]
    assert fidelity.psnr(clean, clean).tolist() == [float("inf")] * 2
    assert fidelity.psnr(clean, clean, floor=fidelity.BASICSR_FLOOR).tolist() == pytest.approx([80.0] * 2)
    assert fidelity.ssim(clean, clean).tolist() == pytest.approx([1.0] * 2, abs=1e-12)
    assert fidelity.ms_ssim(clean, clean).tolist() == pytest.approx([1.0] * 2, abs=1e-12)


def test_closed_forms() -> None:
    black = torch.zeros(1, 3, 16, 16)
    assert float(fidelity.psnr(black + 0.1, black)) == pytest.approx(20.0, abs=1e-6)
    assert float(fidelity.mean_squared_error(black + 0.1, black)) == pytest.approx(25.5**2, rel=1e-6)
    assert float(fidelity.psnr(black + 0.1, black, floor=0.01)) == pytest.approx(-10 * np.log10(0.02), abs=1e-6)


def test_luma_of_white_black_and_green() -> None:
    colours = torch.tensor([[1.0, 1, 1], [0, 0, 0], [0, 1, 0]]).view(3, 3, 1, 1)
    assert (fidelity.luma(colours) * 255).flatten().tolist() == pytest.approx([235, 16, 144.553], abs=1e-9)


def test_each_picture_counts_for_itself() -> None:
    a, b = pair(count=3)
    for metric in ALL:
        singly = torch.cat([metric(a[i : i + 1], b[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(metric(a, b), singly, rtol=1e-12, atol=0)


@pytest.mark.parametrize("metric", ALL)
def test_what_does_not_fit_is_refused(metric) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"\(1, 3, 20, 20\) and \(1, 1, 20, 20\)"):
        metric(torch.zeros(1, 3, 20, 20), torch.zeros(1, 1, 20, 20))
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\)"):
        metric(torch.zeros(20, 20, 3), torch.zeros(20, 20, 3))


def test_too_small_pictures_are_refused() -> None:
    small, crop = torch.zeros(1, 3, 10, 40), torch.zeros(1, 3, 175, 300)
    with pytest.raises(ValueError, match="11x11"):
        fidelity.ssim(small, small)
    with pytest.raises(ValueError, match="176x176"):
        fidelity.ms_ssim(crop, crop)
    with pytest.raises(ValueError, match="crop"):
        fidelity.psnr(small, small, crop=5)
