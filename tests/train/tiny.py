"""Tiny recipes of the objectives that need no face of 512 pixels, and runs of them in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from processes import run_together

from likeness.train.checkpoint import load_averaged, load_checkpoint
from likeness.train.data import Pairs
from likeness.train.draws import Draws
from likeness.train.loop import train
from likeness.train.objectives import Objective
from likeness.train.objectives.build import build_objective
from likeness.train.recipe import TrainRecipe

IDM = {"network": {"ch": 32, "ch_mult": [1, 1], "num_res_blocks": 1, "attention": []}}
SWINIR = {"img_size": 16, "embed_dim": 12, "depths": [2], "num_heads": [2], "mlp_dim": 24, "features": 8}
FLOW = {
    "widths": [16, 32],
    "depths": [1, 1],
    "heads": [2, 2],
    "feedforward": [32, 64],
    "patch": 8,
    "mapping_width": 16,
    "mapping_feedforward": 32,
}
PMRF = {"network": {"mean": SWINIR, "flow": FLOW}}
SETTINGS: dict[str, dict[str, Any]] = {
    "idm": {"method": "idm", "objective": {"name": "idm", **IDM}},
    "idm-gamma": {"method": "idm", "objective": {"name": "idm", "conditioning": "gamma", "prediction": "eps", **IDM}},
    "difface-estimator": {"method": "difface", "objective": {"name": "difface-estimator", "network": SWINIR}},
    "pmrf-mean": {"method": "pmrf", "objective": {"name": "pmrf-mean", **PMRF}},
    "pmrf-flow": {"method": "pmrf", "objective": {"name": "pmrf-flow", "steps": 2, **PMRF}},
}

# killed by kill -9 while the second save is half written
DYING = """
import os, signal, sys
import torch
from likeness.train import checkpoint, loop
from likeness.train.objectives.build import build_objective
from likeness.train.recipe import TrainRecipe

save, saves = torch.save, []

def half_a_save(state, file):
    saves.append(1)
    if len(saves) == 1:
        return save(state, file)
    file.write(b"PK half a checkpoint")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

checkpoint.torch.save = half_a_save
"""
KILLED = f"""{DYING}
recipe = TrainRecipe.model_validate_json(sys.argv[1])
loop.train(recipe, build_objective(recipe), quiet=True)
"""
RUN = """
import sys
from likeness.train import loop
from likeness.train.objectives.build import build_objective
from likeness.train.recipe import TrainRecipe

recipe = TrainRecipe.model_validate_json(sys.argv[1])
loop.train(recipe, build_objective(recipe), quiet=True)
"""


def run(recipe: TrainRecipe, seed: int | None = None) -> dict[str, Any]:
    """The checkpoint of a run in this process."""
    return load_checkpoint(train(recipe, build_objective(recipe, seed), quiet=True))


def averaged(recipe: TrainRecipe, path: Path) -> torch.nn.Module:
    """The averaged network of a run's checkpoint."""
    network = build_objective(recipe).generator
    network.load_state_dict(load_averaged(path))
    return network.eval()


def run_in(processes: int, recipe: TrainRecipe, script: Path) -> dict[str, Any]:
    """The checkpoint of a run in so many processes."""
    script.write_text(RUN, encoding="utf-8")
    run_together(processes, script, recipe.model_dump_json())
    return load_checkpoint(recipe.output / "last.ckpt")


def one_picture(recipe: TrainRecipe, count: int = 2) -> dict[str, torch.Tensor]:
    """A batch of ``count`` times the same pair."""
    sample = Pairs(recipe.data.model_copy(update={"mixture": {"codeformer": 1.0}}), 1)[0]
    return {key: value[None].expand(count, *value.shape).contiguous() for key, value in sample.items()}


def losses_on_one_picture(
    its: Objective, batch: dict[str, torch.Tensor], steps: int = 40, rate: float = 3e-3
) -> list[float]:
    """Of steps with the same picture and the same draws."""
    optimiser = torch.optim.Adam([p for p in its.generator.parameters() if p.requires_grad], lr=rate)
    losses = []
    for _ in range(steps):
        loss, _, _ = its.generator_loss(batch, 0, Draws(0, 0))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    return losses


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """The names of the tensors that differ."""
    assert before.keys() == after.keys()
    return {key for key, value in before.items() if not torch.equal(value, after[key])}


def log(recipe: TrainRecipe) -> list[dict[str, float]]:
    """What a run wrote."""
    return [json.loads(line) for line in (recipe.output / "log.jsonl").read_text(encoding="utf-8").splitlines()]
