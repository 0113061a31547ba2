"""The loop: it learns, resumes exactly after kill -9, and stops at a loss that is not a number."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate", reason="needs likeness[train]")

from accelerate import Accelerator
from tiny import DYING

from likeness.degrade import Step
from likeness.methods.likeness.network import LikenessNet
from likeness.methods.likeness.trunk import TrunkConfig
from likeness.train.checkpoint import LAST, export_averaged, find_init, load_averaged, load_checkpoint, save_checkpoint
from likeness.train.draws import Draws
from likeness.train.loop import train
from likeness.train.objectives import Objective
from likeness.train.objectives.build import build_objective
from likeness.train.objectives.denoise import DenoiseObjective
from likeness.train.objectives.losses import grid_distance, negative_psnr, texture_distance
from likeness.train.objectives.settings import DenoiseConfig, SharpenConfig
from likeness.train.objectives.sharpen import SharpenObjective
from likeness.train.recipe import TrainRecipe, ValidationConfig
from likeness.train.validate import Validator
from likeness.weights.builtin import builtin_path
from likeness.weights.checkpoint import read_checkpoint
from likeness.weights.load import WeightsError, load_strict, save_half

Make = Callable[..., TrainRecipe]
SMALL = TrunkConfig(widths=(16, 24, 32, 48), depths=(1, 1, 1, 1))
SHARPEN = {
    "name": "sharpen",
    "adversarial": 0.01,
    "feature_matching": 1,
    "fixed_point": 1,
    "fixed_point_every": 1,
    "patch": 64,
}


def small_net() -> LikenessNet:
    return LikenessNet(SMALL, SMALL)


@pytest.fixture(autouse=True)
def _small_net(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("denoise", "sharpen"):
        monkeypatch.setattr(f"likeness.train.objectives.{module}.LikenessNet", small_net)


def objective(recipe: TrainRecipe, seed: int = 0) -> Objective:
    return build_objective(recipe, seed)


def run(recipe: TrainRecipe, seed: int = 0) -> dict[str, Any]:
    return load_checkpoint(train(recipe, objective(recipe, seed), quiet=True))


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def log(recipe: TrainRecipe) -> list[dict[str, float]]:
    return [json.loads(line) for line in (recipe.output / "log.jsonl").read_text(encoding="utf-8").splitlines()]


# Resuming

KILLED = f"""{DYING}
from likeness.methods.likeness.network import LikenessNet
from likeness.methods.likeness.trunk import TrunkConfig
from likeness.train.objectives import denoise, sharpen

