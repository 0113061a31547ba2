"""GFPGAN, CodeFormer and RestoreFormer: what every one of their objectives must do in the loop and after it."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("accelerate", reason="needs likeness[train]")

from processes import run_together
from published_tiny import NEED_INIT, OBJECTIVES, Make, batch_of, built, method_of, moved, parts, released, tiny
from tiny import DYING

from likeness.methods import load as load_method
from likeness.train.checkpoint import LAST, load_averaged, load_checkpoint
from likeness.train.draws import Draws
from likeness.train.loop import train
from likeness.train.objectives.build import build_objective
from likeness.train.recipe import TrainRecipe, load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
FACES = Path(__file__).parents[2] / "../shared/faces/train-000.tar"
EVERY = pytest.mark.parametrize("name", list(OBJECTIVES))
LEARNING = {
    "gfpgan": {
        "conv_body_first",
        "conv_body_down",
        "final_conv",
        "final_linear",
        "conv_body_up",
        "condition_scale",
        "condition_shift",
        "toRGB",
    },
    "codeformer-codebook": {"encoder", "quantize", "generator"},
    "codeformer-transformer": {"encoder", "position_emb", "feat_emb", "ft_layers", "idx_pred_layer"},
    "codeformer-fusion": {"encoder", "fuse_convs_dict"},
    "restoreformer-dictionary": {"encoder", "quant_conv", "quantize", "post_quant_conv", "decoder"},
    "restoreformer-restore": {"encoder", "quant_conv", "post_quant_conv", "decoder"},
}


def run(recipe: TrainRecipe, seed: int | None = None) -> dict[str, Any]:
    return load_checkpoint(train(recipe, build_objective(recipe, seed), quiet=True))


# One step


@EVERY
def test_the_loss_falls_on_one_picture(name: str, small_recipe: Make, tmp_path: Path) -> None:
    without = {} if name == "codeformer-transformer" else {"adversarial": 0}
    if name in ("gfpgan", "restoreformer-restore"):
        without |= {"component": 0, "component_style": 0}
    its = built(name, small_recipe, tmp_path, objective=without)
    batch = batch_of(1)
    learning = [p for p in its.generator.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(learning, lr=2e-3)
    # features and codes first run apart, as they leave zero: of an autoencoder the picture tells
    told = "l1" if name in ("codeformer-codebook", "restoreformer-dictionary") else "loss"
    values = []
    for step in range(25):
        loss, terms, _ = its.generator_loss(batch, step, Draws(0, 0))
        assert terms["loss"] == pytest.approx(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(terms[told])
    assert min(values[-5:]) < 0.85 * values[0], values


@EVERY
def test_neither_network_learns_by_the_other_ones_loss(name: str, small_recipe: Make, tmp_path: Path) -> None:
    its = built(name, small_recipe, tmp_path)
    batch = batch_of()
    loss, _, carried = its.generator_loss(batch, 0, Draws(0, 0))
    loss.backward()
    got = {key for key, p in its.generator.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert parts(got) == LEARNING[name]
    if its.discriminator is None:
        return
    assert all(p.grad is None and p.requires_grad for p in its.discriminator.parameters())
    its.generator.zero_grad(set_to_none=True)
    loss, terms = its.discriminator_loss(batch, carried, 0, Draws(0, 0))
    loss.backward()
    assert all(p.grad is None for p in its.generator.parameters())
    assert all(p.grad is not None for p in its.discriminator.parameters())
    assert sum(terms.values()) > 0


@EVERY
def test_the_loss_is_one_of_a_batch_in_half_precision_too(name: str, small_recipe: Make, tmp_path: Path) -> None:
    its = built(name, small_recipe, tmp_path)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _, carried = its.generator_loss(batch_of(), 0, Draws(0, 0))
        loss.backward()
        if its.discriminator is not None:
            its.discriminator_loss(batch_of(), carried, 0, Draws(0, 0))[0].backward()
    plain, _, _ = built(name, small_recipe, tmp_path).generator_loss(batch_of(), 0, Draws(0, 0))
    assert torch.isfinite(loss)
    assert loss.item() == pytest.approx(plain.item(), rel=0.3)
    assert all(torch.isfinite(p.grad).all() for p in its.generator.parameters() if p.grad is not None)


# Runs


@EVERY
def test_a_run_moves_what_learns_and_leaves_a_file_that_restores(name: str, small_recipe: Make, tmp_path: Path) -> None:
    recipe = tiny(name, small_recipe, tmp_path, steps=2, optimiser={"warmup": 0, "decay": 0})
    before = built(name, small_recipe, tmp_path)
    if recipe.init is None:
        before = build_objective(recipe)
    start = {key: value.clone() for key, value in before.generator.state_dict().items()}
    state = run(recipe)
    assert parts(moved(start, state["generator"])) == LEARNING[name]
    if before.discriminator is not None:
        fresh = before.discriminator.state_dict()
        assert parts(moved(fresh, state["discriminator"])) == parts(set(fresh))

    last = recipe.output / LAST
    restorer: Any = load_method(weights=last, device="cpu")
    assert restorer.card.name == recipe.method
    averaged = load_averaged(last)
    assert not moved(averaged, restorer.net.state_dict())
    assert not moved(averaged, {k.removeprefix("module."): v for k, v in state["ema"].items() if k != "n_averaged"})
    before.generator.load_state_dict(averaged)
    degraded = batch_of(1)["degraded"]
    for key, picture in before.restore(before.generator.eval(), degraded).items():
        assert torch.equal(picture, before.restore(restorer.net, degraded)[key])
        assert picture.shape == degraded.shape
        assert picture.abs().max() <= 1
    with torch.no_grad():
        face = restorer.method.run(restorer.net, torch.rand(1, 3, 128, 128), restorer.card.choose({}), 0)
    assert face.shape == (1, 3, 128, 128)
    assert face.isfinite().all()


@pytest.mark.parametrize("name", NEED_INIT)
def test_a_run_begins_with_the_released_weights(name: str, small_recipe: Make, tmp_path: Path) -> None:
    slow = {"rate": 1e-12, "warmup": 0, "decay": 0}
    recipe = tiny(name, small_recipe, tmp_path, steps=1, optimiser=slow)
    wanted = released(method_of(name)).state_dict()
    state = run(recipe, seed=7)
    assert state["generator"].keys() == wanted.keys()
    for key, value in wanted.items():
        assert torch.allclose(state["generator"][key], value, atol=1e-6), key
        assert torch.allclose(state["ema"]["module." + key], value, atol=1e-6), key


KILLED = f"""{DYING}
import json

