"""Several processes: together they draw, and step, as one with their batches together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("accelerate", reason="needs likeness[train]")

from processes import run_together

from likeness.train.checkpoint import LAST, load_checkpoint
from likeness.train.draws import Draws
from likeness.train.recipe import TrainRecipe

Make = Callable[..., TrainRecipe]

RUN = """
import sys
from likeness.methods.likeness.network import LikenessNet
from likeness.methods.likeness.trunk import TrunkConfig
from likeness.train import loop
from likeness.train.objectives import denoise, sharpen
from likeness.train.objectives.build import build_objective
from likeness.train.recipe import TrainRecipe

small = TrunkConfig(widths=(16, 24, 32, 48), depths=(1, 1, 1, 1))
denoise.LikenessNet = sharpen.LikenessNet = lambda: LikenessNet(small, small)
recipe = TrainRecipe.model_validate_json(sys.argv[1])
loop.train(recipe, build_objective(recipe), quiet=True)
"""
SHARPEN = {
    "name": "sharpen",
    "adversarial": 0.01,
    "feature_matching": 1,
    "fixed_point": 1,
    "fixed_point_every": 1,
    "patch": 64,
}


def test_shares_of_the_draws_make_the_whole() -> None:
    whole, shares = Draws(3, 5), [Draws(3, 5, rank, 2) for rank in range(2)]
    normal, uniform, number = whole.normal(4, 3), whole.uniform(6), whole.integer(0, 1000)
    parts = [(one.normal(2, 3), one.uniform(3), one.integer(0, 1000)) for one in shares]
    for rank, (mine, flat, same) in enumerate(parts):
        assert torch.equal(mine, normal[rank::2])
        assert torch.equal(flat, uniform[rank::2])
        assert same == number


def test_every_step_draws_its_own() -> None:
    assert not torch.equal(Draws(0, 1).normal(8), Draws(0, 2).normal(8))
    with pytest.raises(ValueError, match=r"rank must be in \[0, 2\), got 2"):
        Draws(0, 0, 2, 2)


def run_in(processes: int, recipe: TrainRecipe, script: Path) -> dict[str, Any]:
    script.write_text(RUN, encoding="utf-8")
    run_together(processes, script, recipe.model_dump_json())
    return load_checkpoint(recipe.output / LAST)


@pytest.mark.parametrize("terms", [{}, pytest.param(SHARPEN, marks=pytest.mark.slow)], ids=["denoise", "sharpen"])
def test_two_processes_step_as_one(terms: dict[str, Any], small_recipe: Make, tmp_path: Path) -> None:
    """gloo, two processes with a picture each, against one with both: the first gradients, and the weights after."""
    settings: dict[str, Any] = {"steps": 1, "objective": terms, "optimiser": {"clip": 1e9}}
    one = run_in(1, small_recipe(batch=2, output=str(tmp_path / "one"), **settings), tmp_path / "run.py")
    two = run_in(2, small_recipe(batch=1, output=str(tmp_path / "two"), **settings), tmp_path / "run.py")
    assert two["step"] == 1
    for name in one["optimisers"]:
        a, b = (state["optimisers"][name]["state"] for state in (one, two))
        assert a.keys() == b.keys()
        for key in a:  # after one step of Adam its first moment is the gradient times 1 - beta
            first, other = a[key]["exp_avg"], b[key]["exp_avg"]
            assert (first - other).norm() <= 1e-3 * first.norm() + 1e-9, (name, key)
    assert sum(float(value["exp_avg"].abs().sum()) for value in a.values()) > 0
