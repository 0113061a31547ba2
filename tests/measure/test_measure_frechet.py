"""FID and KID against scipy, torchmetrics, closed forms, and the definitions written out in loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from likeness.measure import frechet, kernel

linalg = pytest.importorskip("scipy.linalg", reason="needs scipy")


def features(count: int, width: int, seed: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=generator, dtype=torch.float64)
    return torch.randn(count, width, generator=generator, dtype=torch.float64) @ mix + shift


def by_scipy(a: Tensor, b: Tensor) -> float:
    (m1, c1), (m2, c2) = ((x.numpy().mean(0), np.cov(x.numpy(), rowvar=False)) for x in (a, b))
    root = linalg.sqrtm(c1 @ c2)
    return float(((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * np.real(root)))


def distance(a: Tensor, b: Tensor) -> float:
    return frechet.frechet_distance(*frechet.feature_statistics(a), *frechet.feature_statistics(b))


def test_statistics_are_those_of_numpy() -> None:
    x = features(30, 5, 1)
    mean, covariance = frechet.feature_statistics(x.float())
    assert mean.numpy() == pytest.approx(x.float().double().mean(0).numpy(), abs=1e-12)
    assert covariance.numpy() == pytest.approx(np.cov(x.float().double().numpy(), rowvar=False), abs=1e-12)


def test_distance_is_that_of_scipy() -> None:
    a, b = features(300, 20, 1), features(200, 20, 2, shift=0.3)
    assert distance(a, b) == pytest.approx(by_scipy(a, b), rel=1e-9)
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-9)


def test_distance_is_that_of_torchmetrics() -> None:
    fid = pytest.importorskip("torchmetrics.image.fid", reason="needs torchmetrics")
    statistics = [*frechet.feature_statistics(features(300, 20, 1)), *frechet.feature_statistics(features(99, 20, 2))]
    assert frechet.frechet_distance(*statistics) == pytest.approx(float(fid._compute_fid(*statistics)), rel=1e-6)


def test_distance_of_singular_covariances() -> None:
    """Fewer pictures than features: what the published scripts approach as what they add gets smaller."""
    a, b = features(8, 20, 1), features(9, 20, 2)
    (m1, c1), (m2, c2) = frechet.feature_statistics(a), frechet.feature_statistics(b)
    eye = torch.eye(20) * 1e-10
    assert distance(a, b) == pytest.approx(frechet.frechet_distance(m1, c1 + eye, m2, c2 + eye), rel=1e-5)
    # In the space that both span the same number must come out.
    basis = torch.linalg.qr(torch.cat([a - m1, b - m2, (m1 - m2)[None]]).T).Q
    assert distance(a, b) == pytest.approx(distance(a @ basis, b @ basis), rel=1e-9)


def test_closed_forms() -> None:
    one, four = torch.tensor([[1.0]]), torch.tensor([[4.0]])
    assert frechet.frechet_distance(torch.tensor([0.0]), one, torch.tensor([3.0]), four) == pytest.approx(9 + 1)
    zero = torch.zeros(3)
    first, second = torch.diag(torch.tensor([1.0, 4, 9])), torch.diag(torch.tensor([4.0, 4, 0]))
    assert frechet.frechet_distance(zero, first, zero, second) == pytest.approx(1 + 0 + 9)


def test_equal_sets_have_no_distance() -> None:
    a = features(50, 12, 4)
    assert distance(a, a) == pytest.approx(0, abs=1e-9)
    assert distance(a[:5], a[:5]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (torch.tensor([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        (torch.tensor([[1.0, 0.0], [0.0, -1.0]]), "negative"),
        (torch.tensor([[1.0, 0.0], [0.0, float("nan")]]), "finite"),
        (torch.ones(3, 3), r"\(D, D\)"),
    ],
)
@pytest.mark.parametrize("second", [False, True])
def test_what_is_no_covariance_is_refused(covariance: Tensor, message: str, second: bool) -> None:
    mean, unit = torch.zeros(2), torch.eye(2)
    pair = (unit, covariance) if second else (covariance, unit)
    with pytest.raises(ValueError, match=message):
        frechet.frechet_distance(mean, pair[0], mean, pair[1])
    with pytest.raises(ValueError, match="N >= 2"):
        frechet.feature_statistics(torch.zeros(1, 4))


def test_torch_fidelity_input_is_tensorflows_bilinear() -> None:
    """By its definition, place by place; smaller and larger pictures."""
    rng = np.random.default_rng(0)
    for height, width in ((512, 40), (64, 300)):
        picture = rng.integers(0, 256, (3, height, width))
        got = frechet.torch_fidelity_input(torch.from_numpy(picture)[None] / 255)[0].numpy()
        assert got.shape == (3, 299, 299)
        for y, x in ((0, 0), (298, 298), (17, 251), (150, 149), (298, 3)):
            sy, sx = y * height / 299, x * width / 299
            y0, x0 = int(sy), int(sx)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            fy, fx = sy - y0, sx - x0
            top = picture[:, y0, x0] * (1 - fx) + picture[:, y0, x1] * fx
            bottom = picture[:, y1, x0] * (1 - fx) + picture[:, y1, x1] * fx
            assert got[:, y, x] == pytest.approx(
                ((top * (1 - fy) + bottom * fy) - 128) / 128, abs=1e-4
            )  # places in float32


def test_the_other_inputs_are_the_same_bilinear_with_the_half_pixel() -> None:
    picture = torch.rand(2, 3, 100, 130, generator=torch.Generator().manual_seed(0))
    first, second = frechet.pytorch_fid_input(picture), frechet.basicsr_input(2 * picture - 1)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-6)
    y, x = (150 + 0.5) * 100 / 299 - 0.5, (200 + 0.5) * 130 / 299 - 0.5
    fy, fx, y, x = y % 1, x % 1, int(y), int(x)
    corner = picture[0, 1, y : y + 2, x : x + 2]
    want = corner[0, 0] * (1 - fy) * (1 - fx) + corner[0, 1] * (1 - fy) * fx
    want = want + corner[1, 0] * fy * (1 - fx) + corner[1, 1] * fy * fx
    assert float(first[0, 1, 150, 200]) == pytest.approx(2 * float(want) - 1, abs=1e-5)
    assert not torch.allclose(first, frechet.torch_fidelity_input(picture), atol=0.02)


def test_polynomial_mmd_is_its_definition() -> None:
    a, b = features(5, 3, 1), features(4, 3, 2, shift=0.5)

    def k(x: Tensor, y: Tensor) -> float:
        return (float(x @ y) / 3 + 1) ** 3

    within_a = sum(k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j) / 20
    within_b = sum(k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j) / 12
    between = sum(k(x, y) for x in a for y in b) / 20
    assert kernel.polynomial_mmd(a, b) == pytest.approx(within_a + within_b - 2 * between, rel=1e-9)


def test_polynomial_mmd_is_that_of_torchmetrics() -> None:
    kid = pytest.importorskip("torchmetrics.image.kid", reason="needs torchmetrics")
    a, b = features(40, 8, 1), features(40, 8, 2)
    assert kernel.polynomial_mmd(a, b) == pytest.approx(float(kid.poly_mmd(a, b)), rel=1e-9)


def test_kernel_distance_of_whole_sets_is_the_discrepancy() -> None:
    a, b = features(30, 6, 1), features(40, 6, 2)
    whole = kernel.kernel_distance(a, b[:30], subsets=3)
    assert whole.mean == pytest.approx(kernel.polynomial_mmd(a, b[:30]), rel=1e-9)
    assert whole.std == pytest.approx(0, abs=1e-9 * abs(whole.mean))


def test_kernel_distance_is_seeded_and_tells_sets_apart() -> None:
    a, b = features(400, 6, 1)[:200], features(400, 6, 1)[200:]
    once = kernel.kernel_distance(a, b, subsets=20, subset_size=50, seed=5)
    assert once == kernel.kernel_distance(a, b, subsets=20, subset_size=50, seed=5)
    assert once != kernel.kernel_distance(a, b, subsets=20, subset_size=50, seed=6)
    moved = kernel.kernel_distance(a, b + 2, subsets=20, subset_size=50, seed=5)
    assert moved.mean > abs(once.mean) + 3 * once.std / np.sqrt(20)


def test_kernel_distance_refuses_what_does_not_fit() -> None:
    a = features(10, 4, 1)
    with pytest.raises(ValueError, match=r"\(N, D\)"):
        kernel.kernel_distance(a, features(10, 5, 1))
    with pytest.raises(ValueError, match="two features"):
        kernel.polynomial_mmd(a[:1], a)
    with pytest.raises(ValueError, match="subset"):
        kernel.kernel_distance(a, a, subsets=0)
