"""DISTS against a reference in numpy, and what any weights must give; no released file is here."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import scenes
from likeness.measure.dists import dists_distance, dists_tensors
from likeness.nets.dists import DISTS, TAPS, WIDTHS, L2Pool, similarities
from likeness.nets.vgg import VGGFeatures
from likeness.weights.load import WeightsError, fill_strict


@lru_cache
def network() -> DISTS:
    """Random weights that keep the size of what passes."""
    torch.manual_seed(0)
    net = DISTS().eval()
    for name, value in net.trunk.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.kaiming_normal_(value)
        else:
            torch.nn.init.zeros_(value)
    return net


def photograph(side: int = 64) -> Tensor:
    """(1, 3, side, side)."""
    return torch.from_numpy(scenes.portrait(side).copy()).permute(2, 0, 1)[None] / 255


def blurred(x: Tensor, sigma: float) -> Tensor:
    line = torch.exp(-(torch.arange(-12.0, 13) ** 2) / (2 * sigma**2))
    line = (line / line.sum()).expand(3, 1, 1, -1)
    padded = F.pad(x, (12, 12, 12, 12), mode="replicate")
    return F.conv2d(F.conv2d(padded, line, groups=3), line.transpose(2, 3), groups=3)


@pytest.mark.parametrize("size", [(8, 6), (7, 9)])
def test_the_pool_by_brute_force(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    hann = np.hanning(5)[1:-1]
    window = np.outer(hann, hann) / np.outer(hann, hann).sum()
    padded = np.pad(x.double().numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    want = np.empty((2, 3, (size[0] + 1) // 2, (size[1] + 1) // 2))
    for i in range(want.shape[2]):
        for j in range(want.shape[3]):
            want[..., i, j] = np.sqrt((padded[..., 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] ** 2 * window).sum((2, 3)))
    np.testing.assert_allclose(L2Pool()(x).numpy(), want, rtol=1e-5, atol=2e-6)


def likeness_of(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The two terms of one feature in one pair, written out."""
    mx, my = x.mean(), y.mean()
    first = (2 * mx * my + 1e-6) / (mx**2 + my**2 + 1e-6)
    covariance = (x * y).mean() - mx * my
    return float(first), float((2 * covariance + 1e-6) / (x.var() + y.var() + 1e-6))


def test_the_terms_by_brute_force() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(2, 3, 5, 4, generator=generator)
    y = 0.7 * x + 0.3 * torch.rand(x.shape, generator=generator)
    texture, structure = similarities(x, y)
    for one in range(2):
        for channel in range(3):
            want = likeness_of(x[one, channel].double().numpy(), y[one, channel].double().numpy())
            assert (float(texture[one, channel]), float(structure[one, channel])) == pytest.approx(want, abs=1e-6)


@torch.inference_mode()
def test_the_score_is_one_less_the_weighed_sum() -> None:
    """With weights that differ; the features by the trunk's own layers, the rest in numpy."""
    net = DISTS().eval()
    fill_strict(net, network().state_dict(), "test")
    generator = torch.Generator().manual_seed(2)
    net.alpha.copy_(torch.rand(net.alpha.shape, generator=generator))
    net.beta.copy_(3 * torch.rand(net.beta.shape, generator=generator))
    a, b = photograph(48), blurred(photograph(48), 1.5)
    features = []
    for picture in (a, b):
        x = (picture - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
            3, 1, 1
        )
        found = [picture]
        for index, layer in enumerate(net.trunk.features):
            x = layer(x)
            if index in (3, 8, 15, 22, 29):
                found.append(x)
        torch.testing.assert_close(net.stages(picture), found)
        assert [one.shape[1] for one in found] == list(WIDTHS)
        assert [one.shape[2] for one in found] == [48, 48, 24, 12, 6, 3]
        features.append([plane for one in found for plane in one[0].double().numpy()])
    terms = np.array([likeness_of(x, y) for x, y in zip(*features, strict=True)])
    weights = np.stack([net.alpha.flatten().numpy(), net.beta.flatten().numpy()], axis=1).astype(np.float64)
    want = 1 - (weights / weights.sum() * terms).sum()
    assert float(net(a, b)) == pytest.approx(want, abs=1e-5)
    assert 0.01 < want < 1


