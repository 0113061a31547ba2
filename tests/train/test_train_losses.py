"""The losses that objectives share, against closed forms; VGG-19 with made-up weights from a real file."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from likeness.nets.vgg import VGGFeatures
from likeness.train.draws import Draws
from likeness.train.objectives.adversarial import (
    augment,
    hinge_discriminator,
    hinge_generator,
    non_saturating_discriminator,
    non_saturating_generator,
    r1,
)
from likeness.train.objectives.losses import feature_distance
from likeness.train.objectives.perceptual import LAYERS, Perceptual, perceptual_for
from likeness.train.recipe import RecipeError


def test_undecided_costs_what_the_papers_say() -> None:
    undecided, sure = torch.zeros(4, 1), torch.full((4, 1), 30.0)
    assert non_saturating_generator(undecided).item() == pytest.approx(math.log(2))
    assert non_saturating_discriminator(undecided, undecided).item() == pytest.approx(2 * math.log(2))
    assert non_saturating_discriminator(sure, -sure).item() == pytest.approx(0, abs=1e-6)
    assert hinge_discriminator(undecided, undecided).item() == 2
    assert hinge_discriminator(sure, -sure).item() == 0
    assert hinge_generator(sure).item() == -30


def test_the_embedding_may_count_more_than_the_levels_below_it() -> None:
    class Levels(torch.nn.Module):
        def forward(self, picture: torch.Tensor) -> list[torch.Tensor]:
            return [picture, 10 * picture[:, :1]]

    clean = torch.ones(2, 3, 4, 4)
    restored = clean * torch.tensor([2.0, 1.5, 1.5]).view(1, 3, 1, 1)  # 0.707 away below, 1 away at the end
    below = math.sqrt((1 + 0.25 + 0.25) / 3)
    assert feature_distance(Levels(), restored, clean).item() == pytest.approx((below + 1) / 2, rel=1e-5)
    assert feature_distance(Levels(), restored, clean, last=3.0).item() == pytest.approx((below + 3) / 4, rel=1e-5)


def test_r1_of_a_linear_judge_is_its_squared_weight() -> None:
    weight = torch.randn(3 * 8 * 8, generator=torch.Generator().manual_seed(0))
    images = torch.rand(5, 3, 8, 8).requires_grad_(True)
    penalty = r1((images.flatten(1) @ weight)[:, None], images)
    assert penalty.item() == pytest.approx(weight.square().sum().item(), rel=1e-5)


def test_r1_trains_the_judge() -> None:
    judge = torch.nn.Linear(12, 1)
    images = torch.rand(2, 3, 2, 2).requires_grad_(True)
    r1(judge(images.flatten(1)), images).backward()
    assert judge.weight.grad is not None
    assert torch.allclose(judge.weight.grad, 2 * judge.weight, rtol=1e-5)


def test_colour_keeps_shapes_and_translation_keeps_pixels() -> None:
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    moved = augment(images, Draws(0, 0), ["translation"])
    offsets = set()
    for before, after in zip(images, moved, strict=True):
        fits = [
            (y, x)
            for y in range(-4, 5)
            for x in range(-4, 5)
            if torch.equal(
                after[:, max(0, y) : 32 + min(0, y), max(0, x) : 32 + min(0, x)],
                before[:, max(0, -y) : 32 + min(0, -y), max(0, -x) : 32 + min(0, -x)],
            )
        ]
        assert len(fits) == 1
        offsets.add(fits[0])
    assert len(offsets) > 3
    coloured = augment(images, Draws(0, 0), ["colour"])
    assert not torch.allclose(coloured, images, atol=0.05)
    centred = [x.mean(1) - x.mean((1, 2, 3), keepdim=True)[:, 0] for x in (images, coloured)]
    contrast = (centred[1] / centred[0]).flatten(1).median(1).values  # brightness and saturation leave the grey's shape
    assert ((contrast > 0.49) & (contrast < 1.51)).all()
    assert contrast.unique().numel() == 6


def test_augmentation_is_differentiable_and_shared_out() -> None:
    images = torch.rand(4, 3, 16, 16).requires_grad_(True)
    whole = augment(images, Draws(0, 3))
    whole.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    for rank in range(2):
        part = augment(images.detach()[rank::2], Draws(0, 3, rank, 2))
        assert torch.equal(part, whole.detach()[rank::2])
    with pytest.raises(ValueError, match=r"unknown augmentation 'cutout'; known: colour, translation"):
        augment(images, Draws(0, 0), ["cutout"])


@pytest.fixture
def vgg(tmp_path: Path) -> Path:
    """Made-up weights of VGG-19, with a classifier as in the released file."""
    torch.manual_seed(0)
    path = tmp_path / "vgg19.pth"
    torch.save({**VGGFeatures(19).state_dict(), "classifier.0.weight": torch.zeros(2, 2)}, path)
    return path


def test_perceptual_distance(vgg: Path) -> None:
    perceptual = Perceptual(vgg)
    clean = torch.rand(1, 3, 32, 32) * 2 - 1
    restored = (clean * 0.8).requires_grad_(True)
    same, same_style = perceptual(clean, clean)
    content, style = perceptual(restored, clean)
    assert same.item() == same_style.item() == 0
    assert content.item() > 0
    assert style.item() > 0
    content.backward()
    assert restored.grad is not None
    assert restored.grad.abs().sum() > 0
    assert not [p for p in perceptual.parameters() if p.requires_grad]
    with torch.no_grad():
        ours = (((clean + 1) / 2) - perceptual.mean) / perceptual.std
        theirs = ((restored + 1) / 2 - perceptual.mean) / perceptual.std
        pairs = zip(perceptual.net(theirs, LAYERS), perceptual.net(ours, LAYERS), strict=True)
        wanted = sum(w * (a - b).abs().mean() for w, (a, b) in zip(LAYERS.values(), pairs, strict=True))
    assert content.item() == pytest.approx(float(wanted), rel=1e-5)


def test_without_the_file_the_term_is_off_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path))
    assert perceptual_for(0.0, None) is None
    assert capsys.readouterr().err == ""
    assert perceptual_for(1.0, None) is None
    said = capsys.readouterr().err.splitlines()
    assert said == ["the perceptual loss is off: vgg19 is not here (likeness models pull vgg19 brings it)"]
    with pytest.raises(RecipeError, match=r"objective\.vgg: .*no\.pth is not there"):
        perceptual_for(1.0, tmp_path / "no.pth")
