"""NIMA: the numbers that follow from a distribution of ratings, and the way a picture takes to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import scenes
from likeness.measure.nima import nima_ratings, summarise
from likeness.nets.nima import NIMA
from likeness.nets.vgg import VGGFeatures


def with_head(bias: Tensor | None = None) -> NIMA:
    """Random features; with a bias, a head that sees nothing else."""
    torch.manual_seed(0)
    net = NIMA().eval()
    if bias is not None:
        with torch.no_grad():
            net.head.weight.zero_()
            net.head.bias.copy_(bias)
    return net


@pytest.mark.parametrize("rating", [1, 4, 10])
@torch.inference_mode()
def test_all_for_one_rating(rating: int) -> None:
    bias = torch.zeros(10)
    bias[rating - 1] = 100
    found = nima_ratings(with_head(bias), torch.rand(1, 3, 40, 60))
    assert found.score.tolist() == pytest.approx([rating], abs=1e-5)
    assert found.spread.tolist() == pytest.approx([0], abs=1e-5)


@torch.inference_mode()
def test_all_ratings_alike() -> None:
    found = nima_ratings(with_head(torch.zeros(10)), torch.rand(2, 3, 50, 50))
    assert found.score.tolist() == pytest.approx([5.5] * 2, abs=1e-5)
    assert found.spread.tolist() == pytest.approx([np.sqrt(8.25)] * 2, abs=1e-5)


def test_mean_and_spread_are_those_of_the_votes() -> None:
    votes = np.array([[1, 0, 2, 0, 5, 3, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 6, 6, 0, 0]])
    found = summarise(torch.from_numpy(votes / votes.sum(axis=1, keepdims=True)))
    for row, score, spread in zip(votes, found.score.tolist(), found.spread.tolist(), strict=True):
        single = np.repeat(np.arange(1, 11), row)
        assert score == pytest.approx(single.mean(), abs=1e-12)
        assert spread == pytest.approx(single.std(), abs=1e-12)
    ends = summarise(torch.tensor([[0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0.5]]))
    assert float(ends.spread) == 4.5


@torch.inference_mode()
def test_any_head_stays_within_the_ratings() -> None:
    net = with_head(torch.randn(10, generator=torch.Generator().manual_seed(4)) * 30)
    net.head.weight.normal_(generator=torch.Generator().manual_seed(5))
    shares = net(torch.rand(3, 3, 64, 64))
    assert shares.sum(dim=1).tolist() == pytest.approx([1] * 3, abs=1e-5)
    found = summarise(shares)
    assert bool(((found.score >= 1) & (found.score <= 10) & (found.spread >= 0) & (found.spread <= 4.5)).all())


class Seen(NIMA):
    """Keeps what it is shown, and sees nothing."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        return torch.full((len(x), 10), 0.1)


@torch.inference_mode()
def test_the_picture_is_reduced_with_antialiasing() -> None:
    net = Seen().eval()
    picture = scenes.portrait(512)
    nima_ratings(net, torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 255)
    want = [
        np.asarray(Image.fromarray(np.float32(picture[..., c]) / 255).resize((224, 224), Image.Resampling.BILINEAR))
        for c in range(3)
    ]
    np.testing.assert_allclose(net.seen[0].numpy(), np.stack(want), rtol=0, atol=5e-5)


@torch.inference_mode()
def test_the_network_layer_by_layer() -> None:
    net = with_head()
    x = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(6))
    vgg = VGGFeatures(16)
    vgg.load_state_dict({key: value for key, value in net.state_dict().items() if key.startswith("features.")})
    scaled = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    pooled = vgg(scaled, [30])[0].flatten(2).mean(dim=2)
    want = torch.softmax(pooled @ net.head.weight.T + net.head.bias, dim=1)
    torch.testing.assert_close(net(x), want)
    assert not torch.allclose(net.train()(x), want, rtol=1e-5, atol=0)  # dropout


def test_its_keys_are_those_of_the_docstring() -> None:
    keys = set(NIMA().state_dict())
    assert keys == set(VGGFeatures(16).state_dict()) | {"head.weight", "head.bias"}


def test_what_does_not_fit_is_refused() -> None:
    net = NIMA()
    with pytest.raises(ValueError, match="evaluation"):
        nima_ratings(net, torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\), got \(3, 64, 64\)"):
        nima_ratings(net.eval(), torch.zeros(3, 64, 64))
    for shares in (torch.full((2, 10), 0.2), torch.tensor([[1.5, -0.5]]), torch.ones(10) / 10):
        with pytest.raises(ValueError, match="sums of 1"):
            summarise(shares)
