"""What the objectives of idm, pmrf and difface share: killed, in company, and as a user runs their smoke recipes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("accelerate", reason="needs likeness[train]")

from tiny import KILLED, SETTINGS, moved, run, run_in

from likeness.methods.difface import CARD
from likeness.methods.difface.unet import UNet, UNetConfig
from likeness.train.checkpoint import LAST, load_checkpoint
from likeness.train.recipe import TrainRecipe, load_recipe

Make = Callable[..., TrainRecipe]
RECIPES = Path(__file__).parents[2] / "recipes"
every = pytest.mark.parametrize("name", sorted(SETTINGS))


@pytest.mark.slow
@every
def test_killed_in_the_middle_of_a_save_and_resumed_is_as_uninterrupted(
    name: str, small_recipe: Make, tmp_path: Path
) -> None:
    """kill -9 while the save of step 4 is half written: goes on from step 2, ends bit for bit the same."""
    recipe = small_recipe(output=str(tmp_path / "killed"), save_every=2, **SETTINGS[name])
    command = [sys.executable, "-c", KILLED, recipe.model_dump_json()]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert load_checkpoint(recipe.output / LAST)["step"] == 2

    resumed = run(recipe, seed=99)  # other fresh weights: all must come from the checkpoint
    straight = run(small_recipe(output=str(tmp_path / "straight"), save_every=2, **SETTINGS[name]))
    assert resumed["step"] == straight["step"] == 6
    assert resumed["config"] == straight["config"]
    for part in ("ema", "generator"):
        assert not moved(resumed[part], straight[part]), part


@pytest.mark.slow
@every
def test_two_processes_step_as_one(name: str, small_recipe: Make, tmp_path: Path) -> None:
    """gloo, two processes with a picture each, against one with both: the first gradients, and the weights after."""
    settings: dict[str, Any] = {"steps": 1, "optimiser": {"clip": 1e9}, **SETTINGS[name]}
    one = run_in(1, small_recipe(batch=2, output=str(tmp_path / "one"), **settings), tmp_path / "run.py")
    two = run_in(2, small_recipe(batch=1, output=str(tmp_path / "two"), **settings), tmp_path / "run.py")
    first, other = (state["optimisers"]["generator"]["state"] for state in (one, two))
    assert first.keys() == other.keys()
    for key in first:  # after one step of Adam its first moment is the gradient times 1 - beta
        a, b = first[key]["exp_avg"], other[key]["exp_avg"]
        assert (a - b).norm() <= 1e-3 * a.norm() + 1e-8, key
    assert sum(float(value["exp_avg"].abs().sum()) for value in first.values()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["idm", "difface-estimator", "pmrf-mean", "pmrf-flow"])
def test_the_smoke_recipe_learns_and_its_checkpoint_restores(
    name: str, faces: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """As a user does it, on a few pictures."""
    for file, image in faces.items():
        (tmp_path / "faces").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "faces" / file)
    recipe = RECIPES / f"smoke-{name}.yaml"
    method = load_recipe(recipe).method
    output, last = tmp_path / "run", tmp_path / "run" / LAST
    likeness = [sys.executable, "-m", "likeness"]
    command = [*likeness, "train", str(recipe), f"data={tmp_path / 'faces'}", f"output={output}"]
    trained = subprocess.run(command, capture_output=True, text=True, check=False, timeout=550)
    assert trained.returncode == 0, trained.stderr[-2000:]
    entries = [json.loads(line) for line in (output / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    loss = {"idm": "l1", "difface-estimator": "l1", "pmrf-mean": "l2", "pmrf-flow": "velocity"}[name]
    losses = [entry[loss] for entry in entries]
    assert mean(losses[-4:]) < 0.9 * mean(losses[:4])

    if method == "difface":  # its prior, which is not what is trained here
        torch.save(UNet(UNetConfig(32, (32, 32, 64, 64), (1, 1, 2, 1), (2, 3))).state_dict(),
                   output / CARD.checkpoints["unet"])  # fmt: skip
    command = [
        *likeness,
        "restore",
        str(tmp_path / "faces" / "a_head.png"),
        "--aligned",
        "--weights",
        str(last),
        "--steps",
        "2",
    ]
    restored = subprocess.run(
        [*command, "-o", str(tmp_path / "out")], capture_output=True, text=True, check=False, timeout=550
    )
    assert restored.returncode == 0, restored.stderr[-2000:]
    pictures = [Image.open(file) for file in (tmp_path / "out").rglob("*.png")]
    assert any(picture.size == (512, 512) for picture in pictures)
