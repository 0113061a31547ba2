"""IDM's training (papers/001, section 3.2): the losses, and that the sampler asks what the training asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("accelerate", reason="needs likeness[train]")

from tiny import IDM, SETTINGS, averaged, losses_on_one_picture, one_picture, run

from likeness.diffusion import Schedule, diffuse
from likeness.methods import load as load_method
from likeness.methods.idm.checkpoint import read_denoiser
from likeness.methods.idm.sr3_unet import SR3Config, SR3UNet
from likeness.methods.recognise import convert_file, recognise_file
from likeness.train.checkpoint import LAST
from likeness.train.draws import Draws
from likeness.train.objectives.build import build_objective
from likeness.train.objectives.idm.objective import IDMObjective
from likeness.train.objectives.idm.settings import IDMConfig
from likeness.train.recipe import RecipeError, TrainRecipe
from likeness.weights.errors import WeightsError

Make = Callable[..., TrainRecipe]
HO = Schedule.linear()


class Truth(nn.Module):
    """Knows the clean picture, and answers x0 or, by what it is told of the noise, eps. Remembers what it was asked."""

    factor = 2

    def __init__(self, clean: Tensor, prediction: str, conditioning: str) -> None:
        super().__init__()
        self.clean, self.prediction, self.conditioning = clean, prediction, conditioning
        self.states: list[Tensor] = []
        self.levels: list[Tensor] = []

    def gamma(self, level: Tensor) -> Tensor:
        return torch.from_numpy(HO.gammas)[level.long()] if self.conditioning == "t" else level.double() ** 2

    def eps(self, x_t: Tensor, level: Tensor) -> Tensor:
        gamma = self.gamma(level)[:, None, None, None]
        return (x_t - gamma.sqrt() * self.clean) / (1 - gamma).sqrt()

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        self.states.append(x[:, 3:])
        self.levels.append(level)
        return self.clean if self.prediction == "x0" else self.eps(x[:, 3:], level).float()


def pictures(count: int = 2, side: int = 64) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(3)
    clean, degraded = (torch.rand(count, 3, side, side, generator=draw) * 2 - 1 for _ in range(2))
    return {"clean": clean, "degraded": degraded}


def knowing(prediction: str, conditioning: str, count: int = 2, **changes: Any) -> tuple[IDMObjective, Truth]:
    its = IDMObjective(IDMConfig(prediction=prediction, conditioning=conditioning, **IDM, **changes))
    truth = Truth(pictures(count)["clean"], prediction, conditioning)
    its.generator = truth
    return its, truth


both = pytest.mark.parametrize("prediction", ["x0", "eps"])
told = pytest.mark.parametrize("conditioning", ["t", "gamma"])


@both
@told
def test_a_network_that_knows_the_truth_has_no_loss(prediction: str, conditioning: str) -> None:
    """Of eps it knows only what level it is told: so that says the noise that is in the picture."""
    its, truth = knowing(prediction, conditioning)
    loss, terms, _ = its.generator_loss(pictures(), 0, Draws(0, 0))
    assert loss.item() < 1e-4
    assert terms["l1"] < 1e-4
    truth.clean = truth.clean + 0.5
    assert its.generator_loss(pictures(), 0, Draws(0, 0))[0].item() > (0.4 if prediction == "x0" else 0.01)


@pytest.mark.parametrize(("distortion", "wanted"), [("l1", 0.5), ("l2", 0.25)])
def test_the_distortion_is_l1_or_l2(distortion: str, wanted: float) -> None:
    its, truth = knowing("x0", "t", distortion=distortion)
    truth.clean = truth.clean + 0.5
    loss, terms, _ = its.generator_loss(pictures(), 0, Draws(0, 0))
    assert loss.item() == pytest.approx(wanted, rel=1e-4)
    assert terms["l1"] == pytest.approx(0.5, rel=1e-4)
    assert terms["l2"] == pytest.approx(0.25, rel=1e-4)


@told
def test_the_training_draws_all_levels_evenly_and_within_the_schedule(conditioning: str) -> None:
    its = IDMObjective(IDMConfig(conditioning=conditioning, **IDM))
    level, gamma = its.draw(its.denoiser(its.generator), 4000, Draws(0, 0))
    if conditioning == "t":
        assert torch.equal(level, level.round())
        assert (int(level.min()), int(level.max())) in {(0, 999), (0, 998), (1, 999)}
        assert level.mean().item() == pytest.approx(499.5, abs=15)
        assert torch.equal(gamma, torch.from_numpy(HO.gammas).float()[level.long()])
    else:
        torch.testing.assert_close(gamma, level**2)
        index = torch.searchsorted(torch.from_numpy(HO.gammas).flip(0), gamma.double())
        assert index.double().mean().item() == pytest.approx(500, abs=15)
        assert HO.gammas[-1] <= float(gamma.min())
        assert float(gamma.max()) < 1


@both
@told
def test_the_sampler_asks_at_the_states_and_levels_of_the_training(prediction: str, conditioning: str) -> None:
    """At each step it shows q(x_t | x0) of the level that it tells, as the training does: noise of deviation 1."""
    its, truth = knowing(prediction, conditioning, count=1)
    degraded = pictures(1)["degraded"]
    restored = its.restore(truth, degraded)["restored"]
    torch.testing.assert_close(restored, truth.clean, rtol=0, atol=2e-3)
    assert len(truth.levels) == 10
    asked = [level.item() for level in truth.levels]
    steps = [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]
    assert asked == pytest.approx(steps if conditioning == "t" else [HO.gammas[s] ** 0.5 for s in steps], abs=1e-6)
    for state, level in zip(truth.states[:-1], truth.levels, strict=False):
        noise = truth.eps(state, level)
        assert noise.mean().abs() < 0.05
        assert noise.std().item() == pytest.approx(1, abs=0.03)

    trained = knowing(prediction, conditioning)[1]
    its.generator = trained
    draws, batch = Draws(5, 0), pictures()
    its.generator_loss(batch, 0, draws)
    again = Draws(5, 0)
    its.draw(its.denoiser(trained), 2, again)
    noise = again.normal(*batch["clean"].shape)
    expected = diffuse(batch["clean"], trained.gamma(trained.levels[0]).float(), noise)
    torch.testing.assert_close(trained.states[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("prediction", "conditioning"), [("x0", "t"), ("eps", "gamma")])
def test_it_learns_one_picture(prediction: str, conditioning: str, small_recipe: Make) -> None:
    objective = {"name": "idm", "prediction": prediction, "conditioning": conditioning, **IDM}
    recipe = small_recipe(method="idm", objective=objective)
    losses = losses_on_one_picture(build_objective(recipe), one_picture(recipe), steps=14)
    assert losses[-1] < 0.75 * losses[0]


@pytest.mark.parametrize("name", ["idm", "idm-gamma"])
def test_the_checkpoint_says_how_it_was_trained_and_restores_so(name: str, small_recipe: Make, tmp_path: Path) -> None:
    recipe = small_recipe(steps=2, **SETTINGS[name])
    run(recipe)
    last, clean = recipe.output / LAST, tmp_path / "idm.safetensors"
    assert recognise_file(last) == "idm"
    convert_file(last, clean)
    network = averaged(recipe, last)
    its = build_objective(recipe)
    assert isinstance(its, IDMObjective)
    crops = (pictures(1)["degraded"] + 1) / 2
    wanted = its.restore(network, crops * 2 - 1)["restored"]
    for path in (last, clean):
        denoiser = read_denoiser(path)
        assert denoiser.prediction == its.config.prediction
        assert denoiser.net.conditioning == its.config.conditioning
        assert (denoiser.schedule.gammas == HO.gammas).all()
        restored = load_method("idm", device="cpu", weights=path).restore(crops)
        torch.testing.assert_close(restored * 2 - 1, wanted, rtol=0, atol=1e-5)


def test_init_brings_sizes_noise_and_conditioning(small_recipe: Make, tmp_path: Path) -> None:
    first = small_recipe(steps=1, output=str(tmp_path / "first"), **SETTINGS["idm-gamma"])
    run(first)
    other = {"name": "idm", "prediction": "eps"}  # without sizes: those of the paper, which nobody builds here twice
    its = IDMObjective(IDMConfig(prediction="eps", **IDM))
    its.load(tmp_path / "first" / LAST)
    assert its.facts()["conditioning"] == "gamma"
    assert its.denoiser(its.generator).net.conditioning == "gamma"
    assert IDMConfig.model_validate(other).network.factor == 64
    with pytest.raises(WeightsError, match=r"predicts eps: set objective\.prediction to the same"):
        IDMObjective(IDMConfig(**IDM)).load(tmp_path / "first" / LAST)


def test_a_file_of_sr3_is_trained_on_with_its_own_noise(small_recipe: Make, tmp_path: Path) -> None:
    net = SR3UNet(SR3Config(inner_channel=16, channel_mults=(1, 2), norm_groups=8))
    betas = torch.linspace(1e-6, 1e-2, 50, dtype=torch.float64)
    config = {"prediction": "eps", "schedule": {"kind": "betas", "values": betas.tolist()}, "norm_groups": 8}
    torch.save({"state_dict": net.state_dict(), "config": config}, tmp_path / "sr3.pt")
    recipe = small_recipe(
        steps=1, method="idm", init=str(tmp_path / "sr3.pt"), objective={"name": "idm", "prediction": "eps", **IDM}
    )
    run(recipe)
    denoiser = read_denoiser(recipe.output / LAST)
    assert isinstance(denoiser.net, SR3UNet)
    assert denoiser.net.config.norm_groups == 8
    assert (denoiser.schedule.gammas == Schedule.from_betas(betas.numpy()).gammas).all()
    run(small_recipe(steps=2, method="idm", objective=recipe.objective.model_dump()))  # resumes what it wrote


def test_a_crop_that_the_network_cannot_halve_is_refused(small_recipe: Make) -> None:
    recipe = small_recipe(method="idm", objective={"name": "idm"}, data={"crop": 96})
    with pytest.raises(RecipeError, match=r"data\.crop must be a multiple of 64"):
        build_objective(recipe)
