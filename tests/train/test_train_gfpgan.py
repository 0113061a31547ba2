"""GFPGAN's training: the terms of section 3.5 of the paper, what stays as it is, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("accelerate", reason="needs likeness[train]")

from published_tiny import GFPGAN as SIZES
from published_tiny import Make, batch_of, built, parts, released_file, tiny

from likeness.faces.template import FFHQ_TEMPLATE
from likeness.methods.gfpgan.original import GFPGANOriginal
from likeness.train.draws import Draws
from likeness.train.objectives.build import build_objective
from likeness.train.objectives.components import ComponentDiscriminators, component_boxes, cut_components
from likeness.train.objectives.gfpgan.objective import pyramid_distance
from likeness.train.objectives.losses import gram
from likeness.train.recipe import RecipeError
from likeness.weights.load import WeightsError

PLAIN = {"adversarial": 0, "component": 0, "component_style": 0}


def loss_of(its: Any, step: int = 0, batch: dict[str, torch.Tensor] | None = None) -> tuple[float, dict[str, float]]:
    with torch.no_grad():
        loss, terms, _ = its.generator_loss(batch or batch_of(), step, Draws(0, step))
    return loss.item(), terms


# Eyes and mouth


@pytest.mark.parametrize("size", [512, 256, 64])
def test_crops_lie_on_the_eyes_and_the_mouth_of_the_template(size: int) -> None:
    boxes = component_boxes(size)
    scale = size / 512
    points = {"left_eye": FFHQ_TEMPLATE[0], "right_eye": FFHQ_TEMPLATE[1], "mouth": FFHQ_TEMPLATE[3:].mean(0)}
    for name, (top, left, side) in boxes.items():
        assert side == round((144 if name == "mouth" else 80) * scale)
        x, y = points[name] * scale
        assert abs(left + (side - 1) / 2 - x) <= 1
        assert abs(top + (side - 1) / 2 - y) <= 1
        assert min(top, left) >= 0
        assert max(top, left) + side <= size
    top, left, side = boxes["mouth"]
    for x, y in FFHQ_TEMPLATE[3:] * scale:  # both corners, away from the edge
        assert left + 0.08 * side < x < left + 0.92 * side
        assert top < y < top + side
    assert boxes["left_eye"][1] < boxes["right_eye"][1]  # as seen in the picture


def test_the_parts_losses_see_the_parts_only() -> None:
    torch.manual_seed(0)
    judges = ComponentDiscriminators(8)
    clean = torch.rand(2, 3, 128, 128) * 2 - 1
    restored = (clean * 0.5).requires_grad_(True)
    adversarial, style = judges.judge(restored, clean)
    torch.autograd.backward(adversarial + style)
    assert restored.grad is not None
    outside = torch.ones(128, 128, dtype=torch.bool)
    for top, left, side in component_boxes(128).values():
        assert restored.grad[..., top : top + side, left : left + side].abs().sum() > 0
        outside[top : top + side, left : left + side] = False
    assert restored.grad[..., outside].abs().sum() == 0
    assert all(p.grad is None and p.requires_grad for p in judges.parameters())
    same, none = judges.judge(clean, clean)
    assert none.item() == 0
    assert same.item() > 0


def test_style_is_the_mean_product_of_channels() -> None:
    x = torch.randn(2, 3, 4, 5)
    wanted = torch.einsum("bihw,bjhw->bij", x, x) / (3 * 4 * 5)
    torch.testing.assert_close(gram(x), wanted)
    assert {name: tuple(part.shape) for name, part in cut_components(torch.zeros(1, 3, 512, 512)).items()} == {
        "left_eye": (1, 3, 80, 80),
        "right_eye": (1, 3, 80, 80),
        "mouth": (1, 3, 144, 144),
    }


# The terms


def test_the_pyramid_compares_each_size_with_the_picture_reduced_to_it() -> None:
    clean = batch_of()["clean"]
    levels = [F.avg_pool2d(clean, 64 // size) if size < 64 else clean for size in (8, 16, 32, 64)]
    assert pyramid_distance(levels, clean).item() == pytest.approx(0, abs=1e-6)
    worse = [level + 0.1 * (index + 1) for index, level in enumerate(levels)]
    assert pyramid_distance(worse, clean).item() == pytest.approx(0.1 + 0.2 + 0.3 + 0.4, rel=1e-4)


def test_the_pyramids_weight_falls_to_nothing(small_recipe: Make, tmp_path: Path) -> None:
    its = built("gfpgan", small_recipe, tmp_path, objective={**PLAIN, "pyramid": 2.0, "pyramid_until": 10})
    for step, share in ((0, 1.0), (5, 0.5)):
        loss, terms = loss_of(its, step)
        assert loss == pytest.approx(0.1 * terms["l1"] + 2.0 * share * terms["pyramid"], rel=1e-4)
    loss, terms = loss_of(its, 10)
    assert "pyramid" not in terms
    assert loss == pytest.approx(0.1 * terms["l1"], rel=1e-4)


def test_the_terms_add_up_with_the_papers_weights(small_recipe: Make, tmp_path: Path) -> None:
    its = built("gfpgan", small_recipe, tmp_path, objective={"identity": 10.0})
    loss, terms = loss_of(its)
    weights = {
        "l1": 0.1,
        "pyramid": 1.0,
        "identity": 10.0,
        "adversarial": 0.1,
        "component": 1.0,
        "component_style": 200.0,
    }
    assert set(terms) == {"loss", *weights}
    assert loss == pytest.approx(sum(weights[name] * terms[name] for name in weights), rel=1e-4)
    assert terms["identity"] > 0


def test_every_sample_and_step_has_its_own_noise(small_recipe: Make, tmp_path: Path) -> None:
    its = built("gfpgan", small_recipe, tmp_path, objective=PLAIN)
    batch = {key: value[:1].repeat(2, 1, 1, 1) for key, value in batch_of().items()}
    with torch.no_grad():
        pictures = [its.generator_loss(batch, step, Draws(0, step))[2] for step in (0, 1, 1)]
    assert not torch.equal(pictures[0][0], pictures[0][1])
    assert not torch.equal(pictures[0], pictures[1])
    assert torch.equal(pictures[1], pictures[2])


def test_r1_comes_every_so_many_steps(small_recipe: Make, tmp_path: Path) -> None:
    its = built("gfpgan", small_recipe, tmp_path, objective={"r1_every": 4})
    batch = batch_of()
    seen = [its.discriminator_loss(batch, batch["degraded"], step, Draws(0, step))[1] for step in range(5)]
    assert ["r1" in terms for terms in seen] == [True, False, False, False, True]
    loss, terms = its.discriminator_loss(batch, batch["degraded"], 0, Draws(0, 0))
    wanted = terms["discriminator"] + terms["parts_discriminator"] + 10 / 2 * 4 * terms["r1"]
    assert loss.item() == pytest.approx(wanted, rel=1e-4)


# What learns


@pytest.mark.parametrize(("fixed", "until"), [(True, 0), (False, 5)])
def test_the_decoder_stays_unless_asked_and_colours_learn_with_the_pyramid(
    fixed: bool, until: int, small_recipe: Make, tmp_path: Path
) -> None:
    terms = {**PLAIN, "fixed_decoder": fixed, "pyramid_until": until}
    its = built("gfpgan", small_recipe, tmp_path, objective=terms)
    its.generator_loss(batch_of(), 0, Draws(0, 0))[0].backward()
    got = {key for key, p in its.generator.named_parameters() if p.grad is not None}
    assert ("stylegan_decoder" in parts(got)) == (not fixed)
    assert ("toRGB" in parts(got)) == bool(until)
    assert not any("style_mlp" in key for key in got)
    assert {"conv_body_down", "condition_scale", "final_linear"} <= parts(got)


def test_the_papers_own_model_learns_too(small_recipe: Make, tmp_path: Path) -> None:
    path = released_file("gfpgan", tmp_path / "original", release="original")
    its = built("gfpgan", small_recipe, tmp_path, init=str(path), objective=PLAIN)
    assert isinstance(its.generator, GFPGANOriginal)
    batch = batch_of(1)
    optimiser = torch.optim.Adam([p for p in its.generator.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(12):
        loss, _, _ = its.generator_loss(batch, 0, Draws(0, 0))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert min(losses[-3:]) < 0.9 * losses[0]


# What is refused


def test_weights_of_another_size_are_refused_by_name(small_recipe: Make, tmp_path: Path) -> None:
    path = released_file("gfpgan", tmp_path / "small", size=128)
    with pytest.raises(WeightsError, match=r"gfpgan\.pth is for faces of 128 pixels: set data\.size to that, not 64"):
        built("gfpgan", small_recipe, tmp_path, init=str(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init": None}, "fixed_decoder keeps the decoder of init: name one"),
        ({"data": {"size": 128}}, r"wants whole faces: set data\.crop to data\.size, 128"),
        (
            {"init": None, "objective": {"fixed_decoder": False, "network": {**SIZES, "size": 128}}},
            r"network\.size is 128, but data\.size 64",
        ),
    ],
)
def test_recipes_that_cannot_serve_it_are_refused(
    changes: dict[str, Any], message: str, small_recipe: Make, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=message):
        build_objective(tiny("gfpgan", small_recipe, tmp_path, **changes))