torch.set_num_threads(1)
ends = []
for text in json.loads(sys.argv[1]):
    child = os.fork()  # each run dies by itself, and torch is imported once
    if not child:
        recipe = TrainRecipe.model_validate_json(text)
        loop.train(recipe, build_objective(recipe), quiet=True)
        os._exit(0)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(ends))
"""


@pytest.mark.slow
def test_killed_in_the_middle_of_a_save_and_resumed_is_as_uninterrupted(small_recipe: Make, tmp_path: Path) -> None:
    """kill -9 while the save of step 4 is half written: goes on from step 2, ends bit for bit the same."""
    recipes = {
        name: tiny(name, small_recipe, tmp_path / name, output="killed", steps=5, save_every=2) for name in OBJECTIVES
    }
    arguments = json.dumps([recipe.model_dump_json() for recipe in recipes.values()])
    done = subprocess.run([sys.executable, "-c", KILLED, arguments], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == [-signal.SIGKILL] * len(recipes), done.stderr
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name, recipe in recipes.items():
        assert load_checkpoint(recipe.output / LAST)["step"] == 2
        resumed = run(recipe, seed=99)  # other fresh weights: all must come from the checkpoint
        straight = run(recipe.model_copy(update={"output": tmp_path / name / "straight"}))
        assert resumed["step"] == straight["step"] == 5
        for part in ("generator", "ema", "discriminator"):
            if straight[part] is not None:
                assert not moved(straight[part], resumed[part]), (name, part)
        assert moved(load_averaged(tmp_path / name / "straight" / LAST), straight["generator"])
    torch.set_num_threads(threads)


TOGETHER = """
import json, sys
from likeness.train import loop
from likeness.train.objectives.build import build_objective
from likeness.train.recipe import TrainRecipe

for text in json.loads(sys.argv[1]):
    recipe = TrainRecipe.model_validate_json(text)
    loop.train(recipe, build_objective(recipe), quiet=True)
