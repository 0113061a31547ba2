"""RDFR's training: what moves what, the losses of papers/003 (eq. 3, 7 to 10), and the way from a recipe to a face."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from processes import run_together
from torch import Tensor, nn

pytest.importorskip("accelerate", reason="needs likeness[train]")

from likeness.methods import load as load_method
from likeness.methods.rdfr import method
from likeness.methods.rdfr.fusion import GatedFusion
from likeness.methods.rdfr.network import RDFR
from likeness.methods.rdfr.quantise import Codebook
from likeness.methods.rdfr.restorer import read_sizes
from likeness.nets.stylegan2_discriminator import StyleGAN2Discriminator
from likeness.train.checkpoint import LAST, load_checkpoint
from likeness.train.draws import Draws
from likeness.train.loop import train
from likeness.train.objectives.adversarial import r1
from likeness.train.objectives.build import build_objective
from likeness.train.objectives.rdfr.objective import RDFRObjective
from likeness.train.objectives.rdfr.settings import RDFRConfig
from likeness.train.recipe import RecipeError, TrainRecipe, load_recipe

Make = Callable[..., TrainRecipe]
RECIPES = Path(__file__).parents[2] / "recipes"
NETWORK = {"size": 64, "width": 16, "multiplier": 0.5, "style": 16, "mapping": 2, "skips": 2, "codes": 12}
ROWS: dict[str, dict[str, bool]] = {
    "baseline": {"fusion": False, "quantise": False, "noise": False},
    "lgf": {"fusion": True, "quantise": False, "noise": False},
    "quantise": {"fusion": True, "quantise": True, "noise": False},
    "noise": {"fusion": True, "quantise": True, "noise": True},
}
Batch = dict[str, Tensor]


def terms(network: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {"name": "rdfr", "network": {**NETWORK, **(network or {})}, "perceptual": 0, "adversarial": 0, **changes}


def objective(network: dict[str, Any] | None = None, **changes: Any) -> RDFRObjective:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return RDFRObjective(RDFRConfig(**terms(network, **changes)))


def books(its: RDFRObjective) -> list[Codebook]:
    assert isinstance(its.generator, RDFR)
    return [book for book in its.generator.codebooks if isinstance(book, Codebook)]


def codes(its: RDFRObjective) -> list[Tensor]:
    return [book.codes.clone() for book in books(its)]


def distance(codes: Tensor, points: Tensor) -> Tensor:
    """Of each code to its nearest point."""
    nearest: Tensor = (codes[:, None] - points).norm(dim=2).amin(dim=1)
    return nearest


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(1)
    clean = F.interpolate(torch.rand(2, 3, 8, 8, generator=draw) * 2 - 1, (64, 64), mode="bicubic").clamp(-1, 1)
    return {"clean": clean, "degraded": F.avg_pool2d(clean, 9, 1, 4)}


# The codebooks


def test_codes_move_on_features_of_clean_pictures_only(batch: Batch) -> None:
    """By the closed form of the averages, whatever the degraded pictures are; and no gradient ever reaches them."""
    its, other = objective(decay=0.9, revive_every=0), objective(decay=0.9, revive_every=0)
    its.generator_loss(batch, 0, Draws(0, 0))
    other.generator_loss({**batch, "degraded": -batch["degraded"].flip(3)}, 0, Draws(0, 0))
    assert all(torch.equal(a, b) for a, b in zip(codes(its), codes(other), strict=True))

    assert isinstance(its.generator, RDFR)
    before = [{k: v.clone() for k, v in book.state_dict().items()} for book in books(its)]
    loss, _, _ = its.generator_loss(batch, 1, Draws(0, 1))
    with torch.no_grad():
        features = its.generator.encoder(batch["clean"])[2]
    for book, was, p in zip(books(its), before, features, strict=True):
        points = p.permute(0, 2, 3, 1).flatten(0, 2)
        nearest = (points[:, None] - was["codes"]).norm(dim=2).argmin(1)
        for k in range(12):
            mine = points[nearest == k]
            count = 0.9 * was["count"][k] + 0.1 * len(mine)
            total = 0.9 * was["total"][k] + 0.1 * mine.sum(0)
            torch.testing.assert_close(book.codes[k], total / count if len(mine) else was["codes"][k])
    moved = codes(its)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.optim.SGD(its.generator.parameters(), 1.0).step()
    assert all(torch.equal(a, b) for a, b in zip(codes(its), moved, strict=True))
    still = objective(decay=0.9, revive_every=0)
    still.generator.load_state_dict(its.generator.state_dict())
    with torch.no_grad():
        still.restore(still.generator, batch["degraded"])
    assert all(torch.equal(a, b) for a, b in zip(codes(still), moved, strict=True))


def test_codes_begin_as_features_and_those_out_of_use_begin_again(batch: Batch) -> None:
    its = objective(decay=0.0, revive_every=2)
    assert isinstance(its.generator, RDFR)
    with torch.no_grad():
        points = [p.permute(0, 2, 3, 1).flatten(0, 2) for p in its.generator.encoder(batch["clean"])[2]]
    for book in books(its):
        count = book.count.clone()
        assert not count.any()
    its.generator_loss(batch, 0, Draws(0, 0))
    for book, p in zip(books(its), points, strict=True):
        assert distance(book.codes, p).max() < p.std() * p.shape[1] ** 0.5  # means of features near them
        book.replace(torch.arange(12) == 5, torch.full_like(book.codes, 1e3), 3.0)  # nobody will choose it
    its.generator_loss(batch, 1, Draws(0, 1))
    for book, p in zip(books(its), points, strict=True):
        assert distance(book.codes[5:6], p).item() < 1e-5


def test_the_second_term_of_eq_3(batch: Batch) -> None:
    """Mean squared distance of the degraded pictures' features to their codes; it trains the encoder only."""
    its = objective(l1=0)
    its.generator_loss(batch, 0, Draws(0, 0))
    loss, said, _ = its.generator_loss(batch, 1, Draws(0, 1))
    assert isinstance(its.generator, RDFR)
    _, _, features = its.generator.encoder(batch["degraded"])
    wanted = sum(
        F.mse_loss(p, book.codes[book.nearest(p)].permute(0, 3, 1, 2)).item()
        for book, p in zip(books(its), features, strict=True)
    )
    assert loss.item() == pytest.approx(wanted, rel=1e-5)
    assert said["vq"] == pytest.approx(wanted, rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    touched = {
        name.split(".")[0] for name, p in its.generator.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert touched == {"encoder"}
    assert not any(p.requires_grad for book in books(its) for p in book.buffers())


# The adversary


def test_each_player_s_loss_leaves_the_other_alone(batch: Batch) -> None:
    its = objective(adversarial=1.0)
    assert its.discriminator is not None
    loss, said, carried = its.generator_loss(batch, 0, Draws(0, 0))
    loss.backward()  # type: ignore[no-untyped-call]
    assert "adversarial" in said
    assert all(p.grad is None for p in its.discriminator.parameters())
    assert all(p.requires_grad for p in its.discriminator.parameters())
    assert all(p.grad is not None for p in its.generator.parameters())
    its.generator.zero_grad(set_to_none=True)
    loss, said = its.discriminator_loss(batch, carried, 0, Draws(0, 0))
    loss.backward()  # type: ignore[no-untyped-call]
    assert {"discriminator", "r1"} == set(said)
    assert all(p.grad is None for p in its.generator.parameters())
    assert all(p.grad is not None for p in its.discriminator.parameters())


def test_the_adversarial_loss_is_that_of_eq_8_and_9(batch: Batch) -> None:
    class Mean(nn.Module):
        """The mean of the picture, which a colour change moves."""

        def forward(self, x: Tensor) -> Tensor:
            return x.mean(dim=(1, 2, 3))[:, None]

    its = objective(adversarial=0.5, l1=0, quantisation=0)
    its.discriminator = Mean()
    loss, said, fake = its.generator_loss(batch, 1, Draws(0, 1))
    assert loss.item() == pytest.approx(0.5 * said["adversarial"])
    assert said["adversarial"] == pytest.approx(-torch.sigmoid(fake.mean(dim=(1, 2, 3))).log().mean().item(), abs=0.4)
    loss_d, _ = its.discriminator_loss(batch, fake, 1, Draws(0, 1))
    again, _ = its.discriminator_loss(batch, fake, 1, Draws(0, 2))
    assert loss_d.item() != again.item()  # another augmentation


def test_r1_is_the_squared_gradient_of_each_picture() -> None:
    torch.manual_seed(0)
    first, last = nn.Linear(12, 5), nn.Linear(5, 1)
    net = nn.Sequential(nn.Flatten(), first, nn.Tanh(), last)
    x = torch.randn(3, 3, 2, 2)
    by_hand = []
    for one in x.flatten(1):
        hidden = torch.tanh(first.weight @ one + first.bias)
        by_hand.append(((last.weight[0] * (1 - hidden**2)) @ first.weight).square().sum())
    leaf = x.clone().requires_grad_()
    torch.testing.assert_close(r1(net(leaf), leaf), torch.stack(by_hand).mean())


def test_r1_comes_every_so_often_and_counts_that_much_more(batch: Batch) -> None:
    its, without = objective(adversarial=1.0, r1=4.0, r1_every=3), objective(adversarial=1.0, r1=0.0)
    fake = -batch["clean"]
    for step in range(4):
        loss, said = its.discriminator_loss(batch, fake, step, Draws(0, step))
        plain, _ = without.discriminator_loss(batch, fake, step, Draws(0, step))
        assert ("r1" in said) == (step % 3 == 0)
        assert loss.item() == pytest.approx(plain.item() + 4.0 / 2 * 3 * said.get("r1", 0.0), rel=1e-5)


def test_the_discriminator_s_second_gradient() -> None:
    """R1 needs it, through activations that overwrite their input."""
    torch.manual_seed(0)
    net = StyleGAN2Discriminator(8, narrow=1 / 128, group=1).double()
    x = torch.randn(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda v: net(v), (x,))


# Learning


def test_a_few_steps_on_one_picture_lower_the_loss(batch: Batch) -> None:
    its = objective()
    optimiser = torch.optim.Adam(its.generator.parameters(), lr=1e-2)
    losses = []
    for step in range(40):
        loss, said, _ = its.generator_loss(batch, step, Draws(0, step))
        assert loss.item() == pytest.approx(said["l1"] + said["vq"], rel=1e-5)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(said["l1"])
    assert sum(losses[-5:]) / 5 < 0.75 * losses[0]


def test_the_perceptual_loss_is_added(batch: Batch) -> None:
    class Distance(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
            return (a - b).square().mean(), a.mean() * 1e9  # the style distance is not of this paper

    its, plain = objective(), objective()
    its.config.perceptual = 2.0
    its.perceptual = Distance()  # type: ignore[assignment]
    loss, said, picture = its.generator_loss(batch, 0, Draws(0, 0))
    without, _, _ = plain.generator_loss(batch, 0, Draws(0, 0))
    assert said["perceptual"] == pytest.approx((picture - batch["clean"]).square().mean().item())
    assert loss.item() == pytest.approx(without.item() + 2 * said["perceptual"])


def test_what_validation_is_shown(batch: Batch) -> None:
    its, row = objective(), objective(ROWS["quantise"])
    shown = its.restore(its.generator, batch["degraded"])
    assert set(shown) == {"restored", "still"}
    assert all(picture.abs().max() <= 1 for picture in shown.values())
    assert not torch.equal(shown["restored"], shown["still"])
    assert torch.equal(its.restore(its.generator, batch["degraded"])["restored"], shown["restored"])
    assert set(row.restore(row.generator, batch["degraded"])) == {"restored"}


# From a recipe to a face


def recipe_of(small_recipe: Make, objective_terms: dict[str, Any], **changes: Any) -> TrainRecipe:
    data = {"size": 64, "crop": 64, "mixture": {"rdfr": 1.0}, **changes.pop("data", {})}
    return small_recipe(method="rdfr", objective=objective_terms, data=data, **changes)


@pytest.mark.parametrize("row", ROWS)
def test_each_row_trains_and_its_checkpoint_restores(row: str, small_recipe: Make, tmp_path: Path) -> None:
    recipe = recipe_of(small_recipe, terms(ROWS[row], adversarial=0.1), steps=1)
    path = train(recipe, build_objective(recipe), quiet=True)
    net, sha256 = method().load(path)
    assert isinstance(net, RDFR)
    assert len(sha256) == 64
    sizes = read_sizes(load_checkpoint(path)["generator"])
    assert sizes is not None
    assert {"fusion": sizes.fusion, "quantise": sizes.quantise, "noise": sizes.noise} == ROWS[row]
    assert isinstance(net.fusions[0], GatedFusion) == ROWS[row]["fusion"]
    crops = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0))
    restorer = load_method(weights=path, device="cpu", precision="fp32")
    assert restorer.card.name == "rdfr"
    one, two = (restorer.restore(crops, seed=seed) for seed in (1, 2))
    assert one.isfinite().all()
    assert torch.equal(one, two) != ROWS[row]["noise"]


def test_resumed_is_as_uninterrupted(small_recipe: Make, tmp_path: Path) -> None:
    full = terms(adversarial=0.1, r1_every=2, revive_every=2)
    flat = {"decay": 0}
    short = recipe_of(small_recipe, full, steps=3, optimiser=flat)
    train(short, build_objective(short), quiet=True)
    longer = recipe_of(small_recipe, full, steps=5, optimiser=flat)
    resumed = load_checkpoint(train(longer, build_objective(longer, seed=9), quiet=True))
    straight = recipe_of(small_recipe, full, steps=5, optimiser=flat, output=str(tmp_path / "straight"))
    whole = load_checkpoint(train(straight, build_objective(straight), quiet=True))
    for part in ("generator", "ema", "discriminator"):
        assert resumed[part].keys() == whole[part].keys()
        assert all(torch.equal(resumed[part][key], whole[part][key]) for key in whole[part]), part
    logs = [(r.output / "log.jsonl").read_text(encoding="utf-8").splitlines() for r in (longer, straight)]
    said = [[{k: v for k, v in json.loads(line).items() if "seconds" not in k} for line in log] for log in logs]
    assert said[0] == said[1]


def test_a_run_starts_from_a_file_of_another_size(small_recipe: Make, tmp_path: Path) -> None:
    recipe = recipe_of(small_recipe, terms({"skips": 3, "codes": 5}), steps=1)
    path = train(recipe, build_objective(recipe), quiet=True)
    its = objective({"size": 128, "skips": 4}, adversarial=0.1)
    its.load(path)
    assert isinstance(its.generator, RDFR)
    assert (its.generator.size, its.generator.sizes.skips, its.generator.sizes.codes) == (64, 3, 5)
    assert isinstance(its.discriminator, StyleGAN2Discriminator)
    assert its.discriminator.size == 64
    averaged = load_checkpoint(path)["ema"]
    assert all(torch.equal(value, averaged["module." + key]) for key, value in its.generator.state_dict().items())


RUN = """
import sys
from likeness.train import loop
from likeness.train.objectives.build import build_objective
from likeness.train.recipe import TrainRecipe

recipe = TrainRecipe.model_validate_json(sys.argv[1])
loop.train(recipe, build_objective(recipe), quiet=True)
"""


def test_two_processes_step_as_one(small_recipe: Make, tmp_path: Path) -> None:
    """The weights, and the codebooks with their revived codes; each picture is judged alone, as it must be then."""
    full = terms({"skips": 1}, adversarial=0.1, group=1, revive_every=1)
    states = []
    for processes in (1, 2):
        recipe = recipe_of(
            small_recipe, full, steps=1, batch=2 // processes, output=str(tmp_path / str(processes)),
            optimiser={"clip": 1e9},
        )  # fmt: skip
        script = tmp_path / "run.py"
        script.write_text(RUN, encoding="utf-8")
        run_together(processes, script, recipe.model_dump_json())
        states.append(load_checkpoint(recipe.output / LAST))
    one, two = states
    for key, value in one["generator"].items():
        torch.testing.assert_close(two["generator"][key], value, rtol=1e-4, atol=1e-5)
    first, second = ({k: v["exp_avg"] for k, v in s["optimisers"]["generator"]["state"].items()} for s in states)
    for number, value in first.items():  # the first gradients, but for a factor
        torch.testing.assert_close(second[number], value, rtol=1e-3, atol=1e-3 * float(value.abs().max()) + 1e-9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"size": 128, "crop": 128}}, "objective.network.size is 64, but data.size 128"),
        ({"data": {"size": 128, "crop": 64}}, "set data.crop to data.size, 128"),
    ],
)
def test_data_of_another_size_is_refused(changes: dict[str, Any], words: str, small_recipe: Make) -> None:
    with pytest.raises(RecipeError, match=words):
        build_objective(recipe_of(small_recipe, terms(), **changes))
    with pytest.raises(ValueError, match=r"set data\.size and data\.crop to 64"):
        objective().generator_loss({"clean": torch.zeros(1, 3, 32, 32), "degraded": torch.zeros(1)}, 0, Draws(0, 0))


NAMES = ("rdfr", "rdfr-x8", "rdfr-x16", *(f"rdfr-ablation-{row}" for row in ROWS), "smoke-rdfr")


@pytest.mark.parametrize("name", NAMES)
def test_the_recipes_are_valid(name: str) -> None:
    recipe = load_recipe(RECIPES / f"{name}.yaml")
    config = recipe.objective
    assert isinstance(config, RDFRConfig)
    assert recipe.method == "rdfr"
    assert recipe.data.size == recipe.data.crop == config.network.size
    switches = {key: getattr(config.network, key) for key in ROWS["noise"]}
    assert switches == ROWS[name.removeprefix("rdfr-ablation-") if "ablation" in name else "noise"]
    with pytest.raises(RecipeError, match="skips must be at most"):
        load_recipe(RECIPES / f"{name}.yaml", ["objective.network.size=64", "objective.network.skips=4"])