small = TrunkConfig(widths=(16, 24, 32, 48), depths=(1, 1, 1, 1))
denoise.LikenessNet = sharpen.LikenessNet = lambda: LikenessNet(small, small)
recipe = TrainRecipe.model_validate_json(sys.argv[1])
loop.train(recipe, build_objective(recipe, 0), quiet=True)
"""


@pytest.mark.parametrize(
    ("terms", "optimiser"), [({}, "adamw"), ({}, "muon"), (SHARPEN, "adamw")], ids=["denoise", "muon", "sharpen"]
)
def test_killed_in_the_middle_of_a_save_and_resumed_is_as_uninterrupted(
    terms: dict[str, Any], optimiser: str, small_recipe: Make, tmp_path: Path
) -> None:
    """kill -9 while the save of step 4 is half written: goes on from step 2, ends bit for bit the same."""
    changes: dict[str, Any] = {"save_every": 2, "objective": terms, "optimiser": {"name": optimiser}}
    recipe = small_recipe(output=str(tmp_path / "killed"), **changes)
    command = [sys.executable, "-c", KILLED, recipe.model_dump_json()]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert load_checkpoint(recipe.output / LAST)["step"] == 2

    resumed = run(recipe, seed=99)  # other fresh weights: all must come from the checkpoint
    straight = run(small_recipe(output=str(tmp_path / "straight"), **changes))
    assert resumed["step"] == straight["step"] == 6
    for part in ("ema", "generator") + (("discriminator",) if terms else ()):
        assert equal(resumed[part], straight[part]), part
    assert not equal(straight["ema"], straight["generator"])
    left = sorted(p.name for p in recipe.output.iterdir())
    assert left == ["last.ckpt", "log.jsonl", "tensorboard"]  # no partial file stays


def test_a_finished_run_stays_as_it_is(small_recipe: Make) -> None:
    first = run(small_recipe(steps=2))
    again = run(small_recipe(steps=2), seed=5)
    assert again["step"] == 2
    assert equal(first["ema"], again["ema"])


def test_a_run_can_be_made_longer(small_recipe: Make, tmp_path: Path) -> None:
    flat = {"decay": 0}
    run(small_recipe(steps=2, optimiser=flat))
    longer = run(small_recipe(steps=4, optimiser=flat), seed=5)
    straight = run(small_recipe(steps=4, optimiser=flat, output=str(tmp_path / "straight")))
    assert equal(longer["ema"], straight["ema"])


def test_another_seed_is_another_run(small_recipe: Make, tmp_path: Path) -> None:
    a = run(small_recipe(steps=1))
    b = run(small_recipe(steps=1, seed=2, output=str(tmp_path / "b")))
    assert not equal(a["generator"], b["generator"])


def test_the_checkpoint_carries_its_recipe(small_recipe: Make) -> None:
    recipe = small_recipe(steps=1)
    state = run(recipe)
    assert TrainRecipe.model_validate(state["recipe"]) == recipe
    assert state["discriminator"] is None


def test_a_save_replaces_the_last_whole(tmp_path: Path) -> None:
    for step in (1, 2):
        state = {
            "recipe": {},
            "step": step,
            "generator": {},
            "ema": {"module.x": torch.full((2,), float(step))},
        }
        path = save_checkpoint(tmp_path / "run", state)
    assert load_averaged(path)["x"].tolist() == [2.0, 2.0]
    assert [p.name for p in path.parent.iterdir()] == [LAST]


@pytest.mark.parametrize("kind", ["absent", "truncated", "no checkpoint", "code"])
def test_a_checkpoint_that_is_none_is_refused_by_name(kind: str, small_recipe: Make) -> None:
    recipe = small_recipe(steps=1)
    path = recipe.output / LAST
    path.parent.mkdir()
    if kind == "truncated":
        run(recipe)
        path.write_bytes(path.read_bytes()[:-2000])
    elif kind == "no checkpoint":
        torch.save({"state_dict": {}}, path)
    elif kind == "code":
        torch.save({"recipe": print}, path)
    with pytest.raises(WeightsError, match=r"last\.ckpt (is not|are not)") as caught:
        load_checkpoint(path)
    assert len(str(caught.value).splitlines()) == 1


def test_export_is_half_precision_and_carries_the_recipe(small_recipe: Make, tmp_path: Path) -> None:
    recipe = small_recipe(steps=1)
    run(recipe)
    target = tmp_path / "out" / "likeness.safetensors"
    metadata = export_averaged(recipe.output / LAST, target)
    assert metadata["steps"] == "1"
    assert TrainRecipe.model_validate_json(metadata["recipe"]) == recipe
    net, averaged = small_net(), load_averaged(recipe.output / LAST)
    load_strict(net, target)
    assert all(torch.equal(v, averaged[k].half().float()) for k, v in net.state_dict().items())
    assert [p.name for p in target.parent.iterdir()] == [target.name]


# Starting from weights


@pytest.mark.parametrize("kind", ["checkpoint", "safetensors"])
def test_init_starts_from_averaged_weights(kind: str, small_recipe: Make, tmp_path: Path) -> None:
    recipe = small_recipe(steps=2)
    run(recipe)
    path = recipe.output / LAST
    if kind == "safetensors":
        path = tmp_path / "w.safetensors"
        save_half(load_averaged(recipe.output / LAST), path, {})
    wanted = load_averaged(path)
    assert set(wanted) == set(small_net().state_dict())
    slow = {"rate": 1e-12, "warmup": 0, "decay": 0}
    state = run(small_recipe(steps=1, init=str(path), output=str(tmp_path / "next"), optimiser=slow), seed=7)
    for key, value in wanted.items():
        assert torch.allclose(state["generator"][key], value, atol=1e-7), key
        assert torch.allclose(state["ema"]["module." + key], value, atol=1e-7), key


# Learning


def test_a_few_steps_on_one_picture_lower_the_loss(small_recipe: Make, shard: Path) -> None:
    recipe = small_recipe(steps=30, optimiser={"rate": 3e-3, "warmup": 1, "decay": 0})
    its = objective(recipe)
    from likeness.train.data import Pairs

    sample = Pairs(recipe.data.model_copy(update={"mixture": {"codeformer": 1.0}}), 1)[0]
    batch = {key: value[None].expand(2, *value.shape).contiguous() for key, value in sample.items()}
    optimiser = torch.optim.Adam(its.generator.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss, terms, _ = its.generator_loss(batch, 0, Draws(0, 0))
        assert terms["l1"] == pytest.approx(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx((batch["degraded"] - batch["clean"]).abs().mean().item(), rel=1e-5)
    assert losses[-1] < 0.7 * losses[0]


def test_the_loop_learns(small_recipe: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """All the parts together, on strong noise, which is soon learnt: pictures it has not seen get better."""

    class Noise:
        @staticmethod
        def draw(rng: Any, *_: object) -> list[Step]:
            return [Step("gaussian_noise", {"sigma": 80.0, "seed": int(rng.integers(1000))})]

    monkeypatch.setattr("likeness.train.data.get_recipe", lambda name: Noise)
    recipe = small_recipe(
        steps=40,
        batch=4,
        data={"mixture": {"idm": 1.0}},
        optimiser={"rate": 3e-3, "warmup": 5, "decay": 10},
        objective={"mean_share": 1.0},
    )
    before = objective(recipe)
    trained = objective(recipe)
    train(recipe, trained, quiet=True)
    from likeness.train.data import Pairs

    pairs = Pairs(recipe.data, 77)
    samples = [pairs[n] for n in range(16)]
    batch = {key: torch.stack([s[key] for s in samples]) for key in samples[0]}
    averaged = small_net()
    averaged.load_state_dict(load_averaged(recipe.output / LAST))
    score = []
    for net in (before.generator, averaged):
        with torch.no_grad():
            out = net("denoiser", batch["degraded"], torch.zeros_like(batch["clean"]), torch.zeros(16), batch["place"])
        score.append((out - batch["clean"]).abs().mean().item())
    assert score[1] < 0.97 * score[0]
    entries = log(recipe)
    assert [e["step"] for e in entries] == list(range(1, 41))
    assert all(e["l1"] > 0 and e["seconds_per_step"] > 0 for e in entries)


def test_a_loss_that_is_not_finite_stops_the_run(small_recipe: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = small_recipe(save_every=1)
    broken = objective(recipe)
    good = broken.generator_loss

    def loss(batch: Any, step: int, rng: Draws) -> Any:
        value, terms, carried = good(batch, step, rng)
        return value * (float("nan") if step == 2 else 1.0), terms, carried

    monkeypatch.setattr(broken, "generator_loss", loss)
    with pytest.raises(FloatingPointError, match=r"the loss is nan: lower optimiser\.rate"):
        train(recipe, broken, quiet=True)
    state = load_checkpoint(recipe.output / LAST)
    assert state["step"] == 2
    assert all(torch.isfinite(v).all() for v in state["generator"].values())


def test_each_step_draws_its_own_noise_and_the_same_again(small_recipe: Make, tmp_path: Path) -> None:
    def drawn(name: str) -> list[float]:
        recipe = small_recipe(steps=3, output=str(tmp_path / name))
        its, seen = objective(recipe), []
        good = its.generator_loss

        def loss(batch: Any, step: int, rng: Draws) -> Any:
            seen.append(Draws(rng.seed, 0).uniform(1).item())
            return good(batch, step, rng)

        its.generator_loss = loss  # type: ignore[method-assign]
        train(recipe, its, quiet=True)
        return seen

    first = drawn("a")
    assert len(set(first)) == 3
    assert drawn("b") == first


# The objectives


def changed(before: Objective, state: dict[str, Any], part: str) -> set[str]:
    net = getattr(before, part)
    return {key for key, value in net.state_dict().items() if not torch.equal(value, state[part][key])}


def test_each_objective_trains_its_own_part_and_leaves_the_other(small_recipe: Make, tmp_path: Path) -> None:
    first = small_recipe(steps=2, objective={"name": "denoise"})
    moved = changed(objective(first), run(first), "generator")
    assert "denoiser.head.weight" in moved
    assert not [key for key in moved if not key.startswith("denoiser.")]

    second = small_recipe(steps=2, objective=SHARPEN, output=str(tmp_path / "second"))
    before, state = objective(second), run(second)
    moved = changed(before, state, "generator")
    assert "sharpener.head.weight" in moved
    assert not [key for key in moved if not key.startswith("sharpener.")]
    assert "head.weight" in changed(before, state, "discriminator")
    assert {"decibel", "texture", "adversarial", "matching", "drift", "discriminator"} <= set(log(second)[0])


def test_a_new_run_of_the_sharpener_starts_from_the_denoiser_and_a_resumed_one_does_not(small_recipe: Make) -> None:
    terms = {**SHARPEN, "from_denoiser": True}
    state = run(small_recipe(steps=2, objective=terms))["generator"]
    name = "encoder.0.0.conv1.weight"  # a first step of Adam moves no number by more than the rate
    assert (state[f"sharpener.{name}"] - state[f"denoiser.{name}"]).abs().max() < 5e-3
    longer = run(small_recipe(steps=3, objective=terms), seed=9)["generator"]
    assert equal(
        {k: v for k, v in longer.items() if k.startswith("denoiser.")},
        {k: v for k, v in state.items() if k.startswith("denoiser.")},
    )
    assert not torch.equal(longer["sharpener.head.weight"], torch.zeros_like(longer["sharpener.head.weight"]))


def batch_of(seed: int, clean_too: bool = False) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    clean = torch.rand(2, 3, 64, 64, generator=rng) * 2 - 1
    degraded = clean if clean_too else torch.rand(2, 3, 64, 64, generator=rng) * 2 - 1
    return {"clean": clean, "degraded": degraded, "place": torch.zeros(2, 2, 16, 16)}


def sharpening(**changes: Any) -> SharpenObjective:
    return SharpenObjective(SharpenConfig.model_validate({**SHARPEN, **changes}))


def test_generator_loss_does_not_train_the_discriminator() -> None:
    its = sharpening()
    assert its.discriminator is not None
    loss, _, carried = its.generator_loss(batch_of(0), 0, Draws(0, 0))
    loss.backward()
    assert all(p.grad is None for p in its.discriminator.parameters())
    assert all(p.requires_grad for p in its.discriminator.parameters())
    head = its.generator.get_parameter("sharpener.head.weight").grad
    assert head is not None
    assert head.abs().sum() > 0
    assert all(p.grad is None for p in its.generator.get_submodule("denoiser").parameters())
    for parameter in its.generator.parameters():
        parameter.grad = None
    loss_d, terms = its.discriminator_loss(batch_of(0), carried, 0, Draws(0, 0))
    loss_d.backward()
    assert all(p.grad is None for p in its.generator.parameters())
    assert terms["discriminator"] == pytest.approx(loss_d.item())


def test_fresh_net_on_clean_pictures_is_a_fixed_point() -> None:
    _, terms, carried = sharpening().generator_loss(batch_of(0, clean_too=True), 0, Draws(0, 0))
    assert terms["texture"] == terms["drift"] == 0.0
    assert terms["decibel"] == pytest.approx(27.0, abs=0.1)  # the floor
    assert torch.equal(carried[0], batch_of(0)["clean"])


def test_the_fixed_point_is_asked_every_so_many_steps() -> None:
    its = sharpening(fixed_point_every=3)
    seen = ["drift" in its.generator_loss(batch_of(0), step, Draws(0, 0))[1] for step in range(6)]
    assert seen == [True, False, False, True, False, False]


def test_the_generator_hears_of_the_discriminator_when_it_has_learned_something() -> None:
    its = sharpening(adversarial_from=2)
    seen = ["adversarial" in its.generator_loss(batch_of(0), step, Draws(0, 0))[1] for step in range(4)]
    assert seen == [False, False, True, True]


def test_the_discriminator_sees_the_same_square_of_both_pictures() -> None:
    batch = batch_of(0)
    batch["degraded"] = batch["clean"] = torch.rand(1, 3, 128, 128)
    batch["place"] = torch.zeros(1, 2, 32, 32)
    _, _, (sharp, window) = sharpening().generator_loss(batch, 0, Draws(0, 0))
    assert sharp.shape == (1, 3, 64, 64)
    assert torch.equal(sharp, batch["clean"][window])  # fresh, it returns what it was given


def test_negative_psnr_is_psnr_far_above_its_floor() -> None:
    clean = torch.zeros(2, 3, 8, 8)
    restored = torch.stack([torch.full((3, 8, 8), 0.2), torch.full((3, 8, 8), 0.02)])
    assert negative_psnr(restored[:1], clean, floor=0.0).item() == pytest.approx(-1.398, abs=1e-3)
    assert negative_psnr(restored, clean, floor=0.0).item() == pytest.approx((-1.398 - 3.398) / 2, abs=1e-3)
    assert negative_psnr(clean, clean).item() == pytest.approx(-2.699, abs=1e-3)


def test_texture_distance_forgives_detail_in_the_wrong_place() -> None:
    torch.manual_seed(0)
    clean, other = torch.randn(2, 1, 3, 64, 64) * 0.1
    smooth, rough = clean * 0.5, clean * 1.5
    assert texture_distance(clean, clean).item() == 0.0
    assert texture_distance(other, clean).item() < texture_distance(smooth, clean).item() / 4
    assert texture_distance(smooth, clean).item() == pytest.approx(texture_distance(rough, clean).item(), rel=0.05)
    ratio = texture_distance(smooth, clean, 0.8).item() / texture_distance(rough, clean, 0.8).item()
    assert ratio == pytest.approx(4.0, rel=0.05)


def test_grid_distance_sees_a_repeated_cell_and_not_other_detail() -> None:
    torch.manual_seed(0)
    clean, cell = torch.rand(1, 3, 64, 64), torch.randn(1, 3, 4, 4) * 0.1
    grain = torch.randn(1, 3, 64, 64) * 0.1
    assert grid_distance(clean, clean).item() == 0.0
    assert grid_distance(clean + 0.2, clean).item() < 1e-6  # a tint is no pattern
    repeated = grid_distance(clean + cell.repeat(1, 1, 16, 16), clean).item()
    assert repeated > 0.05
    assert grid_distance(clean + grain, clean).item() < repeated / 3


@pytest.mark.parametrize(("share", "zeros"), [(0.0, (0, 0)), (0.6, (90, 150)), (1.0, (200, 200))])
def test_mean_share_is_the_share_of_samples_at_pure_noise(share: float, zeros: tuple[int, int]) -> None:
    its = DenoiseObjective(DenoiseConfig(mean_share=share))
    seen: dict[str, torch.Tensor] = {}

    class Spy(torch.nn.Module):
        def forward(self, part: str, degraded: Any, state: Any, gamma: Any, place: Any) -> Any:
            assert part == "denoiser"
            seen.update(state=state, gamma=gamma)
            return degraded

    its.generator = Spy()
    batch = {
        "clean": torch.ones(200, 3, 4, 4),
        "degraded": torch.zeros(200, 3, 4, 4),
        "place": torch.zeros(1),
    }
    its.generator_loss(batch, 0, Draws(0, 0))
    still = seen["gamma"] == 0
    assert zeros[0] <= int(still.sum()) <= zeros[1]
    assert (seen["state"][still] == 0).all()  # nothing is known of the picture
    assert ((seen["gamma"] >= 0) & (seen["gamma"] < 1)).all()
    expected = seen["gamma"][:, None].expand(-1, 48).flatten()  # state = gamma x0 + sqrt(gamma (1 - gamma)) eps
    assert (seen["state"].flatten() - expected).mean().abs() < 0.02


# Validation


class Same:
    """Restores nothing, and darkens."""

    def restore(self, network: torch.nn.Module, degraded: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"same": degraded, "dark": (degraded + 1) * 0.9 - 1}


@pytest.mark.parametrize("size", [512, 128])
def test_scores_of_doing_nothing(size: int, shard: Path, tmp_path: Path) -> None:
    config = ValidationConfig(sources=[str(shard)], count=2, recipe="sr-x16")
    validator = Validator(config, tmp_path, size)
    scores = validator.run(Same(), torch.nn.Identity(), 7, Accelerator(cpu=True))  # type: ignore[arg-type]
    assert scores["same_gain"] == pytest.approx(0, abs=1e-6)
    assert (scores["same_clean"], scores["same_twice"]) == (60.0, 60.0)
    assert scores["same_identity"] == pytest.approx(scores["input_identity"], abs=1e-4)
    assert scores["input_identity"] > 0.1
    assert scores["dark_gain"] < 0
    clean = validator.clean
    assert scores["dark_clean"] == pytest.approx(
        np.mean([-10 * np.log10(np.mean((0.1 * picture.astype(np.float64)) ** 2)) for picture in clean]), abs=1e-3
    )
    assert scores["dark_twice"] > scores["dark_clean"]  # the second time there is less to lose
    from PIL import Image

    assert Image.open(tmp_path / "samples/0000007.png").size == (4 * size, 2 * size)


def test_init_by_the_name_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path))
    for name in ("GFPGANv1.4", "gfpgan-1.4", "GFPGANv1.4.pth"):
        with pytest.raises(WeightsError, match=r"likeness models pull gfpgan-1\.4"):
            find_init(name)
    with pytest.raises(WeightsError, match=r"init: no file is nothing\.ckpt"):
        find_init("nothing.ckpt")
    assert find_init("likeness") == builtin_path("likeness")
    (tmp_path / "mine.ckpt").touch()
    assert find_init(str(tmp_path / "mine.ckpt")) == tmp_path / "mine.ckpt"


def test_a_checkpoint_restores_as_it_is(small_recipe: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--weights RUN/last.ckpt``: the averaged weights, wherever weights are taken."""
    from likeness import methods

    recipe = small_recipe(steps=1)
    run(recipe)
    averaged = load_averaged(recipe.output / LAST)
    assert equal(read_checkpoint(recipe.output / LAST), averaged)
    monkeypatch.setattr("likeness.methods.likeness.networks", lambda: {"net": small_net()})
    restorer = methods.load("likeness", weights=recipe.output / LAST, device="cpu", precision="fp32")
    assert equal(restorer.net.state_dict(), averaged)  # type: ignore[attr-defined]


def test_validation_scores_and_sheet(small_recipe: Make, shard: Path) -> None:
    recipe = small_recipe(
        steps=2, validation={"sources": [str(shard)], "count": 1, "every": 2, "recipe": "sr-x8"}, objective=SHARPEN
    )
    run(recipe)
    scores = next(e for e in log(recipe) if "input_psnr" in e)
    assert scores["step"] == 2
    assert 15 < scores["input_psnr"] < 45
    wanted = {
        f"{name}_{what}" for name in ("mean", "sharp") for what in ("gain", "energy", "identity", "clean", "twice")
    }
    assert wanted | {"input_identity"} <= set(scores)
    assert abs(scores["mean_gain"]) < 3  # two steps from doing nothing
    assert [p.name for p in (recipe.output / "samples").iterdir()] == ["0000002.png"]