"""


@pytest.mark.slow
def test_two_processes_step_as_one(small_recipe: Make, tmp_path: Path) -> None:
    """gloo, two processes with a picture each, against one with both: the first gradients."""
    settings: dict[str, Any] = {"steps": 1, "optimiser": {"clip": 1e9}}
    one = [tiny(n, small_recipe, tmp_path / n, output="one", batch=2, **settings) for n in OBJECTIVES]
    two = [tiny(n, small_recipe, tmp_path / n, output="two", batch=1, **settings) for n in OBJECTIVES]
    script = tmp_path / "together.py"
    script.write_text(TOGETHER, encoding="utf-8")
    run_together(1, script, json.dumps([recipe.model_dump_json() for recipe in one]))
    run_together(2, script, json.dumps([recipe.model_dump_json() for recipe in two]))
    for name in OBJECTIVES:
        states = [load_checkpoint(tmp_path / name / which / LAST)["optimisers"] for which in ("one", "two")]
        for part in states[0]:
            a, b = (state[part]["state"] for state in states)
            assert a.keys() == b.keys()
            assert a
            # after one step of Adam its first moment is the gradient times 1 - beta; some, of a bias before a norm,
            # are zero but for rounding
            largest = max(float(value["exp_avg"].norm()) for value in a.values())
            for key in a:
                first, other = a[key]["exp_avg"], b[key]["exp_avg"]
                assert (first - other).norm() <= 2e-3 * first.norm() + 1e-4 * largest, (name, part, key)


# The recipes


STAGES = (
    "finetune-gfpgan",
    "codeformer-1-codebook",
    "codeformer-2-transformer",
    "codeformer-3-fusion",
    "finetune-codeformer",
    "restoreformer-1-dictionary",
    "restoreformer-2-restore",
    "finetune-restoreformer",
    *(f"smoke-{name}" for name in OBJECTIVES),
)


@pytest.mark.parametrize("stem", STAGES)
def test_each_recipe_is_valid(stem: str) -> None:
    recipe = load_recipe(RECIPES / f"{stem}.yaml")
    assert recipe.output == Path("runs") / stem
    assert recipe.data.sources == ["my_faces"]
    assert recipe.objective.name in OBJECTIVES
    if stem.startswith("smoke-"):
        assert stem == f"smoke-{recipe.objective.name}"
        assert (recipe.precision, recipe.validation.sources) == ("no", [])


def test_a_finetune_recipe_takes_the_users_data_and_weights() -> None:
    recipe = load_recipe(RECIPES / "finetune-gfpgan.yaml", ["data=faces", "init=GFPGANv1.3"])
    assert (recipe.data.sources, recipe.init) == (["faces"], "GFPGANv1.3")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen aligned faces as files."""
    if not FACES.exists():
        pytest.skip(f"no face photographs at {FACES}")
    folder = tmp_path_factory.mktemp("my_faces")
    with tarfile.open(FACES) as tar:
        for member in [m for m in tar.getmembers() if m.isfile()][:16]:
            held = tar.extractfile(member)
            assert held is not None
            (folder / Path(member.name).name).write_bytes(held.read())
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("method", ["gfpgan", "codeformer", "restoreformer"])
def test_smoke_recipes_as_a_user_runs_them(method: str, folder: Path, tmp_path: Path) -> None:
    """``likeness train`` from the recipe, stage after stage, then ``likeness restore`` with what each stage left."""
    crop = tmp_path / "crop.png"
    held = next(path for path in sorted(folder.iterdir()) if path.suffix in {".webp", ".png", ".jpg"})
    with Image.open(io.BytesIO(held.read_bytes())) as picture:
        picture.convert("RGB").resize((512, 512)).resize((96, 96)).resize((512, 512)).save(crop)
    stages = [name for name in OBJECTIVES if method_of(name) == method]
    for name in stages:
        recipe = RECIPES / f"smoke-{name}.yaml"
        likeness("train", recipe, f"data={folder}", f"output=runs/smoke-{name}", inside=tmp_path)
        log = (tmp_path / "runs" / f"smoke-{name}" / "log.jsonl").read_text(encoding="utf-8").splitlines()
        losses = [json.loads(line)["loss"] for line in log]
        assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:5]), name
        weights = tmp_path / "runs" / f"smoke-{name}" / LAST
        likeness("restore", crop, "-o", tmp_path / name, "--aligned", "--weights", weights, inside=tmp_path)
        report = json.loads((tmp_path / name / "report.json").read_text(encoding="utf-8"))
        assert "restored" in json.dumps(report)
        assert list((tmp_path / name).rglob("*.png"))


def likeness(*arguments: object, inside: Path) -> None:
    command: list[str] = [sys.executable, "-m", "likeness", *(str(a) for a in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=inside, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
