"""From a recipe to its objective."""

from __future__ import annotations

from collections.abc import Callable

import torch

from likeness.train.objectives import Objective
from likeness.train.objectives.rdfr.settings import RDFRConfig
from likeness.train.objectives.settings import DenoiseConfig, SharpenConfig
from likeness.train.recipe import RecipeError, TrainRecipe


def build_objective(recipe: TrainRecipe, seed: int | None = None) -> Objective:
    """The objective that the recipe names, with fresh weights. Raises RecipeError when the data cannot serve it.

    ``seed``: of the fresh weights; the recipe's by default, so that every process begins with the same.
    """
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed if seed is None else seed)
        return OBJECTIVES[recipe.objective.name](recipe)


def whole_faces(recipe: TrainRecipe, why: str) -> None:
    """Raises RecipeError, naming ``why``, unless the recipe trains on whole faces of 512 pixels."""
    if recipe.data.crop != 512:
        raise RecipeError(f"{why} looks at whole faces: set data.crop to 512")


def _denoise(recipe: TrainRecipe) -> Objective:
    from likeness.train.identity import IdentityFeatures
    from likeness.train.objectives.denoise import DenoiseObjective

    assert isinstance(recipe.objective, DenoiseConfig)
    if recipe.objective.identity:
        whole_faces(recipe, "objective.identity")
    return DenoiseObjective(recipe.objective, IdentityFeatures() if recipe.objective.identity else None)


def _sharpen(recipe: TrainRecipe) -> Objective:
    from likeness.train.identity import IdentityFeatures
    from likeness.train.objectives.sharpen import SharpenObjective

    assert isinstance(recipe.objective, SharpenConfig)
    if recipe.objective.identity:
        whole_faces(recipe, "objective.identity")
    return SharpenObjective(recipe.objective, IdentityFeatures() if recipe.objective.identity else None)


def _rdfr(recipe: TrainRecipe) -> Objective:
    from likeness.train.objectives.perceptual import perceptual_for
    from likeness.train.objectives.rdfr.objective import RDFRObjective

    config = recipe.objective
    assert isinstance(config, RDFRConfig)
    if recipe.data.crop != recipe.data.size:
        raise RecipeError(f"rdfr looks at whole faces: set data.crop to data.size, {recipe.data.size}")
    if recipe.init is None and recipe.data.size != config.network.size:  # else the file's size counts
        raise RecipeError(f"objective.network.size is {config.network.size}, but data.size {recipe.data.size}")
    return RDFRObjective(config, perceptual_for(config.perceptual, config.vgg))


OBJECTIVES: dict[str, Callable[[TrainRecipe], Objective]] = {
    "denoise": _denoise,
    "sharpen": _sharpen,
    "rdfr": _rdfr,
}
