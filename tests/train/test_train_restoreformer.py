"""RestoreFormer's two stages: the terms, the dictionary that stays, and what asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("accelerate", reason="needs likeness[train]")

from published_tiny import Make, batch_of, built, tiny

from likeness.train.draws import Draws
from likeness.train.loop import train
from likeness.train.objectives.build import build_objective
from likeness.train.objectives.vqgan import quantise
from likeness.train.recipe import RecipeError
from likeness.weights.checkpoint import read_checkpoint

CROPS = {"component": 0, "component_style": 0, "identity": 0}


def test_the_dictionary_is_all_that_the_decoder_is_told(small_recipe: Make, tmp_path: Path) -> None:
    """Asked by nobody, the picture is a function of the codes alone."""
    its = built("restoreformer-dictionary", small_recipe, tmp_path)
    net, clean = its.generator, batch_of()["clean"]
    with torch.no_grad():
        net.quantize.embedding.weight.copy_(net.quantize.embedding.weight[:1].expand_as(net.quantize.embedding.weight))
        pictures, loss = its.reconstruct(net, clean)
        codes, wanted = quantise(net.quantize, net.quant_conv(net.encoder(clean)[0]), 0.25)
    torch.testing.assert_close(pictures[0], pictures[1])  # one code everywhere: one picture
    torch.testing.assert_close(loss, wanted)
    assert codes.std(dim=(0, 2, 3)).max() < 1e-5


def test_the_dictionary_stage_takes_crops_and_the_degraded_picture_is_not_read(
    small_recipe: Make, tmp_path: Path
) -> None:
    its = built("restoreformer-dictionary", small_recipe, tmp_path, data={"size": 128})
    batch = batch_of()
    loss, terms, _ = its.generator_loss(batch, 0, Draws(0, 0))
    other, _, _ = its.generator_loss({**batch, "degraded": torch.zeros_like(batch["clean"])}, 0, Draws(0, 0))
    assert loss.item() == other.item()
    wanted = terms["l1"] + terms["code"] + 0.75 * terms["ratio"] * terms["adversarial"]
    assert loss.item() == pytest.approx(wanted, rel=1e-4)


def test_the_restoring_stages_terms_add_up(small_recipe: Make, tmp_path: Path) -> None:
    its = built("restoreformer-restore", small_recipe, tmp_path, objective={"identity": 1.0})
    batch, net = batch_of(), its.generator
    loss, terms, picture = its.generator_loss(batch, 0, Draws(0, 0))
    wanted = terms["l1"] + terms["code"] + 0.75 * terms["ratio"] * terms["adversarial"]
    wanted += terms["component"] + 10 * terms["component_style"] + terms["identity"]
    assert loss.item() == pytest.approx(wanted, rel=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(picture, net(batch["degraded"]), rtol=1e-4, atol=1e-5)  # as it will be used
        z = net.quant_conv(net.encoder(batch["degraded"])[0])
        codes = net.quantize.look_up(net.quantize.nearest(z))
    assert terms["code"] == pytest.approx(1.25 * (z - codes).square().mean().item(), rel=1e-4)


def test_what_is_left_of_the_codes_loss_pulls_the_encoder_to_them(small_recipe: Make, tmp_path: Path) -> None:
    settings = {**CROPS, "adversarial": 0, "l1": 0}
    its = built("restoreformer-restore", small_recipe, tmp_path, objective=settings)
    its.generator_loss(batch_of(), 0, Draws(0, 0))[0].backward()
    got = {key for key, p in its.generator.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {key.split(".")[0] for key in got} == {"encoder", "quant_conv"}


def test_the_dictionary_can_learn_on(small_recipe: Make, tmp_path: Path) -> None:
    for fixed in (True, False):
        its = built("restoreformer-restore", small_recipe, tmp_path, objective={**CROPS, "fixed_dictionary": fixed})
        its.generator_loss(batch_of(), 0, Draws(0, 0))[0].backward()
        assert (its.generator.quantize.embedding.weight.grad is None) == fixed


def test_the_second_stage_goes_on_from_the_first(small_recipe: Make, tmp_path: Path) -> None:
    first = tiny("restoreformer-dictionary", small_recipe, tmp_path, output="first", steps=1)
    last = train(first, build_objective(first), quiet=True)
    its = built("restoreformer-restore", small_recipe, tmp_path, init=str(last))
    held = read_checkpoint(last)
    assert all(torch.equal(value, held[key]) for key, value in its.generator.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init": None}, "fixed_dictionary keeps the codes of init: name one"),
        ({"data": {"size": 128}}, r"objective\.component, .* wants whole faces: set data\.crop to data\.size, 128"),
    ],
)
def test_recipes_that_cannot_serve_it_are_refused(
    changes: dict[str, Any], message: str, small_recipe: Make, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=message):
        build_objective(tiny("restoreformer-restore", small_recipe, tmp_path, **changes))
    if "data" in changes:  # crops do without the face's parts
        build_objective(tiny("restoreformer-restore", small_recipe, tmp_path, objective=CROPS, **changes))
