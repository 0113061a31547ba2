"""DifFace's estimator: it learns, and what it leaves is used by the method."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

pytest.importorskip("accelerate", reason="needs likeness[train]")

from tiny import SETTINGS, SWINIR, averaged, losses_on_one_picture, moved, one_picture, run

from likeness.methods import load as load_method
from likeness.methods.difface import CARD
from likeness.methods.difface.restorer import DifFaceRestorer
from likeness.methods.difface.unet import UNet, UNetConfig
from likeness.methods.recognise import convert_file, recognise_file
from likeness.train.checkpoint import LAST
from likeness.train.draws import Draws
from likeness.train.objectives.build import build_objective
from likeness.train.recipe import RecipeError, TrainRecipe
from likeness.weights.errors import WeightsError

Make = Callable[..., TrainRecipe]
UNET = UNetConfig(32, (32, 32, 64, 64), (1, 1, 2, 1), (2, 3))  # pictures of 64


def test_it_learns_one_picture(small_recipe: Make) -> None:
    recipe = small_recipe(**SETTINGS["difface-estimator"])
    losses = losses_on_one_picture(build_objective(recipe), one_picture(recipe))
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("distortion", ["l1", "l2"])
def test_the_network_sees_and_gives_pictures_in_0_1(distortion: str, small_recipe: Make) -> None:
    objective = {"name": "difface-estimator", "network": SWINIR, "distortion": distortion}
    its = build_objective(small_recipe(method="difface", objective=objective))
    seen: list[torch.Tensor] = []
    its.generator = torch.nn.Identity()
    its.generator.register_forward_hook(lambda _, x, __: seen.append(x[0]))
    batch = {"degraded": torch.full((2, 3, 64, 64), -1.0), "clean": torch.zeros(2, 3, 64, 64)}
    loss, terms, _ = its.generator_loss(batch, 0, Draws(0, 0))
    assert float(seen[0].max()) == 0
    assert loss.item() == pytest.approx(0.5 if distortion == "l1" else 0.25)
    assert terms == {"l1": pytest.approx(0.5), "l2": pytest.approx(0.25)}
    assert its.restore(its.generator, batch["clean"])["mean"].abs().max() == 0


def test_every_part_of_it_learns(small_recipe: Make) -> None:
    recipe = small_recipe(steps=2, **SETTINGS["difface-estimator"])
    before = build_objective(recipe).generator.state_dict()
    learnt = moved(before, run(recipe)["generator"])
    assert {"conv_first.1.weight", "conv_last.bias"} <= learnt
    assert all(key in learnt for key, value in before.items() if value.is_floating_point() and "mask" not in key)


def test_the_method_uses_its_checkpoint_with_the_prior_beside_it(small_recipe: Make, tmp_path: Path) -> None:
    recipe = small_recipe(steps=2, **SETTINGS["difface-estimator"])
    run(recipe)
    last, clean = recipe.output / LAST, tmp_path / "away" / "estimator.safetensors"
    assert recognise_file(last) == "difface"
    clean.parent.mkdir()
    assert convert_file(last, clean)["method"] == "difface"
    crops = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    network, its = averaged(recipe, last), build_objective(recipe)
    with torch.no_grad():
        wanted = network(crops).clamp(0, 1)
    torch.testing.assert_close((its.restore(network, crops * 2 - 1)["mean"] + 1) / 2, wanted, rtol=0, atol=1e-6)
    for path in (last, clean):
        torch.save(UNet(UNET).state_dict(), path.with_name(CARD.checkpoints["unet"]))
        restorer = load_method("difface", device="cpu", weights=path)
        assert isinstance(restorer, DifFaceRestorer)
        torch.testing.assert_close(restorer.estimate(crops), wanted, rtol=0, atol=1e-6)
        assert restorer.restore(crops, steps=1).shape == crops.shape


def test_it_is_used_beside_a_prior_that_is_named(small_recipe: Make, tmp_path: Path) -> None:
    """As with the released files: the name of the diffusion network is given, the estimator lies beside it."""
    recipe = small_recipe(steps=1, **SETTINGS["difface-estimator"])
    run(recipe)
    torch.save(UNet(UNET).state_dict(), tmp_path / "prior.pth")
    convert_file(recipe.output / LAST, tmp_path / "swinir_restoration512_L1.safetensors")
    restorer = load_method("difface", device="cpu", weights=tmp_path / "prior.pth")
    assert isinstance(restorer, DifFaceRestorer)
    wanted = averaged(recipe, recipe.output / LAST).state_dict()
    assert not moved(wanted, restorer.estimator.state_dict())


def test_without_a_prior_it_says_what_to_type(
    small_recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKENESS_WEIGHTS", str(tmp_path / "nothing"))
    recipe = small_recipe(steps=1, **SETTINGS["difface-estimator"])
    run(recipe)
    with pytest.raises(WeightsError, match="likeness models pull difface") as caught:
        load_method("difface", device="cpu", weights=recipe.output / LAST)
    assert "\n" not in str(caught.value)


def test_init_brings_the_sizes(small_recipe: Make, tmp_path: Path) -> None:
    first = small_recipe(steps=1, output=str(tmp_path / "first"), **SETTINGS["difface-estimator"])
    run(first)
    other = {"name": "difface-estimator", "network": {**SWINIR, "embed_dim": 8}}
    slow = {"rate": 1e-12, "warmup": 0, "decay": 0}
    recipe = small_recipe(
        steps=1, init=str(first.output / LAST), method="difface", objective=other, optimiser=slow, seed=4
    )
    state = run(recipe)["generator"]
    wanted = averaged(first, first.output / LAST).state_dict()
    assert all(torch.allclose(state[key].float(), value.float(), atol=1e-6) for key, value in wanted.items())


def test_a_crop_that_the_windows_do_not_divide_is_refused(small_recipe: Make) -> None:
    with pytest.raises(RecipeError, match=r"data\.crop must be a multiple of 64"):
        build_objective(small_recipe(data={"crop": 96}, **SETTINGS["difface-estimator"]))
