"""From a recipe to its objective."""

from __future__ import annotations

from likeness.train.objectives import Objective
from likeness.train.recipe import DenoiseConfig, RecipeError, TrainRecipe


def build_objective(recipe: TrainRecipe) -> Objective:
    """The objective that the recipe names. Raises RecipeError when the data cannot serve it."""
    from likeness.train.objectives.denoise import DenoiseObjective
    from likeness.train.objectives.sharpen import SharpenObjective

    config, identity = recipe.objective, None
    if config.identity:
        from likeness.faces import CROP_SIZE
        from likeness.train.identity import IdentityFeatures

        if recipe.data.crop != CROP_SIZE:
            raise RecipeError(f"objective.identity looks at whole faces: set data.crop to {CROP_SIZE}")
        identity = IdentityFeatures()
    if isinstance(config, DenoiseConfig):
        return DenoiseObjective(config, identity)
    return SharpenObjective(config, identity)
