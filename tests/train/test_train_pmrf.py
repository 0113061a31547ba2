"""PMRF's training: the posterior mean, then the flow from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("accelerate", reason="needs likeness[train]")

from tiny import FLOW, PMRF, SETTINGS, SWINIR, averaged, losses_on_one_picture, moved, one_picture, run

from likeness.methods import load as load_method
from likeness.methods.pmrf.network import PMRFNet
from likeness.methods.recognise import convert_file, recognise_file
from likeness.train.checkpoint import LAST
from likeness.train.draws import Draws
from likeness.train.objectives.build import build_objective
from likeness.train.objectives.flow.objective import FlowObjective, stratified
from likeness.train.objectives.flow.settings import PMRFFlowConfig
from likeness.train.recipe import TrainRecipe

Make = Callable[..., TrainRecipe]


def pictures() -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(3)
    clean, degraded = (torch.rand(2, 3, 64, 64, generator=draw) * 2 - 1 for _ in range(2))
    return {"clean": clean, "degraded": degraded}


class Velocity(nn.Module):
    """The straight way to the clean picture in [0, 1]: from z_t it is (x - z_t) / (1 - t)."""

    def __init__(self, clean: Tensor) -> None:
        super().__init__()
        self.clean = clean
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        self.seen.append((z, t))
        return (self.clean - z) / (1 - t[:, None, None, None])


def knowing(noise: float = 0.1) -> tuple[FlowObjective, Velocity]:
    its = FlowObjective(PMRFFlowConfig(noise=noise, steps=7, **PMRF))
    net, truth = its.generator, Velocity((pictures()["clean"] + 1) / 2)
    assert isinstance(net, PMRFNet)
    net.model, net.mmse_model = truth, Loud()  # type: ignore[assignment]
    return its, truth


class Loud(nn.Module):
    """A posterior mean that leaves [0, 1]: three times what it is shown."""

    def forward(self, y: Tensor) -> Tensor:
        return 3 * y


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_straight_way_has_no_loss(noise: float) -> None:
    """z0 = clip(mean) + noise, z_t = (1 - t) z0 + t x, v = x - z0."""
    its, truth = knowing(noise)
    batch = pictures()
    loss, terms, _ = its.generator_loss(batch, 0, Draws(7, 0))
    assert loss.item() < 1e-8
    z_t, t = truth.seen[0]
    assert ((t >= 0) & (t <= 1)).all()
    mean, clean = (1.5 * (batch["degraded"] + 1)).clamp(0, 1), (batch["clean"] + 1) / 2
    share = t[:, None, None, None]
    rest = (z_t - (1 - share) * mean - share * clean) / (1 - share)  # the noise that is left
    assert rest.std().item() == pytest.approx(noise, abs=0.005)
    assert terms["mean_l2"] == pytest.approx(((mean - clean) ** 2).mean().item(), rel=1e-4)
    truth.clean = truth.clean + 0.2  # now the way is wrong by 0.2 / (1 - t)
    wrong = its.generator_loss(batch, 0, Draws(7, 0))[0].item()
    assert wrong == pytest.approx(((0.2 / (1 - t)) ** 2).mean().item(), rel=1e-3)


def test_the_flow_follows_it_to_the_picture() -> None:
    its, truth = knowing()
    columns = its.restore(its.generator, pictures()["degraded"])
    torch.testing.assert_close(columns["restored"], pictures()["clean"], rtol=0, atol=1e-4)
    torch.testing.assert_close(columns["mean"], (3 * (pictures()["degraded"] + 1) / 2).clamp(0, 1) * 2 - 1)
    assert [round(float(t[0]) * 7) for _, t in truth.seen] == list(range(7))


@pytest.mark.parametrize("world", [1, 2])
def test_each_part_of_the_time_has_one_sample_of_all_processes(world: int) -> None:
    times = torch.cat([stratified(8 // world, Draws(1, 1, rank, world)) for rank in range(world)])
    assert sorted((times * 8).long().tolist()) == list(range(8))
    whole = stratified(8, Draws(1, 1))
    assert torch.equal(whole.sort().values, times.sort().values)
    assert not torch.equal(whole, stratified(8, Draws(1, 2)))


@pytest.mark.parametrize("name", ["pmrf-mean", "pmrf-flow"])
def test_each_stage_learns_one_picture_and_its_part_alone(name: str, small_recipe: Make) -> None:
    recipe = small_recipe(**SETTINGS[name])
    its = build_objective(recipe)
    before = {key: value.clone() for key, value in its.generator.state_dict().items()}
    losses = losses_on_one_picture(its, one_picture(recipe))
    assert losses[-1] < 0.7 * losses[0]
    learnt = moved(before, its.generator.state_dict())
    assert {key.split(".")[0] for key in learnt} == {{"pmrf-mean": "mmse_model", "pmrf-flow": "model"}[name]}
    assert len(learnt) > 20


@pytest.mark.parametrize("name", ["pmrf-mean", "pmrf-flow"])
def test_the_frozen_part_stays_in_a_run_in_its_average_too(name: str, small_recipe: Make) -> None:
    recipe = small_recipe(steps=2, **SETTINGS[name], optimiser={"weight_decay": 0.1})
    before = build_objective(recipe).generator.state_dict()
    state = run(recipe)
    frozen = {"pmrf-mean": "model.", "pmrf-flow": "mmse_model."}[name]
    for after in (state["generator"], averaged(recipe, recipe.output / LAST).state_dict()):
        assert not [key for key in moved(before, after) if key.startswith(frozen)]
        assert moved(before, after)


def test_the_second_stage_starts_from_the_first_and_restores_as_trained(small_recipe: Make, tmp_path: Path) -> None:
    first = small_recipe(steps=1, output=str(tmp_path / "mean"), **SETTINGS["pmrf-mean"])
    run(first)
    second = small_recipe(steps=2, init=str(first.output / LAST), **SETTINGS["pmrf-flow"], seed=8)
    run(second)
    network = averaged(second, second.output / LAST)
    assert isinstance(network, PMRFNet)
    wanted = averaged(first, first.output / LAST).get_submodule("mmse_model").state_dict()
    assert not moved(wanted, network.mmse_model.state_dict())

    last, clean = second.output / LAST, tmp_path / "pmrf.safetensors"
    assert recognise_file(last) == "pmrf"
    convert_file(last, clean)
    crops = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0))
    expected = build_objective(second).restore(network, crops * 2 - 1)
    for path in (last, clean):
        restorer = load_method("pmrf", device="cpu", weights=path)
        for steps, name in ((2, "restored"), (0, "mean")):
            got = restorer.restore(crops, steps=steps) * 2 - 1
            torch.testing.assert_close(got, expected[name], rtol=0, atol=1e-5)


def test_a_flow_without_a_trained_mean_says_so(small_recipe: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run(small_recipe(steps=1, **SETTINGS["pmrf-flow"]))
    assert "the posterior mean is untrained" in capsys.readouterr().err
    run(small_recipe(steps=2, **SETTINGS["pmrf-flow"]))
    assert "untrained" not in capsys.readouterr().err


def test_a_new_flow_stands_still() -> None:
    its = FlowObjective(PMRFFlowConfig(network={"mean": SWINIR, "flow": FLOW}))
    assert isinstance(its.generator, PMRFNet)
    assert not its.generator.model(torch.rand(1, 3, 64, 64), torch.rand(1)).any()