@torch.inference_mode()
def test_equal_pictures_are_at_0() -> None:
    x = torch.cat([photograph(), torch.zeros(1, 3, 64, 64), torch.rand(1, 3, 64, 64)])
    assert dists_distance(network(), x, x).tolist() == [0, 0, 0]


@torch.inference_mode()
def test_it_is_symmetric_and_each_picture_counts_for_itself() -> None:
    a = torch.cat([photograph(), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))])
    b = torch.cat([blurred(photograph(), 2), 1 - photograph()])
    there, back = dists_distance(network(), a, b), dists_distance(network(), b, a)
    torch.testing.assert_close(there, back, rtol=1e-5, atol=1e-6)
    assert bool(((there > 0) & (there < 2)).all())
    singly = torch.cat([dists_distance(network(), a[i : i + 1], b[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(there, singly, rtol=1e-5, atol=1e-6)


@torch.inference_mode()
def test_more_blur_is_farther() -> None:
    clean = photograph()
    scores = [float(dists_distance(network(), blurred(clean, sigma), clean)) for sigma in (0.5, 1, 2, 4)]
    assert scores == sorted(scores)
    assert scores[-1] > 2 * scores[0] > 0


@torch.inference_mode()
def test_another_sample_of_a_texture_is_nearer_than_its_blur_in_the_means() -> None:
    """What DISTS is for: with the means only, resampled noise is alike, and smooth grey is not."""
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.rand(1, 3, 64, 64, generator=generator) for _ in range(2))
    texture = [
        similarities(x, y)[0].mean() for x, y in zip(network().stages(one), network().stages(other), strict=True)
    ]
    grey = [
        similarities(x, y)[0].mean()
        for x, y in zip(network().stages(one), network().stages(torch.full_like(one, 0.5)), strict=True)
    ]
    assert sum(texture) > sum(grey) + 0.1


def released() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Tensors named as the two released files name theirs."""
    torch.manual_seed(1)
    trunk = dict(VGGFeatures(16).state_dict()) | {"classifier.6.bias": torch.zeros(1000)}
    return trunk, {"alpha": torch.rand(1, 1475, 1, 1), "beta": torch.rand(1, 1475, 1, 1)}


def test_it_is_put_together_from_its_two_files() -> None:
    trunk, weights = released()
    tensors = dists_tensors(trunk, weights)
    assert tensors is not None
    net = DISTS()
    fill_strict(net, tensors, "dists")
    state = net.state_dict()
    assert torch.equal(state["alpha"], weights["alpha"])
    assert torch.equal(state["beta"], weights["beta"])
    assert all(torch.equal(state[f"trunk.{key}"], trunk[key]) for key in trunk if key.startswith("features."))
    assert max(TAPS) == 29
    assert dists_tensors(state, {}) == state


def test_wrong_files_are_not_taken() -> None:
    trunk, weights = released()
    assert dists_tensors(weights, trunk) is None
    assert dists_tensors(trunk, {}) is None
    assert dists_tensors({}, {}) is None
    assert dists_tensors(dict(VGGFeatures(19).state_dict()), weights) is None
    assert dists_tensors(trunk, weights | {"beta": torch.zeros(1, 1472, 1, 1)}) is None
    net = DISTS()
    with pytest.raises(WeightsError, match=r"^weights.pt does not fit this network: missing beta") as caught:
        fill_strict(net, {key: value for key, value in net.state_dict().items() if key != "beta"}, "weights.pt")
    assert "\n" not in str(caught.value)


def test_pictures_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3, 20, 20\) and \(1, 3, 20, 21\)"):
        dists_distance(network(), torch.zeros(1, 3, 20, 20), torch.zeros(1, 3, 20, 21))
    for shape in ((1, 1, 20, 20), (3, 20, 20), (1, 3, 15, 20)):
        with pytest.raises(ValueError, match="16x16"):
            dists_distance(network(), torch.zeros(shape), torch.zeros(shape))
