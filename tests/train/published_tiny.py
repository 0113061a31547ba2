"""Tiny networks and recipes of the published methods that are trained, for their tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likeness.train.objectives import Objective
from likeness.train.objectives.build import build_objective
from likeness.train.objectives.codeformer.settings import CodeFormerNetworkConfig
from likeness.train.objectives.codeformer.whole import new_network as new_codeformer
from likeness.train.objectives.gfpgan.objective import new_network as new_gfpgan
from likeness.train.objectives.gfpgan.settings import GFPGANNetworkConfig
from likeness.train.objectives.restoreformer.settings import RestoreFormerNetworkConfig
from likeness.train.objectives.restoreformer.whole import new_network as new_restoreformer
from likeness.train.recipe import TrainRecipe

Make = Callable[..., TrainRecipe]
SIZE = 64

GFPGAN = {"size": SIZE, "narrow": 1 / 32, "style": 16, "mapping": 2}
CODEFORMER = {
    "size": SIZE,
    "widths": [32, 32, 32, 64],
    "codes": 32,
    "code_dim": 32,
    "dim": 64,
    "layers": 1,
    "feedforward": 64,
    "fused": [16, 32],
}
RESTOREFORMER = {"widths": [32, 32, 32, 64], "blocks": 1, "codes": 32, "code_dim": 32}
PATCHES = {"perceptual": 0, "discriminator_width": 8, "discriminator_layers": 2}

OBJECTIVES: dict[str, dict[str, Any]] = {
    "gfpgan": {
        "network": GFPGAN,
        "perceptual": 0,
        "style": 0,
        "identity": 0,
        "discriminator_narrow": 1 / 32,
        "component_width": 8,
        "group": 1,
        "r1_every": 1,
    },
    "codeformer-codebook": {"network": CODEFORMER, "adversarial_from": 0, **PATCHES},
    "codeformer-transformer": {},
    "codeformer-fusion": PATCHES,
    "restoreformer-dictionary": {"network": RESTOREFORMER, **PATCHES},
    "restoreformer-restore": {"network": RESTOREFORMER, "component_width": 8, "identity": 0, **PATCHES},
}
NEED_INIT = ("gfpgan", "codeformer-transformer", "codeformer-fusion", "restoreformer-restore")  # as the papers do it


def method_of(name: str) -> str:
    return name.split("-")[0]


def released(method: str, seed: int = 0, **changes: Any) -> nn.Module:
    """A network as one would come from a file: every number random, zeros and ones, too."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if method == "gfpgan":
            network: nn.Module = new_gfpgan(GFPGANNetworkConfig.model_validate({**GFPGAN, **changes}))
        elif method == "codeformer":
            network = new_codeformer(CodeFormerNetworkConfig.model_validate({**CODEFORMER, **changes}))
        else:
            network = new_restoreformer(RestoreFormerNetworkConfig.model_validate({**RESTOREFORMER, **changes}))
        for parameter in network.parameters():
            parameter.data.add_(0.02 * torch.randn_like(parameter))
    return network


def released_file(method: str, folder: Path, **changes: Any) -> Path:
    """Made-up weights in a file as the authors nest them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{method}.pth"
    state = released(method, **changes).state_dict()
    if method == "restoreformer":
        torch.save({"state_dict": {f"vqvae.{key}": value for key, value in state.items()}, "global_step": 1}, path)
    else:
        torch.save({"params_ema": state}, path)
    return path


def tiny(name: str, make: Make, folder: Path, *, output: str = "run", **changes: Any) -> TrainRecipe:
    """A recipe of objective ``name`` for faces of 64 pixels; its ``init`` and ``hq`` are in ``folder``."""
    objective = {"name": name, **OBJECTIVES[name], **changes.pop("objective", {})}
    if name in NEED_INIT:
        source = str(released_file(method_of(name), folder))
        changes.setdefault("init", source)
        if method_of(name) == "codeformer":
            objective.setdefault("hq", source)
    data = {"size": SIZE, "crop": SIZE, "mixture": {"gfpgan": 1.0}, **changes.pop("data", {})}
    return make(method=method_of(name), objective=objective, data=data, output=str(folder / output), **changes)


def built(name: str, make: Make, folder: Path, **changes: Any) -> Any:
    """The objective of ``tiny``, with the weights of its ``init``, as a run begins."""
    recipe = tiny(name, make, folder, **changes)
    objective: Objective = build_objective(recipe)
    if recipe.init is not None:
        objective.load(Path(recipe.init))
    objective.start()
    return objective


def batch_of(count: int = 2, seed: int = 0, size: int = SIZE) -> dict[str, Tensor]:
    """Smooth random pictures, and the same with less contrast and noise."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, size // 8, size // 8, generator=rng) * 2 - 1
    clean = nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    degraded = (clean * 0.7 + 0.1 * torch.randn(clean.shape, generator=rng)).clamp(-1, 1)
    return {"clean": clean, "degraded": degraded, "place": torch.zeros(count, 2, size // 4, size // 4)}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """The keys whose numbers changed."""
    assert before.keys() == after.keys()
    return {key for key in before if not torch.equal(before[key], after[key])}


def parts(keys: set[str]) -> set[str]:
    """The first names of ``keys``."""
    return {key.split(".")[0] for key in keys}
